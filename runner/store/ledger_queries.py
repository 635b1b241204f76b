"""What the ledger is asked. Each question reads what it returns and no more: sources, facts and logs only when they are looked at.

A ledger that is open for writing remembers the experiments and confirmations it has read and reads those again that were
written since, so what one step of the search costs does not grow with the run.
"""

from __future__ import annotations

import functools
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from runner.errors import PrerequisiteMissing, UsageError
from runner.parsing.facts import UNREAD, Facts, facts_from_json
from runner.protocols import Event, State
from runner.store.config import from_workspace
from runner.store.experiment_index import ExperimentIndex
from runner.store.ledger_json import loads
from runner.store.llm_budget import Call, Spent, Unread
from runner.store.records import Attempt, Confirmation, Experiment, Line, Run

_ON_DEMAND = {"attempts", "confirmed", "read_source", "read_facts", "read_log"}
_EXPERIMENT = ", ".join(name for name in Experiment.__dataclass_fields__ if name not in _ON_DEMAND)
_ATTEMPT = ", ".join(
    name for name in Attempt.__dataclass_fields__ if name not in _ON_DEMAND and name != "order"
)


_CONFIRMED = (
    "EXISTS (SELECT 1 FROM confirmations WHERE confirmations.run = experiments.run AND candidate = number"
    " AND verdict = 'confirmed')"
)


SESSION = "session"
"""Setting of a run: a number that grows with every start and every resume in the workspace, whatever the clock says."""


def damaged(path: Path, error: Exception) -> PrerequisiteMissing:
    return PrerequisiteMissing(
        f"the ledger {path} is damaged ({error}); put a copy of it aside and move it away to start afresh"
    )


class _Once:
    """Asks `read` when it is first called, and never again. (functools.cache takes ten times as long to be made.)"""

    __slots__ = ("_read", "_value")

    def __init__(self, read: Callable[[], Facts]) -> None:
        self._read = read

    def __call__(self) -> Facts:
        try:
            return self._value
        except AttributeError:
            self._value: Facts = self._read()
            return self._value


