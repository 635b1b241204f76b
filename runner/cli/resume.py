"""The verb resume."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated

import typer

from runner.cli.options import DisplayName, RunId, Workspace, WorkspaceFolder, one_folder
from runner.cli.output import say
from runner.store import workspace as workspaces
from runner.store.config import LARGEST_NUMBER


def resume(
    folder: WorkspaceFolder = None,
    run: RunId = None,
    workspace: Workspace = None,
    budget: Annotated[str | None, typer.Option(help="A new wall clock of the whole search: 12h.")] = None,
    max_experiments: Annotated[
        int | None, typer.Option(help="A new number of trained proposals.", min=1, max=LARGEST_NUMBER)
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Dollars the model may cost in the whole run.")
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Limit of prompt and completion tokens of the whole run.", min=1, max=10**15),
    ] = None,
    no_call: Annotated[
        bool, typer.Option("--no-call", help="Do not ask the model something small first.")
    ] = False,
    unsafe_unheld_limits: Annotated[
        bool, typer.Option("--unsafe-unheld-limits", help="Not stored with the run: give it again.")
    ] = False,
    display: DisplayName = "auto",
    json: Annotated[bool, typer.Option("--json", help="One event a line on stdout.")] = False,
) -> None:
    """Go on with the newest run of a workspace, or an earlier one, with the options it was started with."""
    from runner.cli.run import limit_options
    from runner.cli.signals import signals
    from runner.search.endings import ALL_DONE, TIME_BUDGET_EXHAUSTED
    from runner.search.session import session
    from runner.store.config import Config

    options = limit_options(budget, max_experiments, max_cost, max_tokens)
    place = workspaces.named(one_folder(folder, workspace))
    os.chdir(place.folder)  # the run's options may hold paths relative to it
    options = replace(options, run=run, unheld_limits=unsafe_unheld_limits, call=not no_call)
    with signals():
        reason = session(place, Config(), options, display="json" if json else display)
    more = {TIME_BUDGET_EXHAUSTED: "--budget", ALL_DONE: "--max-experiments"}.get(reason)
    if more is not None:
        say(f"it ended for its {more[2:]}; `autoresearch resume {more}` with a larger one goes on")
