"""Verbs about a runner that is at work in another terminal: watch, stop, resume."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import workspace as workspaces
from runner.cli.output import envelope, say
from runner.errors import UsageError
from runner.workspace import LARGEST_NUMBER

if TYPE_CHECKING:
    from runner.display import Display

Folder = Annotated[Path | None, typer.Argument(metavar="[DIR]", help="The workspace; this one if not said.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
_LOOK_S = 0.5
_GO_ON = "`autoresearch resume` goes on"


def watch(
    folder: Folder = None,
    json: Annotated[bool, typer.Option("--json", help="One event a line on stdout.")] = False,
) -> None:
    """Follow a live run: a table on a terminal, else one line per event. Ctrl-C ends the watching, not the run."""
    from runner.display.lines import LineDisplay
    from runner.watch import find, follow

    workspace = workspaces.find(folder or Path.cwd())
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
        raise typer.Exit(130) from None


def stop(
    folder: Folder = None,
    after_experiment: Annotated[
        bool, typer.Option("--after-experiment", help="Let it finish the present experiment first.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it has ended.")] = True,
    json: Json = False,
) -> None:
    """Ask the runner of a workspace to end, as one Ctrl-C in its terminal would, and wait until it has."""
    from runner.lock import at_work
    from runner.stopping import Asked, Process, end_after_experiment

    workspace = workspaces.find(folder or Path.cwd())
    found = at_work(workspace.state)
    asked, ended, pid = Asked.NOT_RUNNING, True, None
    if found is not None:
        pid = found.owner.pid
        if after_experiment and found.verb != "run":
            raise UsageError(
                f"`autoresearch {found.verb}` is at work here and has no experiments; stop it without this"
            )
        with Process(found.owner) as process:
            if after_experiment:
                asked = end_after_experiment(workspace.state, found.owner)
            else:
                asked = process.interrupt()
            if wait and not process.gone(0):
                what = "to finish its experiment" if after_experiment else "to clear up"
                say(f"process {pid} has been asked to end; waiting for it {what}")
            try:
                while wait and not process.gone(_LOOK_S):
                    pass
            except KeyboardInterrupt:
                say("no longer waiting; it has been asked all the same")
                raise typer.Exit(130) from None
            ended = process.gone(0)
    if json:
        envelope("stop", asked=str(asked), pid=pid, ended=ended)
    elif asked is Asked.NOT_RUNNING:
        print(f"nothing is running in {workspace.folder}")
    else:
        print(f"process {pid} {'has ended' if ended else 'will end'}; {_GO_ON}")


def resume(
    folder: Folder = None,
    budget: Annotated[str | None, typer.Option(help="A new wall clock of the whole search: 12h.")] = None,
    max_experiments: Annotated[
        int | None, typer.Option(help="A new number of trained proposals.", min=1, max=LARGEST_NUMBER)
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Dollars the model may cost in the whole run.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Tokens the model may take.", min=1, max=10**15)
    ] = None,
    no_call: Annotated[
        bool, typer.Option("--no-call", help="Do not ask the model something small first.")
    ] = False,
    unsafe_unheld_limits: Annotated[
        bool, typer.Option("--unsafe-unheld-limits", help="Never remembered: to be said again.")
    ] = False,
    display: Annotated[str, typer.Option(help="auto, live, plain or none.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One event a line on stdout.")] = False,
) -> None:
    """Go on with the newest run of a workspace, with the options it was started with."""
    from runner.cli.search import extent
    from runner.cli.signals import signals
    from runner.loop import ALL_DONE, BUDGET_GONE
    from runner.session import session
    from runner.workspace import Config

    options = extent(budget, max_experiments, max_cost, max_tokens)
    workspace = workspaces.find(folder or Path.cwd())
    os.chdir(workspace.folder)  # what the run was told may be a path from there
    options = replace(options, unheld_limits=unsafe_unheld_limits, call=not no_call)
    with signals():
        reason = session(workspace, Config(), options, display="json" if json else display)
    more = {BUDGET_GONE: "--budget", ALL_DONE: "--max-experiments"}.get(reason)
    if more is not None:
        say(f"it ended for its {more[2:]}; `autoresearch resume {more}` with a larger one goes on")
