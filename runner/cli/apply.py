"""The verb apply."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import Json, Kept, RunId, Workspace
from runner.cli.output import envelope
from runner.store import workspace as workspaces
from runner.store.ledger import Ledger


def apply(
    which: Kept,
    to: Annotated[Path | None, typer.Option(help="Another file than the workspace's train.py.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Keep a copy of changes that are saved nowhere.")
    ] = False,
    run: RunId = None,
    workspace: Workspace = None,
    json: Json = False,
) -> None:
    """Make the workspace's train.py the one of a kept experiment."""
    from runner.results.apply import apply as put
    from runner.results.kept_experiment import find

    place = workspaces.named(workspace)
    ledger = Ledger(place.ledger, read_only=True)
    experiment = find(ledger, which, run)
    done = put(experiment, to or place.script, ledger, force=force)
    if json:
        envelope(
            "apply",
            run=experiment.run,
            number=experiment.number,
            file=str(done.file),
            changed=done.changed,
            backup=str(done.backup) if done.backup else None,
        )
    else:
        kept = f"; what was there is in {done.backup}" if done.backup else ""
        what = "is now" if done.changed else "is already"
        print(f"{done.file} {what} the script of experiment {experiment.number}{kept}")
