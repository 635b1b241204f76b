"""stdout is data, stderr is progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from runner.errors import RunnerError


def envelope(verb: str, **content: Any) -> None:
    """One JSON object with a schema name; never a bare array."""
    print(json.dumps({"schema": f"autoresearch/{verb}/1", **content}))


def say(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


def failed(error: RunnerError) -> NoReturn:
    """End with the error's exit code where the answer on stdout already says what happened: one object, not two."""
    say(f"autoresearch: {error}")
    raise typer.Exit(error.exit_code)


def table(rows: Sequence[tuple[str, ...]], header: tuple[str, ...]) -> str:
    """Plain columns; the last one is not padded."""
    columns = [
        [cell.ljust(width) for cell in column]
        for column in zip(header, *rows, strict=True)
        for width in (max(map(len, column)),)
    ]
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
