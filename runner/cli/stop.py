"""The verb stop."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.options import Json, Workspace, WorkspaceFolder, one_folder
from runner.cli.output import envelope, say
from runner.errors import UsageError
from runner.exit_codes import ExitCode
from runner.store import workspace as workspaces

_LOOK_S = 0.5


def stop(
    folder: WorkspaceFolder = None,
    workspace: Workspace = None,
    after_experiment: Annotated[
        bool, typer.Option("--after-experiment", help="Let it finish the present experiment first.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it has ended.")] = True,
    json: Json = False,
) -> None:
    """Ask the runner of a workspace to end, as one Ctrl-C in its terminal would, and wait until it has."""
    from runner.search.stop_request import Process, StopResult, end_after_experiment
    from runner.store.workspace_lock import at_work

    place = workspaces.named(one_folder(folder, workspace))
    found = at_work(place.state)
    asked, ended, pid = StopResult.NOT_RUNNING, True, None
    if found is not None:
        pid = found.owner.pid
        if after_experiment and found.verb != "run":
            raise UsageError(
                f"`autoresearch {found.verb}` is at work here and has no experiments; stop it without this"
            )
        with Process(found.owner) as process:
            if after_experiment:
                asked = end_after_experiment(place.state, found.owner)
            else:
                asked = process.interrupt()
            if wait and not process.has_ended(0):
                what = "to finish its experiment" if after_experiment else "to clear up"
                say(f"process {pid} has been asked to end; waiting for it {what}")
            try:
                while wait and not process.has_ended(_LOOK_S):
                    pass
            except KeyboardInterrupt:
                say("no longer waiting; it has been asked all the same")
                raise typer.Exit(ExitCode.STOPPED) from None
            ended = process.has_ended(0)
    if json:
        envelope("stop", asked=str(asked), pid=pid, ended=ended)
    elif asked is StopResult.NOT_RUNNING:
        print(f"nothing is running in {place.folder}")
    else:
        print(f"process {pid} {'has ended' if ended else 'will end'}; `autoresearch resume` goes on")
