"""The verb export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner import cache
from runner.cli.options import Json, Kept, RunId, Workspace
from runner.cli.output import envelope
from runner.store import workspace as workspaces
from runner.store.config import recorded_config
from runner.store.ledger import Ledger


def export(
    which: Kept,
    to: Annotated[Path, typer.Option(help="A new folder.")],
    run: RunId = None,
    workspace: Workspace = None,
    json: Json = False,
) -> None:
    """Write a kept experiment's script, weights, graph, verdict and data manifest into a new folder."""
    from runner.results.export import export as write
    from runner.results.kept_experiment import find
    from runner.scoring.comparability import recorded

    ledger = Ledger(workspaces.named(workspace).ledger, read_only=True)
    experiment = find(ledger, which, run)
    settings = ledger.run(experiment.run).settings
    config, measured = recorded_config(settings["config"]), recorded(settings)
    variant = "cpu" if "cpu" in {config.variant, measured.get("device")} else "cuda13"
    data = Path(config.data) if config.data else cache.default_data(variant)
    hashes = write(experiment, to, data, measured.get("data"))
    if json:
        envelope("export", run=experiment.run, number=experiment.number, folder=str(to), sha256=hashes)
    else:
        for name, digest in hashes.items():
            print(f"{digest}  {to / name}")
