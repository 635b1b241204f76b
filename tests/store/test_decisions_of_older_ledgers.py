"""The order of decisions in a ledger that was written when one training ran at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from runner.store.ledger import Ledger
from runner.store.schema import MIGRATIONS

BEFORE = 8
"""Migrations of a version that did not write the order of decisions down."""


def older(path: Path) -> None:
    """A baseline run three times, a kept candidate whose decision needed another run of the baseline, a confirmation, and a candidate that
    was discarded as the run ended."""
    db = sqlite3.connect(path)
    for number in range(BEFORE):
        db.executescript(MIGRATIONS[number])
    db.execute(f"PRAGMA user_version = {BEFORE}")
    db.execute("INSERT INTO runs (id, created_at, seed, settings) VALUES ('a', 1.0, 1, '{}')")
    for number, status in enumerate(("keep", "keep", "discard")):
        db.execute(
            "INSERT INTO experiments (run, number, title, hypothesis, category, state, status, created_at)"
            " VALUES ('a', ?, '', '', '', 'decided', ?, 1.0)",
            (number, status),
        )
    attempts = [(0, None)] * 3 + [(1, None), (0, None), (1, 1), (0, 1), (2, None)]
    for place, (number, confirmation) in enumerate(attempts):
        db.execute(
            "INSERT INTO attempts (run, number, attempt, seed, folder, started_at, outcome, val_bpb, confirmation)"
            " VALUES ('a', ?, ?, ?, 'x', 1.0, 'ok', 2.0, ?)",
            (number, place + 1, place, confirmation),
        )
    db.commit()
    db.close()


def test_each_decision_lies_before_what_was_begun_after_it(tmp_path: Path) -> None:
    (tmp_path / ".autoresearch").mkdir()
    older(tmp_path / ".autoresearch" / "ledger.db")
    ledger = Ledger(tmp_path / ".autoresearch" / "ledger.db")
    assert [(e.decision, e.decided_after) for e in ledger.experiments("a")] == [(1, 3), (2, 5), (3, 8)]


def test_the_last_decision_of_an_older_run_lies_before_what_a_resumed_run_decides(tmp_path: Path) -> None:
    (tmp_path / ".autoresearch").mkdir()
    older(tmp_path / ".autoresearch" / "ledger.db")
    ledger = Ledger(tmp_path / ".autoresearch" / "ledger.db")
    ledger.add_experiment("a", 3, now=2.0, title="", hypothesis="", category="")
    ledger.start_attempt("a", 3, seed=1, folder=tmp_path, now=2.0)
    ledger.decide("a", 3, status="keep")
    _, _, last, new = ledger.experiments("a")
    assert new.decision == 4
    assert last.decided_after is not None
    assert new.decided_after is not None
    assert last.decided_after < new.decided_after
