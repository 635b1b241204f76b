"""Verbs about containers and volumes with our labels: sandbox ls, sandbox reap."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from runner.cli.conversion import Command, Group
from runner.cli.options import Json
from runner.cli.output import envelope, table
from runner.evaluation import setup
from runner.store.config import Config
from sandbox.engine import Remnant

sandbox_app = typer.Typer(
    cls=Group, help="See and remove what our containers left behind.", no_args_is_help=True
)


@sandbox_app.command("ls", cls=Command)
def ls(json: Json = False) -> None:
    """Every container and volume of this user that carries our labels."""
    _show("sandbox-ls", setup.connect(Config()).remnants(), json)


@sandbox_app.command("reap", cls=Command)
def reap(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Remove what is past its deadline or whose owner is dead; nothing else is touched."""
    _show("sandbox-reap", setup.connect(Config()).reap(now=time.time(), dry_run=dry_run), json)


def _show(verb: str, found: Sequence[Remnant], as_json: bool) -> None:
    if as_json:
        envelope(verb, remnants=[asdict(remnant) for remnant in found])
    elif found:
        print(
            table(
                [(r.kind, r.name, r.run, r.role, r.reason) for r in found],
                ("kind", "name", "run", "role", "reason"),
            )
        )
    else:
        print("nothing")
