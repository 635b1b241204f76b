"""All verbs, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from runner.cli.conversion import Command, Group

_VERBS = {
    "init": "init:init",
    "doctor": "doctor:doctor",
    "build": "build:build",
    "run": "run:run",
    "try": "try_script:try_",
    "status": "status:status",
    "watch": "watch:watch",
    "stop": "stop:stop",
    "resume": "resume:resume",
    "ls": "ls:ls",
    "show": "show:show",
    "logs": "logs:logs",
    "diff": "diff:diff",
    "best": "best:best",
    "reproduce": "reproduce:reproduce",
    "export": "export:export",
    "apply": "apply:apply",
    "gc": "gc:gc",
    "calibrate": "calibrate:calibrate",
    "report": "report:report",
    "plot": "plot:plot",
}
"""Where each is: a module of this package and a function in it."""
_GROUPS = {"data": "data:data_app", "sandbox": "sandbox:sandbox_app", "task": "task:task_app"}
"""Verbs of two words, for instance `data prepare`."""


def program(words: Sequence[str]) -> typer.Typer:
    """With the verb that `words` begin with; with all where they begin with none, for a list, a completion or a slip."""
    app = typer.Typer(
        cls=Group,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(common)
    verb = words[0] if words else None
    one = verb in _VERBS or verb in _GROUPS
    for name, place in _VERBS.items():
        if not one or name == verb:
            app.command(name, cls=Command)(_at(place))
    for name, place in _GROUPS.items():
        if not one or name == verb:
            app.add_typer(_at(place), name=name)
    return app


def _at(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"runner.cli.{module}"), name)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # 30 ms, and asked for here alone

        from runner.resources import build_commit

        commit = build_commit()
        print(f"autoresearch {version('autoresearch-sandboxed')}" + (f" ({commit})" if commit else ""))
        raise typer.Exit


def common(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print which version this is."
        ),
    ] = False,
) -> None:
    """Search for a better training script overnight: sandboxed, judged from outside, repeatable."""
