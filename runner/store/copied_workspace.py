"""Which of two copies of a workspace a run belongs to.

A copied workspace has the run's ledger and so its name, by which its containers are removed and its images are tagged: two
copies that both go on would end each other's trainings and replace each other's images. A run is at home where it last went
on, as long as it is still there; a workspace that was moved is not a copy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from runner.errors import UsageError

HOME = "home"
"""Of a run's settings: the file of its ledger, as an absolute path."""


def home_of(ledger: Path) -> dict[str, str]:
    """What a run's settings say while it is at work in the workspace of `ledger`."""
    return {HOME: str(ledger.resolve())}


def other_home(ledger: Path, run: str, settings: Mapping[str, Any]) -> Path | None:
    """The workspace where `run` is at home, if that is another one than that of `ledger`."""
    home = Path(str(settings.get(HOME) or ledger))
    with suppress(OSError, ValueError):
        if not home.is_file() or home.samefile(ledger):
            return None
        return home.parent.parent if _holds(home, run) else None
    return None


def require_at_home(ledger: Path, run: str, settings: Mapping[str, Any]) -> None:
    """Raises UsageError in a copy of the workspace."""
    if (other := other_home(ledger, run, settings)) is not None:
        raise UsageError(
            f"this workspace is a copy of {other}, where run {run} is: two that go on would end each other's trainings and "
            "replace each other's images; resume there, begin a new run here without --resume, or remove that one first"
        )


def _holds(ledger: Path, run: str) -> bool:
    try:
        with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
            return db.execute("SELECT 1 FROM runs WHERE id = ?", (run,)).fetchone() is not None
    except sqlite3.Error:  # unknown: images that may belong to another workspace are not touched
        return True
