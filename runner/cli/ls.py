"""The verb ls."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.experiment_rows import experiment_row, listing, open_run
from runner.cli.options import Json, RunId
from runner.cli.output import envelope
from runner.store.config import LARGEST_NUMBER


def ls(
    run: RunId = None,
    last: Annotated[
        int | None, typer.Option("-n", "--last", help="Only the last N.", min=1, max=LARGEST_NUMBER)
    ] = None,
    json: Json = False,
) -> None:
    """All experiments of a run."""
    _, ledger, found = open_run(run)
    if json:
        experiments = ledger.experiments(found.id)[-(last or 0) :]
        envelope(
            "ls",
            run=found.id,
            counts=ledger.counts(found.id),
            experiments=[experiment_row(e, found) for e in experiments],
        )
    else:
        print(listing(ledger.lines(found.id, newest=last)))
