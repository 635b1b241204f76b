"""The verb diff."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.experiment_rows import open_run
from runner.cli.options import Json, Number, RunId, Workspace
from runner.cli.output import envelope, say
from runner.store.config import LARGEST_NUMBER


def diff(
    a: Number,
    b: Annotated[
        int | None,
        typer.Argument(help="Another one; its parent if not said.", min=0, max=LARGEST_NUMBER),
    ] = None,
    run: RunId = None,
    workspace: Workspace = None,
    json: Json = False,
) -> None:
    """What changed from one experiment's train.py to another's."""
    from runner.report.html import diff as unified

    _, ledger, found = open_run(run, workspace)
    first = ledger.experiment(found.id, a)
    if b is None:
        before, after = ledger.experiment(found.id, first.parent if first.parent is not None else a), first
    else:
        before, after = first, ledger.experiment(found.id, b)
    text = unified(before, after)
    if json:
        envelope("diff", run=found.id, before=before.number, after=after.number, diff=text)
    elif text:
        print(text)
    else:
        say("nothing changed" if before.number != after.number else "it has no parent to compare it with")
