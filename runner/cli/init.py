"""The verb init."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.output import say
from runner.store import workspace as workspaces


def init(folder: Annotated[Path, typer.Argument(help="A new folder, or one without these files.")]) -> None:
    """Make a workspace: program.md, train.py, autoresearch.toml and a git repository."""
    from runner.results import git_lineage

    made = workspaces.create(folder)
    git_lineage.initialise(made.folder)
    print(made.folder)
    say("next: cd there, edit program.md, then `autoresearch run --budget 8h`")
