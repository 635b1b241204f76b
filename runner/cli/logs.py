"""The verb logs."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.experiment_rows import open_run
from runner.cli.options import Json, Number, RunId, Workspace
from runner.cli.output import envelope, say
from runner.errors import UsageError
from runner.store.config import LARGEST_NUMBER


def logs(
    experiment: Number,
    run: RunId = None,
    workspace: Workspace = None,
    attempt: Annotated[
        int | None,
        typer.Option(help="Which attempt; the last if not said.", min=1, max=LARGEST_NUMBER),
    ] = None,
    json: Json = False,
) -> None:
    """The end of what the script printed, made harmless. Not evidence of anything."""
    _, ledger, found = open_run(run, workspace)
    attempts = [a for a in ledger.experiment(found.id, experiment).attempts if attempt in {None, a.attempt}]
    if attempt is not None and not attempts:
        raise UsageError(
            f"experiment {experiment} has no attempt {attempt}; `autoresearch show {experiment}` lists them"
        )
    text = attempts[-1].log_tail if attempts else ""
    if json:
        envelope("logs", run=found.id, number=experiment, log_tail=text)
    elif text:
        print(text)
    else:
        say("it printed nothing" if attempts else "it has not run")
