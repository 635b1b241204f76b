"""The verb watch: follows a runner that is at work in another terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.options import Workspace, WorkspaceFolder, one_folder
from runner.cli.output import say
from runner.exit_codes import ExitCode
from runner.store import workspace as workspaces

if TYPE_CHECKING:
    from runner.display.factory import Display


def watch(
    folder: WorkspaceFolder = None,
    workspace: Workspace = None,
    json: Annotated[bool, typer.Option("--json", help="One event a line on stdout.")] = False,
) -> None:
    """Follow a live run: a table on a terminal, else one line per event. Ctrl-C ends the watching, not the run."""
    from runner.display.follow import find, follow
    from runner.display.lines import LineDisplay

    place = workspaces.named(one_folder(folder, workspace))
    try:
        watched = find(place)
        if json or not sys.stdout.isatty():
            display: Display = LineDisplay("json" if json else "plain", sys.stdout)
        else:
            from runner.display.live import LiveDisplay

            display = LiveDisplay(watched.ledger, watched.run, float(watched.launch.data["budget_s"]))  # type: ignore[arg-type]
        with display as show:
            for event in follow(place, watched):
                show(event)
    except KeyboardInterrupt:
        say("no longer watching; the run goes on")
        raise typer.Exit(ExitCode.STOPPED) from None
