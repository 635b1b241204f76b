"""The verb report."""

from __future__ import annotations

from pathlib import Path

from runner.cli.options import Json, RunId
from runner.cli.output import envelope
from runner.store import workspace as workspaces


def report(run: RunId = None, json: Json = False) -> None:
    """Write results.tsv, progress.png and report.html from the ledger."""
    from runner.report.write_report import write
    from runner.store.ledger import Ledger

    workspace = workspaces.find(Path.cwd())
    ledger = Ledger(workspace.ledger, read_only=True)
    paths = write(workspace, ledger, ledger.run(run).id)
    if json:
        envelope("report", **{name: str(path) for name, path in paths.items()})
    else:
        for path in paths.values():
            print(path)
