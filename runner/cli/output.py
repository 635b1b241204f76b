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
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]
    return "\n".join(lines)


def number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