class Queries:
    """Of one open database. `root` is the workspace's folder. Every question raises PrerequisiteMissing for a damaged file."""

    path: Path

    def __init__(self, db: sqlite3.Connection, root: Path, *, remembers: bool) -> None:
        self._db, self._root, self._guard = db, root, threading.RLock()
        self._db.row_factory = sqlite3.Row
        self._remembers = remembers
        self._known: dict[str, ExperimentIndex] = {}
        self._known_confirmations: dict[str, list[Confirmation]] = {}
        self._stale: set[tuple[str, int]] = set()
        self._seen_changes = (0, 0)

    def _read(self, question: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._guard:
            try:
                return self._db.execute(question, tuple(values)).fetchall()
            except sqlite3.DatabaseError as error:
                unreadable = getattr(error, "sqlite_errorname", "").startswith("SQLITE_IOERR")
                if type(error) is not sqlite3.DatabaseError and not unreadable:  # locked, closed
                    raise
                raise damaged(self.path, error) from error

    # -- what is remembered ------------------------------------------------------------------------------------
    def _forget(self, run: str, *numbers: int) -> None:
        """These are about to be written."""
        self._look_for_changes()
        self._stale |= {(run, number) for number in numbers}

    def _look_for_changes(self) -> None:
        if (now := self._changes()) != self._seen_changes:
            self._known.clear()
            self._known_confirmations.clear()
            self._seen_changes = now

    def _changes(self) -> tuple[int, int]:
        """Changes by this connection, and whether another one has written (https://www.sqlite.org/pragma.html#pragma_data_version)."""
        return self._db.total_changes, int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def _note_changes(self) -> None:
        """Whatever this object wrote is known; anything else that changes the file makes it forget all."""
        self._seen_changes = self._changes()

    # -- experiments --------------------------------------------------------------------------------------------
    def experiments(self, run: str) -> list[Experiment]:
        """All, in order."""
        with self._guard:
            return self.index(run).all()

    def index(self, run: str) -> ExperimentIndex:
        """Of all experiments. It is brought up to date at each call, so it is asked for anew once something was written."""
        with self._guard:
            if not self._remembers:
                return ExperimentIndex(self._select(run))
            self._look_for_changes()
            if run not in self._known:
                self._known[run] = ExperimentIndex(self._select(run))
            else:
                for number in sorted(number for stale, number in self._stale if stale == run):
                    for experiment in self._select(run, "number = ?", (number,)):
                        self._known[run].put(experiment)
            self._stale = {item for item in self._stale if item[0] != run}
            return self._known[run]

    def experiment(self, run: str, number: int) -> Experiment:
        """Raises UsageError where there is none."""
        found = self._select(run, "number = ?", (number,))
        if not found:
            raise UsageError(f"run {run} has no experiment {number}; `autoresearch ls` lists them")
        return found[0]

    def kept(self, run: str) -> list[Experiment]:
        """Those that were kept, in order: what a run's claim rests on."""
        return self._select(run, "status = 'keep'")

    def repeated(self, run: str) -> list[Experiment]:
        """Those that ran more than once, in order: what its noise rests on."""
        repeated = "SELECT number FROM attempts WHERE run = ?1 GROUP BY number HAVING count(*) > 1"
        return self._select(run, f"number IN ({repeated})")

    def last_decided(self, run: str, status: str) -> Experiment | None:
        """Of those that have this status."""
        return self._one(run, "status = ? ORDER BY decision DESC LIMIT 1", status)

    def open(self, run: str) -> list[Experiment]:
        """Those that are not decided yet, in order."""
        return self._select(run, "status = 'open'")

    def lines(self, run: str, newest: int | None = None) -> list[Line]:
        """What a list shows of all experiments, or of the `newest`, in order."""
        rows = self._read(
            f"SELECT number, status, val_bpb, delta, title, reason, {_CONFIRMED} FROM experiments WHERE run = ?1"
            " ORDER BY number DESC LIMIT ?2",
            (run, -1 if newest is None else newest),
        )
        counts = self._read(
            "SELECT number, count(*) FROM attempts WHERE run = ? AND number >= ? AND outcome = 'ok' AND NOT contended"
            " GROUP BY number",
            (run, rows[-1][0] if rows else 0),
        )
        counted: dict[int, int] = dict(map(tuple, counts))
        return [
            Line(number, status, bpb, delta, counted.get(number, 0), title, reason, bool(confirmed))
            for number, status, bpb, delta, title, reason, confirmed in reversed(rows)
        ]

    def confirmations(self, run: str) -> list[Confirmation]:
        """In the order they were begun."""
        with self._guard:
            self._look_for_changes()
            if not self._remembers or run not in self._known_confirmations:
                columns = ", ".join(Confirmation.__dataclass_fields__)
                rows = self._read(f"SELECT {columns} FROM confirmations WHERE run = ? ORDER BY id", (run,))
                self._known_confirmations[run] = [Confirmation(*row) for row in rows]
            return list(self._known_confirmations[run])

    def tagged(self, tag: str) -> Experiment | None:
        """The newest kept experiment of any run whose image has this tag."""
        rows = self._read(
            "SELECT run, number FROM experiments WHERE tag = ? AND status = 'keep' ORDER BY rowid DESC LIMIT 1",
            (tag,),
        )
        return self.experiment(rows[0]["run"], rows[0]["number"]) if rows else None

    def counts(self, run: str) -> dict[str, int]:
        """How many experiments have each status, in the order in which each came up first."""
        rows = self._read(
            "SELECT status, count(*) FROM experiments WHERE run = ? GROUP BY status ORDER BY min(number)",
            (run,),
        )
        return {row[0]: row[1] for row in rows}

    def has_script(self, sha256: str) -> bool:
        """Whether any experiment of any run is this script (SHA-256, hex)."""
        return bool(self._read("SELECT 1 FROM experiments WHERE source_sha256 = ? LIMIT 1", (sha256,)))

    def _one(self, run: str, condition: str, *values: str) -> Experiment | None:
        rows = self._read(f"SELECT number FROM experiments WHERE run = ? AND {condition}", (run, *values))
        return self.experiment(run, rows[0]["number"]) if rows else None

    def _select(self, run: str, condition: str = "1", values: Sequence[Any] = ()) -> list[Experiment]:
        """The experiments for which `condition` holds, in order, with their attempts."""
        with self._guard:
            rows = self._read(
                f"SELECT {_EXPERIMENT}, {_CONFIRMED} AS confirmed FROM experiments WHERE run = ?1 AND {condition} ORDER BY number",
                (run, *values),
            )
            numbers = {row["number"] for row in rows}
            where = "" if condition == "1" else f"AND number IN ({', '.join(map(str, sorted(numbers)))})"
            attempts: dict[int, list[Attempt]] = {}
            for row in self._read(
                f'SELECT rowid AS "order", {_ATTEMPT}, number FROM attempts WHERE run = ? {where}'
                " ORDER BY number, attempt",
                (run,),
            ):
                attempts.setdefault(row["number"], []).append(self._attempt(run, row))
        return [self._experiment(row, attempts.get(row["number"], ())) for row in rows]

    def _attempt(self, run: str, row: sqlite3.Row) -> Attempt:
        values = dict(row)
        number = values.pop("number")
        values |= {"folder": self._root / values["folder"], "contended": bool(values["contended"])}
        return Attempt(**values, read_log=functools.partial(self._log, run, number, values["attempt"]))

    def _experiment(self, row: sqlite3.Row, attempts: Iterable[Attempt]) -> Experiment:
        values = dict(row)
        run, number = values["run"], values["number"]
        values |= {"fingerprint": values["fingerprint"] or "", "source_sha256": values["source_sha256"] or ""}
        return Experiment(
            **{
                **values,
                "confirmed": bool(values["confirmed"]),
                "state": State(values["state"]),
                "attempts": tuple(attempts),
            },
            read_source=functools.partial(self._source, run, number),
            read_facts=_Once(functools.partial(self._facts, run, number)),
        )

    def _script_column(self, name: str, run: str, number: int) -> Any:
        rows = self._read(f"SELECT {name} FROM scripts WHERE run = ? AND number = ?", (run, number))
        return rows[0][0] if rows else None

    def _source(self, run: str, number: int) -> str:
        return (self._script_column("source", run, number) or b"").decode("utf-8", errors="replace")

    def _facts(self, run: str, number: int) -> Facts:
        written = self._script_column("facts", run, number)
        return UNREAD if written is None else facts_from_json(written)

    def _log(self, run: str, number: int, attempt: int) -> str:
        rows = self._read(
            "SELECT log_tail FROM attempts WHERE run = ? AND number = ? AND attempt = ?",
            (run, number, attempt),
        )
        return str(rows[0][0]) if rows else ""

    # -- calls, runs, events ------------------------------------------------------------------------------------
    def calls(self, run: str) -> list[Call]:
        """Every call of a model, in order."""
        rows = self._read("SELECT * FROM calls WHERE run = ? ORDER BY id", (run,))
        return [Call(**{name: row[name] for name in Call.__dataclass_fields__}) for row in rows]

    def unread(self, run: str) -> list[Unread]:
        """Answers to which no experiment belongs, in order, but those whose reading ended the runner."""
        rows = self._read(
            f"SELECT {', '.join(Unread.__dataclass_fields__)} FROM calls WHERE run = ? AND answer IS NOT NULL AND"
            " reading <> 'begun' AND number NOT IN (SELECT number FROM experiments WHERE run = calls.run) ORDER BY id",
            (run,),
        )
        return [Unread(**dict(row)) for row in rows]

    def spent(self, run: str) -> Spent:
        """Summed over all sessions of the run."""
        row = self._read(
            "SELECT coalesce(sum(CASE state WHEN 'answered' THEN cost_usd WHEN 'refused' THEN 0"
            " ELSE reserved_usd END), 0.0), coalesce(sum(CASE state WHEN 'answered' THEN prompt_tokens +"
            " completion_tokens WHEN 'refused' THEN 0 ELSE reserved_tokens END), 0), count(*)"
            " FROM calls WHERE run = ?",
            (run,),
        )[0]
        return Spent(float(row[0]), int(row[1]), int(row[2]))

    def runs(self) -> list[Run]:
        """In the order they were begun, whatever the clock said."""
        rows = self._read("SELECT * FROM runs ORDER BY rowid")
        return [Run(**{**dict(row), "settings": self._settings(row["settings"])}) for row in rows]

    def next_session(self) -> int:
        """The number of a session that begins now. A run of an older version has its place as its number."""
        return max((_session(place, run) for place, run in enumerate(self.runs())), default=-1) + 1

    def run(self, run: str | None = None) -> Run:
        """The named run, else the one that was begun or resumed last; one that was refused before its first script only where
        there is no other. Raises UsageError."""
        runs = sorted(enumerate(self.runs()), key=lambda item: _session(*item))
        found = [item for _, item in runs if run in {None, item.id}]
        begun = {
            row["id"]
            for row in self._read(
                "SELECT id FROM runs WHERE EXISTS (SELECT 1 FROM experiments WHERE run = runs.id)"
            )
        }
        found = [item for item in found if item.finished_at is None or item.id in begun] or found
        if not found:
            raise UsageError(
                f"there is no run {run}; `autoresearch ls --runs` lists them"
                if run
                else "there is no run yet; start one with `autoresearch run`"
            )
        return found[-1]

    def events(self, run: str) -> list[tuple[float, str, dict[str, Any]]]:
        rows = self._read("SELECT at, kind, data FROM events WHERE run = ? ORDER BY id", (run,))
        return [(row["at"], row["kind"], loads(row["data"])) for row in rows]

    def events_after(self, run: str, last: int) -> list[tuple[int, Event]]:
        """What was written after the event with the id `last`, each with its id."""
        rows = self._read(
            "SELECT id, at, kind, data FROM events WHERE run = ? AND id > ? ORDER BY id", (run, last)
        )
        return [(row["id"], Event(row["kind"], row["at"], loads(row["data"]))) for row in rows]

    def last_event(self, run: str, kinds: Sequence[str]) -> Event | None:
        """The newest of these kinds."""
        marks = ", ".join("?" * len(kinds))
        rows = self._read(
            f"SELECT at, kind, data FROM events WHERE run = ? AND kind IN ({marks}) ORDER BY id DESC LIMIT 1",
            (run, *kinds),
        )
        return next((Event(row["kind"], row["at"], loads(row["data"])) for row in rows), None)

    def _settings(self, written: str) -> dict[str, Any]:
        settings: dict[str, Any] = loads(written)
        config = from_workspace(settings.get("config", {}), self._root)
        return {**settings, "config": config} if config else settings


def _session(place: int, run: Run) -> int:
    return int(run.settings.get(SESSION, place))
