"""Which display a run gets: a live table on a terminal, one line per event elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from runner.errors import UsageError
from runner.protocols import Event
from runner.store.ledger import Ledger
from runner.suggestions import unknown

NAMES = ("auto", "live", "plain", "json", "none")


Display = AbstractContextManager[Callable[[Event], None]]


def refuse_unknown(name: str) -> None:
    """Raises UsageError."""
    if name not in NAMES:
        raise UsageError(unknown("display", name, NAMES))


def make(name: str, ledger: Ledger, run: str, budget_s: float) -> Display:
    """A context manager whose value is called with each event. `name` is one of NAMES."""
    if name == "auto":
        name = "live" if sys.stderr.isatty() else "plain"
    if name == "live":
        from runner.display.live import LiveDisplay

        return LiveDisplay(ledger, run, budget_s)
    from runner.display.lines import LineDisplay

    return LineDisplay(name)
