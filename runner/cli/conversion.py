"""Values of options without pydantic, which takes 0.1 s to load: typer has it look at every option that is no switch, given or not.

What needs no conversion is handed on here. Everything else, bad input above all, is left to typer and its messages. An empty text
is refused for every option and argument of every verb: it is a variable of a script that was not set, and means nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from runner.errors import UsageError

_MAX_DIGITS = 15


class Command(TyperCommand):
    """A verb."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        params = self.get_params(ctx)
        _spare_pydantic(params)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            said = getattr(error, "format_message", str)()
            if "extra argument" not in said or all("-C" not in param.opts for param in params):
                raise
            raise UsageError(f"{said.rstrip('.')}; a workspace is named with -C DIR") from error


class Group(TyperGroup):
    """The program, or a verb of two words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _spare_pydantic(self.get_params(ctx))
        return super().parse_args(ctx, args)


def _spare_pydantic(params: Sequence[Any]) -> None:
    """typer makes its parameters itself and takes no class for them, so the method is replaced in each."""
    for param in params:
        param.process_value = functools.partial(_processed, param, param.process_value)


def _processed(param: Any, by_typer: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    """What click's Parameter.process_value makes of a word of the command line, or of the default. Raises UsageError."""
    if not ctx.resilient_parsing:  # else the shell completes
        _refuse_empty(param, value)
    done, result = _plain(param, value)
    if not done:
        return by_typer(ctx, value)
    return result if param.callback is None else param.callback(ctx, param, result)


def _refuse_empty(param: Any, value: Any) -> None:
    words = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(word, str) and not word.strip() for word in words):
        option = param.param_type_name == "option"
        name = max(param.opts, key=len) if option else (param.metavar or param.name).strip("[]").upper()
        raise UsageError(f"{name} is empty: {'leave it out, or ' if option else ''}give it a value")


def _plain(param: Any, value: Any) -> tuple[bool, Any]:
    """Whether `value` is absent, ASCII text for a str, a path, or digits for an int in its range; and what typer would make of it."""
    described = getattr(param, "type_descriptor", None)  # an older typer has none, and no pydantic
    if described is None:
        return False, None
    if value is None:
        return not param.required, None
    info, wanted = described.parameter_info, described.annotation
    if type(value) is not str or not value.isascii() or info.parser is not None:
        return False, None
    if wanted is str:
        return True, value
    if wanted is Path and not (info.exists or info.resolve_path or info.allow_dash):
        return True, Path(value)
    if wanted is int and value.isdigit() and len(value) <= _MAX_DIGITS:
        number = int(value)
        return (info.min is None or number >= info.min) and (info.max is None or number <= info.max), number
    return False, None
