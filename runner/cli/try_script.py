"""The verb try."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import Gpus, Workspace
from runner.cli.output import envelope, failed, number, say
from runner.cli.signals import signals
from runner.durations import format_duration
from runner.store import workspace as workspaces
from runner.store.config import LARGEST_NUMBER, override


def try_(
    file: Annotated[Path, typer.Argument(help="Any training script.")],
    wall_clock: Annotated[str | None, typer.Option(help="Wall clock of the training: 30s, 5m.")] = None,
    compile_check: Annotated[
        str | None, typer.Option(help="Two steps of a new script first, in at most so long: 60s; or off.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="A prepared data set.")] = None,
    gpus: Gpus = None,
    runtime: Annotated[
        str | None, typer.Option(help="An OCI runtime the engine knows: runsc for gVisor.")
    ] = None,
    seed: Annotated[int, typer.Option(help="What harness.seed will be.", min=0, max=LARGEST_NUMBER)] = 0,
    workspace: Workspace = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Evaluate any script once (check, sandbox, collect, judge), without an agent or a run."""
    from runner.evaluation.compile_report import report_in, sentence
    from runner.evaluation.try_script import attempt
    from runner.store.temporary_folder import scratch

    source = workspaces.read_script(file)
    config = override(
        workspaces.config_of(workspace),
        wall_clock=wall_clock,
        compile_check=compile_check,
        gpus=gpus,
        runtime=runtime,
        data=str(data.resolve()) if data else None,
    )
    with signals(), scratch("try") as folder:
        evaluation = attempt(source, config, seed=seed, folder=folder / "evaluation", progress=say)
        check = report_in(evaluation.folder)
    if json:
        envelope(
            "try",
            outcome=str(evaluation.outcome),
            reason=evaluation.reason,
            val_bpb=evaluation.val_bpb,
            seconds=round(evaluation.seconds, 3),
            train_sha256=evaluation.train_sha256,
            params_sha256=evaluation.params_sha256,
            compile_check=check,
            contention=evaluation.contention,
            log_tail=evaluation.log_tail,
        )
    else:
        if check is not None:
            say(sentence(check))
        reason = f" ({evaluation.reason})" if evaluation.reason else ""
        print(
            f"{evaluation.outcome}{reason}  val_bpb {number(evaluation.val_bpb, 6)}  after {format_duration(evaluation.seconds)}"
        )
        if evaluation.contention:
            say(f"{evaluation.contention}, so this score says less than another one")
        if evaluation.val_bpb is None and evaluation.log_tail:
            say(evaluation.log_tail[-2000:])
    if evaluation.outcome == "infrastructure":
        from runner.errors import PrerequisiteMissing

        why = evaluation.detail or evaluation.reason
        failed(PrerequisiteMissing(f"the engine failed: {why}; `autoresearch doctor` may know why"))
