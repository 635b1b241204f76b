"""The verb gc: frees disk space."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from runner.cli.options import Workspace
from runner.cli.output import envelope, say, table
from runner.evaluation import setup
from runner.exit_codes import ExitCode
from runner.store import workspace as workspaces


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    workspace: Workspace = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Remove what no kept experiment needs. The ledger, scripts and logs stay; refused while a run is at work here."""
    from runner.cli.signals import signals
    from runner.results.garbage_collection import (
        remove_abandoned_folders,
        remove_unneeded_files,
        remove_unneeded_images,
    )
    from runner.store.ledger import Ledger
    from runner.store.workspace_lock import lock
    from sandbox.engine import SandboxError

    place = workspaces.named(workspace)
    missing = ""
    with lock(place.state, "gc"), signals():
        freed = remove_abandoned_folders(dry_run=dry_run)
        if place.ledger.exists():  # else nothing was ever run here
            ledger = Ledger(place.ledger, read_only=True)
            freed += remove_unneeded_files(ledger, dry_run=dry_run)
            try:
                engine = setup.connect(place.config())
                freed += remove_unneeded_images(ledger, engine, dry_run=dry_run)
            except SandboxError as error:
                missing = str(error)
    total = sum(item.bytes for item in freed)
    if json:
        envelope(
            "gc",
            dry_run=dry_run,
            freed=[asdict(f) for f in freed],
            bytes=total,
            not_looked_at=missing or None,
        )
    else:
        if freed:
            print(table([(f.kind, f"{f.bytes / 1e6:.1f}", f.name) for f in freed], ("kind", "MB", "name")))
        print(f"{len(freed)} things, {total / 1e6:.1f} MB {'would go' if dry_run else 'freed'}")
    if missing:
        say(f"autoresearch: images were not looked at: {missing}")
        raise typer.Exit(ExitCode.PREREQUISITE)
