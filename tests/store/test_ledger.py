from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from runner.durations import format_duration, parse_duration
from runner.errors import PrerequisiteMissing, UsageError
from runner.store.config import config_from, from_workspace, to_workspace
from runner.store.filesystem import file_system
from runner.store.ledger import Ledger
from runner.store.schema import MIGRATIONS
from runner.store.workspace_lock import lock


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


def test_of_runs_of_an_older_version_the_newest_is_the_last_until_another_is_resumed_or_begun(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    db = first_version(path)
    db.executemany(
        "INSERT INTO runs (id, created_at, seed, settings) VALUES (?, 1, 1, '{}')", [("a",), ("b",), ("c",)]
    )
    db.commit()
    db.close()
    ledger = Ledger(path)
    assert ledger.run().id == "c"
    ledger.reopen_run("a")
    assert ledger.run().id == "a"
    ledger.reopen_run("b")
    assert ledger.run().id == "b"
    ledger.start_run("d", now=0.0, seed=1, settings={})
    assert ledger.run().id == "d"
    ledger.reopen_run("a")
    assert [ledger.run().id, *(run.id for run in ledger.runs())] == ["a", "a", "b", "c", "d"]
    ledger.close()


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


def test_paths_begin_at_the_workspace_so_that_it_may_be_moved(tmp_path: Path) -> None:
    (old := tmp_path / "old" / ".autoresearch").mkdir(parents=True)
    ledger = Ledger(old / "ledger.db")
    config = {"data": str(tmp_path / "old" / "d"), "proposer": f"scripted:{tmp_path / 'old' / 'ideas'}"}
    ledger.start_run("a", now=1.0, seed=1, settings={"config": config})
    ledger.change_settings("a", {**ledger.run().settings, "more": 1})
    ledger.add_experiment("a", 0, now=1.0, title="t", hypothesis="", category="c")
    ledger.start_attempt("a", 0, seed=1, folder=old / "experiments" / "a" / "0000", now=1.0)
    ledger.close()
    new = (tmp_path / "old").rename(tmp_path / "new\nplace")
    ledger = Ledger(new / ".autoresearch" / "ledger.db", read_only=True)
    attempt = ledger.experiment("a", 0).attempts[0]
    assert attempt.folder == new / ".autoresearch" / "experiments" / "a" / "0000" / "1"
    settings = ledger.run().settings
    assert settings == {
        "more": 1,
        "session": 0,
        "config": {"data": str(new / "d"), "proposer": f"scripted:{new / 'ideas'}"},
    }
    ledger.close()


def test_paths_of_an_older_ledger_are_found_in_a_workspace_that_was_moved(tmp_path: Path) -> None:
    (state := tmp_path / ".autoresearch").mkdir()
    db = first_version(state / "ledger.db")
    db.execute("INSERT INTO runs (id, created_at, seed, settings) VALUES ('a', 1.0, 1, '{}')")
    db.execute(
        "INSERT INTO experiments (run, number, title, hypothesis, category, state, created_at) VALUES"
        " ('a', 12, 't', '', 'c', 'judged', 1.0)"
    )
    db.execute(
        "INSERT INTO attempts (run, number, attempt, seed, folder, started_at) VALUES"
        " ('a', 12, 2, 1, '/gone/.autoresearch/experiments/a/0012/2', 1.0)"
    )
    db.commit()
    db.close()
    ledger = Ledger(state / "ledger.db")
    assert ledger.experiment("a", 12).attempts[0].folder == state / "experiments" / "a" / "0012" / "2"
    ledger.close()


@pytest.mark.parametrize(
    "proposer", ["tpe", "command:agent --fast", "command:./agent --path ./x", "command:'/a b/c' d"]
)
def test_only_a_path_in_a_proposer_is_changed(proposer: str, tmp_path: Path) -> None:
    there = from_workspace({"proposer": proposer}, tmp_path)
    expected = proposer.replace(":./agent", f":{tmp_path}/agent")
    assert there["proposer"] == expected
    assert to_workspace(there, tmp_path)["proposer"] == proposer


def test_a_mount_with_a_blank_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (inner := tmp_path / "with blank" / "w").mkdir(parents=True)
    line = f"server:/x {tmp_path}/with\\040blank nfs4 rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda path, **_: "/dev/sda / ext4 rw 0 0\n" + line)
    assert file_system(inner) == "nfs4"
    assert file_system(tmp_path) == "ext4"
    with pytest.raises(PrerequisiteMissing, match="use a local disk"):
        Ledger(inner / "ledger.db")


def test_what_is_remembered_is_what_is_written(tmp_path: Path) -> None:
    """Own writes, another connection's, and an attempt's: none is missed."""
    ledger, other = Ledger(tmp_path / "ledger.db"), Ledger(tmp_path / "ledger.db")
    ledger.start_run("a", now=1.0, seed=1, settings={})
    for number in range(3):
        ledger.add_experiment(
            "a", number, now=1.0, title=f"{number}", hypothesis="", category="c", source=b"x"
        )
    assert [e.title for e in ledger.experiments("a")] == ["0", "1", "2"]
    ledger.set_experiment("a", 1, title="mine")
    ledger.start_attempt("a", 2, seed=1, folder=tmp_path, now=2.0)
    assert [(e.title, len(e.attempts)) for e in ledger.experiments("a")] == [("0", 0), ("mine", 0), ("2", 1)]
    other.set_experiment("a", 0, title="another's")
    other.add_experiment("a", 3, now=1.0, title="3", hypothesis="", category="c", source=b"y")
    assert [e.title for e in ledger.experiments("a")] == ["another's", "mine", "2", "3"]
    ledger.set_experiment("a", 3, title="mine, too")
    other.set_experiment("a", 2, title="late")
    ledger.set_experiment("a", 3, status="discard")
    assert [e.title for e in ledger.experiments("a")] == ["another's", "mine", "late", "mine, too"]
    assert ledger.lose_open_attempts("a", now=3.0) == [(2, 1)]
    assert ledger.experiments("a")[2].attempts[0].outcome == "infrastructure"
    assert [e.title for e in ledger.experiments("a")] == [e.title for e in other.experiments("a")]
