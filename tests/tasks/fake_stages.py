"""The tiny task on the fake engine: functions stand in for the containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tiny import write_task

from runner.tasks.evaluation import Ids, TaskEvaluation, TaskPipeline
from runner.tasks.preparation import prepared
from runner.tasks.read_task import read_task
from sandbox.engine import Image
from sandbox.fake_engine import FakeEngine, Script
from sandbox.lease import CpuLeases
from sandbox.spec import Job, Role

CANDIDATE, JUDGE = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
IDS = Ids("try-tasks", "0", 1)


def prints(text: str | bytes) -> Callable[[Job], Script]:
    """A scorer that prints this."""

    def scorer(job: Job) -> Script:
        content = text if isinstance(text, bytes) else text.encode()
        (job.destination / "score.json").write_bytes(content)
        return Script()

    return scorer


def writes(content: bytes = b"[]") -> Callable[[Job], Script]:
    """A stage that writes this into every output."""

    def stage(job: Job) -> Script:
        for output in job.outputs:
            (job.destination / output.name).write_bytes(content)
        return Script(log="the stage's log")

    return stage


def fake_pipeline(
    folder: Path,
    *,
    stage: Callable[[Job], Script] | None = None,
    scorer: Callable[[Job], Script] | None = None,
    changes: Mapping[str, str | None] | None = None,
) -> tuple[TaskPipeline, FakeEngine]:
    """`folder` gets the task and its data."""
    of_stage, of_scorer = stage or writes(), scorer or prints('{"score": 1.5}')
    engine = FakeEngine(
        lambda job: (of_scorer if job.role is Role.TASK_SCORE else of_stage)(job),
        registry={name: Image(name) for name in (CANDIDATE, JUDGE)},
    )
    for name in (CANDIDATE, JUDGE):
        engine.pull(name)
    task = read_task(write_task(folder / "task", changes))
    data = prepared(task, folder / "cache", seed=7)
    leases = CpuLeases(1, folder=folder, available=[0])
    return TaskPipeline(engine, CANDIDATE, JUDGE, leases, task, data), engine


def evaluate(
    pipeline: TaskPipeline, folder: Path, files: Mapping[str, bytes] | None = None, seed: int = 3
) -> TaskEvaluation:
    return pipeline.evaluate(files or pipeline.task.start(), IDS, seed=seed, folder=folder / "evaluation")
