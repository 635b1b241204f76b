"""Options and arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.durations import parse_duration
from runner.errors import UsageError
from runner.resources import VARIANTS
from runner.store.config import LARGEST_NUMBER
from runner.suggestions import unknown

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


def automatic_or(variant: str) -> str:
    """The variant of the images that was named; for "auto" what this machine trains on. Raises UsageError for an unknown one."""
    from runner.cli.output import say
    from runner.evaluation.setup import automatic_variant

    names = ("auto", *VARIANTS)
    if variant not in names:
        raise UsageError(f"--variant: {unknown('variant', variant, names)}")
    return automatic_variant(say) if variant == "auto" else variant


def seconds(option: str, text: str | None) -> float | None:
    """Of a duration, None where none was given. Raises UsageError, which names the option."""
    try:
        return None if text is None else parse_duration(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error


def one_folder(argument: Path | None, option: Path | None) -> Path | None:
    """The workspace that was named, for a verb that takes it in both ways. Raises UsageError."""
    if argument is not None and option is not None:
        raise UsageError("a workspace is named twice: leave out the argument or -C")
    return argument if option is None else option
