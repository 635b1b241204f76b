"""Options and arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
WorkspaceFolder = Annotated[
    Path | None, typer.Argument(metavar="[DIR]", help="The workspace; this one if not said.")
]
