"""Which display a run gets: a live table on a terminal, one line per event elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from runner.errors import UsageError
from runner.protocols import Event
from runner.store.ledger import Ledger
from runner.store.workspace import Workspace

NAMES = ("auto", "live", "plain", "json", "none")


Display = AbstractContextManager[Callable[[Event], None]]


def make(name: str, workspace: Workspace, ledger: Ledger, run: str, budget_s: float) -> Display:
    """A context manager whose value is called with each event. Raises UsageError for an unknown name."""
    if name == "auto":
        name = "live" if sys.stderr.isatty() else "plain"
    if name == "live":
        from runner.display.live import LiveDisplay

        return LiveDisplay(ledger, run, budget_s)
    if name in {"plain", "json", "none"}:
        from runner.display.lines import LineDisplay

        return LineDisplay(name)
    raise UsageError(
        f"there is no display {name!r}; choose one of {', '.join(NAMES)} ({workspace.folder} is untouched)"
    )
