"""The verb ls."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from runner.cli.experiment_rows import experiment_row, listing, open_run, run_row
from runner.cli.options import Json, RunId, Workspace
from runner.cli.output import envelope, number, table
from runner.errors import UsageError
from runner.store import workspace as workspaces
from runner.store.config import LARGEST_NUMBER
from runner.store.ledger import Ledger
from sandbox.sanitise import one_line


def ls(
    run: RunId = None,
    workspace: Workspace = None,
    runs: Annotated[bool, typer.Option("--runs", help="The runs of the workspace instead.")] = False,
    last: Annotated[
        int | None, typer.Option("-n", "--last", help="Only the last N.", min=1, max=LARGEST_NUMBER)
    ] = None,
    json: Json = False,
) -> None:
    """All experiments of a run, or all runs."""
    if runs:
        if run is not None:
            raise UsageError("--runs lists all runs: leave out --run")
        _list_runs(workspace, last, as_json=json)
        return
    _, ledger, found = open_run(run, workspace)
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


def _list_runs(folder: Path | None, last: int | None, *, as_json: bool) -> None:
    """In the order they were begun."""
    place = workspaces.named(folder)
    ledger = Ledger(place.ledger, read_only=True)
    found = [run_row(place, ledger, run) for run in ledger.runs()[-(last or 0) :]]
    if as_json:
        envelope("ls-runs", runs=found)
        return
    rows = [
        (
            row["run"],
            time.strftime("%Y-%m-%d %H:%M", time.localtime(row["created_at"])),
            str(row["experiments"]),
            str(row["kept"]),
            str(row["confirmed"]),
            number(row["best_val_bpb"]),
            f"{row['spent_s']:.0f} s",
            "running"
            if row["running"]
            else one_line(row["stop_reason"] or "not finished; `autoresearch resume --run` goes on"),
        )
        for row in found
    ]
    print(table(rows, ("run", "begun", "experiments", "adopted", "confirmed", "best", "spent", "ended")))
