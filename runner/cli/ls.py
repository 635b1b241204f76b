"""The verb ls."""

from __future__ import annotations

from runner.cli.experiment_rows import experiment_row, listing, open_run
from runner.cli.options import Json, RunId
from runner.cli.output import envelope


def ls(run: RunId = None, json: Json = False) -> None:
    """All experiments of a run."""
    _, ledger, found = open_run(run)
    if json:
        envelope(
            "ls",
            run=found.id,
            counts=ledger.counts(found.id),
            experiments=[experiment_row(e, found) for e in ledger.experiments(found.id)],
        )
    else:
        print(listing(ledger.lines(found.id)))
