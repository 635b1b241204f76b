"""The verb reproduce."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.options import Gpus, Json, Workspace, seconds
from runner.cli.output import envelope, failed, number, say
from runner.cli.reproduction_text import explain
from runner.errors import CannotReproduce, Inconclusive, ReproduceMismatch, UsageError
from runner.evaluation import setup
from runner.store import workspace as workspaces
from runner.store.config import Config, override
from sandbox.spec import GIB

if TYPE_CHECKING:
    from runner.evaluation.pipeline import Pipeline
    from runner.results.snapshot import SnapshotLabels


def reproduce(
    tag: Annotated[
        str, typer.Argument(help="A kept experiment's image tag, as `best` and `ls --json` show it.")
    ],
    exact: Annotated[
        bool, typer.Option("--exact", help="Play back the clock: the weights must be the same bytes.")
    ] = False,
    repeats: Annotated[
        int, typer.Option(help="How often it runs; the mean of several has a narrower band.", min=1, max=100)
    ] = 1,
    time_limit: Annotated[
        str | None,
        typer.Option(
            help="Longest time of one training: 30m. With --exact 6 times its wall clock if not said."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data set, where it is not found by itself.")] = None,
    gpus: Gpus = None,
    runtime: Annotated[
        str | None, typer.Option(help="An OCI runtime the engine knows: runsc for gVisor.")
    ] = None,
    workspace: Workspace = None,
    json: Json = False,
) -> None:
    """Run a kept image again under the same limits and the same judge: PASS, FAIL or INCONCLUSIVE."""
    from runner.cli.signals import signals
    from runner.results.data_lookup import locate
    from runner.results.reproduction import Verdict
    from runner.results.reproduction import reproduce as again
    from runner.results.snapshot import read_labels
    from runner.store.temporary_folder import scratch

    limit_s = seconds("--time-limit", time_limit)
    if exact and repeats > 1:
        raise UsageError("--exact runs once: the weights are the same or they are not; leave out --repeats")
    config = override(workspaces.config_of(workspace), gpus=gpus, runtime=runtime)
    engine = setup.connect(config)
    facts = read_labels(engine, tag)
    likely = [Path(path) for path in (config.data, facts.data_path) if path]
    folder = locate(tag, facts.data_sha256, named=data.resolve() if data else None, likely=likely)
    environment = setup.set_up(
        _config_as_recorded(config, facts, engine.dialect.local), data=folder, progress=say
    )

    require_device(facts, environment.devices.model)

    def pipeline_for(image: str, wall_clock_s: float) -> Pipeline:
        environment.require_unseen(image)
        return replace(
            environment.pipeline,
            image=image,
            limits=replace(environment.pipeline.limits, wall_clock_s=wall_clock_s),
        )

    say(f"running {tag} again under the same limits")
    with signals(), scratch("reproduce") as home:
        found = again(
            environment.engine,
            facts,
            pipeline_for,
            home / "again",
            exact=exact,
            repeats=repeats,
            time_limit_s=limit_s,
            cpu_model=environment.conditions.cpu_model,
        )
    if json:
        envelope(
            "reproduce",
            tag=tag,
            verdict=str(found.verdict),
            reason=found.reason,
            recorded=found.recorded,
            measured=found.measured,
            band=found.band,
            gain=found.gain,
            exact=found.exact,
            weights_equal=found.weights_equal,
            outcome=str(found.evaluations[-1].outcome),
            runs=len(found.evaluations),
            answers=found.answers,
            answers_needed=found.answers_needed,
        )
    else:
        weights = (
            "" if found.weights_equal is None else f"  weights {'equal' if found.weights_equal else 'differ'}"
        )
        gain = f"  gain claimed {number(found.gain)}" if found.gain else ""
        print(
            f"{found.verdict}  recorded {number(found.recorded)}  now {number(found.measured)}  band ±{number(found.band)}{gain}{weights}"
        )
    if found.verdict is not Verdict.PASS:
        error = ReproduceMismatch if found.verdict is Verdict.FAIL else Inconclusive
        failed(error(explain(found)))


def require_device(facts: SnapshotLabels, here: str) -> None:
    """Raises CannotReproduce where scores would not compare; an older image does not say what it was trained on."""
    if facts.device not in {"", here}:
        raise CannotReproduce(
            f"{facts.tag} was trained on {facts.device}, and this is {here}, so the scores would not compare: name such a GPU with --gpus, "
            "or run it on such a machine"
        )


def _config_as_recorded(config: Config, facts: SnapshotLabels, engine_is_local: bool) -> Config:
    """`config` with the limits under which the image was kept, as far as this machine has so much; what an older image does not say
    stays. Raises CannotReproduce where this machine lacks what it was kept on."""
    from runner.evaluation.device_selection import host_memory

    most = host_memory() if engine_is_local else facts.memory_bytes
    same = {
        "compile_check": "off",
        "variant": facts.variant or config.variant,
        "memory_gb": min(facts.memory_bytes, most) / GIB if facts.memory_bytes else config.memory_gb,
        "pids": facts.pids or config.pids,
    }
    if facts.judge_wall_clock_s:
        same["judge_wall_clock"] = f"{facts.judge_wall_clock_s:f}s"
    if facts.cpus:
        same["cpus"] = min(facts.cpus, len(os.sched_getaffinity(0)))
    if facts.preset == "cpu":
        same["gpus"] = "none"
    elif facts.preset == "gpu" and config.gpus in {"", "none"}:
        raise CannotReproduce(
            f"{facts.tag} was trained on a GPU: leave out --gpus {config.gpus or '(it is empty)'}"
        )
    return replace(config, **same)  # type: ignore[arg-type]
