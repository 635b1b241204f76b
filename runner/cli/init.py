"""The verb init."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.output import say
from runner.store import workspace as workspaces


def init(
    folder: Annotated[Path, typer.Argument(help="A new folder, or one without these files.")],
    demo: Annotated[
        bool,
        typer.Option("--demo", help="A toy that starts from poor rates on purpose: a search takes minutes."),
    ] = False,
    template: Annotated[
        str,
        typer.Option(
            help="What train.py begins as: `default`, or `nnx`, the same model as flax.nnx modules."
        ),
    ] = "default",
) -> None:
    """Make a workspace: program.md, train.py, autoresearch.toml and a git repository."""
    from runner.results import git_lineage

    made = workspaces.create(folder, demo=demo, template=template)
    git_lineage.initialise(made.folder)
    print(made.folder)
    if demo:
        say("train.py is a toy that starts from poor rates on purpose, so that there is something to find")
        say(
            "next: `autoresearch data prepare --demo`, cd there, `autoresearch run --budget 10m --max-experiments 8`"
        )
    else:
        say("next: cd there, edit program.md, then `autoresearch run --budget 8h`")
