"""Options and arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.errors import UsageError
from runner.store.config import LARGEST_NUMBER

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
RunId = Annotated[str | None, typer.Option("--run", help="Which run; the newest if not said.")]
Number = Annotated[
    int, typer.Argument(help="The experiment's number, as `ls` shows it.", min=0, max=LARGEST_NUMBER)
]
Kept = Annotated[str, typer.Argument(help="A kept experiment: its number, its tag, or best.")]
Gpus = Annotated[
    str | None,
    typer.Option(help="auto, all, none, a number of GPUs, or which: 0,2 or UUIDs (docs/gpus.md)."),
]
DisplayName = Annotated[
    str,
    typer.Option(
        "--display", help="auto, live, plain, json or none; auto is live on a terminal, else plain."
    ),
]
Workspace = Annotated[
    Path | None,
    typer.Option("-C", "--workspace", metavar="DIR", help="The workspace; the one you are in if not said."),
]
"""Of every verb that reads or changes one. Other paths on the command line still begin at the present folder."""
WorkspaceFolder = Annotated[Path | None, typer.Argument(metavar="[DIR]", help="The same as -C DIR.")]


def one_folder(argument: Path | None, option: Path | None) -> Path | None:
    """The workspace that was named, for a verb that takes it in both ways. Raises UsageError."""
    if argument is not None and option is not None:
        raise UsageError("a workspace is named twice: leave out the argument or -C")
    return argument if option is None else option
