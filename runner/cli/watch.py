"""Verbs about a runner that is at work in another terminal: watch, stop, resume."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.options import WorkspaceFolder
from runner.cli.output import say
from runner.exit_codes import ExitCode
from runner.store import workspace as workspaces

if TYPE_CHECKING:
    from runner.display.factory import Display


def watch(
    folder: WorkspaceFolder = None,
    json: Annotated[bool, typer.Option("--json", help="One event a line on stdout.")] = False,
) -> None:
    """Follow a live run: a table on a terminal, else one line per event. Ctrl-C ends the watching, not the run."""
    from runner.display.follow import find, follow
    from runner.display.lines import LineDisplay

    workspace = workspaces.named(folder)
    try:
        watched = find(workspace)
        if json or not sys.stdout.isatty():
            display: Display = LineDisplay("json" if json else "plain", sys.stdout)
        else:
            from runner.display.live import LiveDisplay

            display = LiveDisplay(watched.ledger, watched.run, float(watched.launch.data["budget_s"]))  # type: ignore[arg-type]
        with display as show:
            for event in follow(workspace, watched):
                show(event)
    except KeyboardInterrupt:
        say("no longer watching; the run goes on")
        raise typer.Exit(ExitCode.STOPPED) from None
