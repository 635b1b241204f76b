"""Verbs about tasks: task list, task try."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.conversion import Command, Group
from runner.cli.options import Json
from runner.cli.output import envelope, failed, number, say, table
from runner.store.config import LARGEST_NUMBER

if TYPE_CHECKING:
    from runner.tasks.definition import Task
    from runner.tasks.evaluation import TaskPipeline

task_app = typer.Typer(
    cls=Group,
    help="Tasks beyond language models: what to search for, and how it is scored.",
    no_args_is_help=True,
)


@task_app.command("list", cls=Command)
def list_(json: Json = False) -> None:
    """The tasks that come with this project."""
    from runner.tasks.shipped_tasks import shipped

    rows = [
        (task.name, task.metric.name, str(task.metric.direction), task.metric.unit, task.summary)
        for task in shipped()
    ]
    heads = ("name", "metric", "direction", "unit", "summary")
    if json:
        envelope("task-list", tasks=[dict(zip(heads, row, strict=True)) for row in rows])
    else:
        print(table(rows, heads))


@task_app.command("try", cls=Command)
def try_(
    task: Annotated[str, typer.Argument(help="The name of a shipped task, or a task's folder.")],
    submission: Annotated[str, typer.Option(help="start, or a folder of the task's calibration/.")] = "start",
    seed: Annotated[
        int, typer.Option(help="What the stages get as AUTORESEARCH_SEED.", min=0, max=LARGEST_NUMBER)
    ] = 0,
    json: Json = False,
) -> None:
    """Evaluate a submission of a task once: untrusted stages, then the trusted scorer."""
    from runner.cli.signals import signals
    from runner.errors import PrerequisiteMissing, UsageError
    from runner.store.temporary_folder import scratch
    from runner.tasks.evaluation import Ids
    from runner.tasks.shipped_tasks import named

    found = named(task)
    if submission not in found.calibration:
        raise UsageError(f"--submission {submission}: {found.name} has {', '.join(found.calibration)}")
    with signals(), scratch("task") as folder:
        pipeline = _pipeline(found)
        evaluation = pipeline.evaluate(
            found.submission(submission),
            Ids("task-try", "0", 1),
            seed=seed,
            folder=folder / "evaluation",
            progress=say,
        )
    metric, facts = found.metric, [asdict(each) for each in evaluation.facts]
    if json:
        envelope(
            "task-try",
            task=found.name,
            submission=submission,
            outcome=str(evaluation.outcome),
            reason=evaluation.reason,
            metric=metric.name,
            direction=str(metric.direction),
            unit=metric.unit,
            score=evaluation.score,
            details=dict(evaluation.details),
            facts=facts,
            log_tail=evaluation.log_tail,
        )
    else:
        reason = f" ({evaluation.reason})" if evaluation.reason else ""
        print(
            f"{evaluation.outcome}{reason}  {metric.name} {number(evaluation.score, 6)} {metric.unit} ({metric.direction})"
        )
        for fact in evaluation.facts:
            say(
                f"{fact.stage}: {fact.seconds:.1f} s, "
                + ", ".join(f"{name} {size} bytes" for name, size in fact.outputs.items())
            )
        if evaluation.score is None and evaluation.log_tail:
            say(evaluation.log_tail[-2000:])
    if evaluation.outcome == "infrastructure":
        failed(
            PrerequisiteMissing(
                f"the task's scorer or the engine failed: {evaluation.detail or evaluation.reason}"
            )
        )


def _pipeline(task: Task) -> TaskPipeline:
    """On CPUs of this machine; prepares the task's data where they are not there. Raises PrerequisiteMissing, SandboxError."""
    from runner.cache import cache_folder
    from runner.evaluation import setup
    from runner.evaluation.device_selection import host_of, resolve
    from runner.store.config import Config
    from runner.tasks.evaluation import TaskPipeline
    from runner.tasks.preparation import prepared
    from sandbox.nvml import NvmlProbe

    config = Config(gpus="none", cpus=task.cpus)
    engine, probe = setup.connect(config), NvmlProbe()
    devices = resolve(config, host_of(engine, probe))
    images = setup.images_for(engine, devices)
    data = prepared(task, cache_folder() / "tasks", progress=say)
    leases = setup.leases(devices, probe, say)
    return TaskPipeline(engine, images.candidate.id, images.judge.id, leases, task, data)
