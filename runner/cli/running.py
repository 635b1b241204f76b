"""Verbs about a runner that is at work in another terminal: watch, stop, resume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner import workspace as workspaces
from runner.cli.output import envelope, say
from runner.errors import UsageError

Folder = Annotated[Path | None, typer.Argument(metavar="[DIR]", help="The workspace; this one if not said.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
_LOOK_S = 0.5
_GO_ON = "`autoresearch resume` goes on"


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
