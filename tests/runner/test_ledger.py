from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from runner.durations import format_duration, parse_duration
from runner.errors import PrerequisiteMissing, UsageError
from runner.ledger import Ledger
from runner.lock import lock
from runner.schema import MIGRATIONS
from runner.workspace import config_from


def test_events_can_be_neither_changed_nor_removed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.start_run("a", now=1.0, seed=1, settings={})
    ledger.add_event("a", "launch", {"x": 1}, now=2.0)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        ledger._db.execute("UPDATE events SET kind = 'other'")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        ledger._db.execute("DELETE FROM events")


def test_the_newest_run_is_the_one_begun_last_even_when_the_clock_was_set_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    for name, now in (("first", 2000.0), ("second", 1000.0)):
        ledger.start_run(name, now=now, seed=1, settings={})
    assert ledger.run().id == "second"
    ledger.close()


def test_a_damaged_ledger_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"SQLite format 3\0" + b"garbage" * 1000)
    with pytest.raises(PrerequisiteMissing, match="damaged"):
        Ledger(path)


def test_a_score_must_be_a_finite_number(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.start_run("a", now=1.0, seed=1, settings={})
    with pytest.raises(sqlite3.IntegrityError):
        ledger.add_experiment("a", 0, now=1.0, title="t", hypothesis="", category="c", val_bpb=float("inf"))


def test_looking_does_not_change_the_tables_under_an_older_runner(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    db = first_version(path)
    with lock(tmp_path), pytest.raises(PrerequisiteMissing, match="older autoresearch is at work"):
        Ledger(path, read_only=True)
    assert db.execute("PRAGMA user_version").fetchone()[0] == 1
    Ledger(path, read_only=True).close()
    assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    db.close()


def first_version(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path)
    db.executescript(f"BEGIN; {MIGRATIONS[0]} PRAGMA user_version = 1; COMMIT;")
    return db


def test_an_old_ledger_is_opened_and_nothing_in_it_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    db = first_version(path)
    db.execute("INSERT INTO runs (id, created_at, seed, settings) VALUES ('old', 1, 1, '{}')")
    db.execute(
        "INSERT INTO experiments (run, number, title, hypothesis, category, state, created_at)"
        " VALUES ('old', 0, 't', '', 'c', 'checked', 1)"
    )
    db.commit()
    db.close()
    ledger = Ledger(path)
    assert [e.title for e in ledger.experiments("old")] == ["t"]
    assert ledger.spent("old").usd == 0
    assert ledger.calls("old") == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("40s", 40), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("1d", 86400)]
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["8", "", "h", "5 m", "-3s", "0s", "3x", "1h-2m"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


@pytest.mark.parametrize(
    "content", [{"wallclock": "5m"}, {"pids": "many"}, {"baseline_repeats": 1}, {"wall_clock": "5"}]
)
def test_a_wrong_configuration_is_refused_by_name(content: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        config_from(content)
