"""The verb report."""

from __future__ import annotations

from runner.cli.options import Json, RunId, Workspace
from runner.cli.output import envelope
from runner.store import workspace as workspaces


def report(run: RunId = None, workspace: Workspace = None, json: Json = False) -> None:
    """Write results.tsv, progress.png and report.html from the ledger."""
    from runner.report.write_report import write
    from runner.store.ledger import Ledger

    place = workspaces.named(workspace)
    ledger = Ledger(place.ledger, read_only=True)
    paths = write(place, ledger, ledger.run(run).id)
    if json:
        envelope("report", **{name: str(path) for name, path in paths.items()})
    else:
        for path in paths.values():
            print(path)
