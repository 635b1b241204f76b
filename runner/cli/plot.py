"""The verb plot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.options import RunId, Workspace
from runner.cli.output import say
from runner.errors import UsageError
from runner.store import workspace as workspaces


def plot(
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where to; progress.png in the workspace if not said.")
    ] = None,
    run: RunId = None,
    workspace: Workspace = None,
) -> None:
    """Write progress.png alone."""
    from runner.report.plot import write_plot
    from runner.store import user_files
    from runner.store.ledger import Ledger
    from runner.store.temporary_folder import scratch

    if out is not None and (out.is_dir() or out.suffix not in {".png", ".svg", ".pdf"}):
        raise UsageError(f"{out} is no name for a picture: end it with .png, .svg or .pdf")
    place = workspaces.named(workspace)
    out = out or place.folder / "progress.png"
    ledger = Ledger(place.ledger, read_only=True)
    with scratch("plot") as folder:
        made = folder / f"plot{out.suffix}"
        write_plot(made, ledger.experiments(ledger.run(run).id))
        aside = user_files.put(place.state, out, made.read_bytes())
    if aside is not None:
        say(f"what was in {out} is now in {aside}")
    print(out)
