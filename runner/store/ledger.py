"""The ledger: one SQLite file that is the truth. Every change is on disk before the next step begins.

WAL with synchronous=FULL survives a power cut (https://www.sqlite.org/wal.html); WAL does not work on network file
systems, so those are refused. Readers need no lock and import nothing heavy. The states of an experiment are `runner.protocols.State`;
who writes them: `search.proposal_stage`, `search.attempts`, `search.loop`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.errors import PrerequisiteMissing, UsageError
from runner.protocols import Evaluation, State
from runner.store.config import to_workspace
from runner.store.filesystem import NETWORK_FILE_SYSTEMS, file_system, refuse_unopened, relative
from runner.store.ledger_queries import SESSION, Queries, damaged
from runner.store.llm_budget import Caps
from runner.store.schema import MIGRATIONS
from runner.store.workspace_lock import locked

_SCRIPT_COLUMNS = ("source", "facts")


class Ledger(Queries):
    """Opened for writing by the one runner that holds `lock`, for reading by anyone. Raises PrerequisiteMissing
    for a network file system or a damaged file."""

    def __init__(self, path: Path, *, read_only: bool = False, check: bool = False) -> None:
        """`check` reads the whole file for damage, which takes seconds for a large one: `run`, `resume` and `doctor` do it.
        Whoever only looks meets damage where it reads."""
        if read_only and not path.exists():
            raise UsageError(f"there is no ledger in {path.parent}; run `autoresearch run` first")
        if (kind := file_system(path.parent)) in NETWORK_FILE_SYSTEMS:
            raise PrerequisiteMissing(
                f"{path.parent} is on {kind}, where SQLite cannot keep its promises: use a local disk"
            )
        self.path = path
        try:
            # the next proposal is made on a thread of its own: one transaction at a time, guarded by a lock
            db = sqlite3.connect(path, isolation_level=None, timeout=10.0, check_same_thread=False)
            super().__init__(db, path.absolute().parent.parent, remembers=not read_only)
            self._db.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=10000;"
            )
            self._migrate(read_only)
            self._db.execute("SELECT id, settings FROM runs LIMIT 0")  # a database, and not one of ours
            if read_only:
                self._db.execute("PRAGMA query_only=ON")
            if check and self._db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("quick_check failed")
        except sqlite3.DatabaseError as error:
            refuse_unopened(path, error)
            raise damaged(path, error) from error

    def close(self) -> None:
        self._db.close()

    def _migrate(self, read_only: bool) -> None:
        """Whoever only looks does not change the tables under a runner that was begun with an older version."""
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version < 0:
            raise sqlite3.DatabaseError("its version is negative")
        if version > len(MIGRATIONS):
            raise PrerequisiteMissing(
                f"the ledger {self.path} was written by a newer autoresearch; update this one"
            )
        if read_only and version < len(MIGRATIONS) and locked(self.path.parent):
            raise PrerequisiteMissing(
                "an older autoresearch is at work here: look with that one, or wait until it has ended"
            )
        for number in range(version, len(MIGRATIONS)):
            self._db.executescript(f"BEGIN; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")

    @contextmanager
    def _write(self, run: str = "", *numbers: int) -> Iterator[sqlite3.Connection]:
        """One transaction. `numbers` are the experiments of `run` that it changes."""
        with self._guard:
            self._forget(run, *numbers)
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            self._note_changes()

    # -- writing ---------------------------------------------------------------------------------------------
    def start_run(self, run: str, *, now: float, seed: int, settings: Mapping[str, Any]) -> None:
        settings = {**settings, SESSION: self.next_session()}
        with self._write() as db:
            db.execute(
                "INSERT INTO runs (id, created_at, seed, settings) VALUES (?, ?, ?, ?)",
                (run, now, seed, self._written(settings)),
            )

    def reopen_run(self, run: str) -> None:
        """It is the newest session of the workspace from now on."""
        self.change_settings(run, {**self.run(run).settings, SESSION: self.next_session()})
        with self._write() as db:
            db.execute("UPDATE runs SET finished_at = NULL, stop_reason = NULL WHERE id = ?", (run,))

    def finish_run(self, run: str, *, now: float, reason: str) -> None:
        with self._write() as db:
            db.execute("UPDATE runs SET finished_at = ?, stop_reason = ? WHERE id = ?", (now, reason, run))

    def spend(self, run: str, seconds: float) -> None:
        """Wall-clock seconds of the budget that are gone; summed over resumes."""
        with self._write() as db:
            db.execute("UPDATE runs SET spent_s = spent_s + ? WHERE id = ?", (max(seconds, 0.0), run))

    def add_experiment(self, run: str, number: int, *, now: float, **columns: Any) -> None:
        columns = {"run": run, "number": number, "created_at": now, "state": State.PROPOSED, **columns}
        script = {name: columns.pop(name) for name in _SCRIPT_COLUMNS if name in columns}
        with self._write(run, number) as db:
            _insert(db, "experiments", columns)
            _insert(db, "scripts", {"run": run, "number": number, **script})

    def set_experiment(self, run: str, number: int, **columns: Any) -> None:
        script = {name: columns.pop(name) for name in _SCRIPT_COLUMNS if name in columns}
        with self._write(run, number) as db:
            for table, changed in (("experiments", columns), ("scripts", script)):
                if changed:
                    assignments = ", ".join(f"{name} = ?" for name in changed)
                    db.execute(
                        f"UPDATE {table} SET {assignments} WHERE run = ? AND number = ?",
                        (*changed.values(), run, number),
                    )

    def decide(self, run: str, number: int, **columns: Any) -> None:
        """`set_experiment`, and the place of this decision among the run's decisions and attempts."""
        with self._write(run, number) as db:
            db.execute(
                f"UPDATE experiments SET {', '.join(f'{name} = ?' for name in columns)},"
                " decision = (SELECT coalesce(max(decision), 0) + 1 FROM experiments WHERE run = ?),"
                " decided_after = (SELECT coalesce(max(rowid), 0) FROM attempts) WHERE run = ? AND number = ?",
                (*columns.values(), run, run, number),
            )

    def start_confirmation(
        self, run: str, *, candidate: int, reference: int, first_seed: int, most_pairs: int, now: float
    ) -> None:
        """Raises nothing where another is open: the caller asks `confirmations` first."""
        with self._write() as db:
            self._known_confirmations.pop(run, None)
            db.execute(
                "INSERT INTO confirmations (run, id, candidate, reference, first_seed, most_pairs, started_at) VALUES"
                " (?1, (SELECT coalesce(max(id), 0) + 1 FROM confirmations WHERE run = ?1), ?2, ?3, ?4, ?5, ?6)",
                (run, candidate, reference, first_seed, most_pairs, now),
            )

    def finish_confirmation(self, run: str, confirmation: int, *, now: float, **columns: Any) -> None:
        """`columns`: verdict, reason, pairs, reference_bpb, candidate_bpb, delta, low, high."""
        columns = {"finished_at": now, **columns}
        assignments = ", ".join(f"{name} = ?" for name in columns)
        with self._write(run, *(c.candidate for c in self.confirmations(run) if c.id == confirmation)) as db:
            self._known_confirmations.pop(run, None)
            db.execute(
                f"UPDATE confirmations SET {assignments} WHERE run = ? AND id = ? AND verdict = 'open'",
                (*columns.values(), run, confirmation),
            )

    def start_attempt(
        self,
        run: str,
        number: int,
        *,
        seed: int,
        folder: Path,
        now: float,
        confirmation: int | None = None,
    ) -> int:
        """The next attempt's number; its row is there before anything of it runs."""
        with self._write(run, number) as db:
            last = db.execute(
                "SELECT coalesce(max(attempt), 0) FROM attempts WHERE run = ? AND number = ?", (run, number)
            ).fetchone()[0]
            attempt = int(last) + 1
            db.execute(
                "INSERT INTO attempts (run, number, attempt, seed, folder, started_at, confirmation)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run, number, attempt, seed, relative(folder / str(attempt), self._root), now, confirmation),
            )
        return attempt

    def finish_attempt(
        self, run: str, number: int, attempt: int, evaluation: Evaluation, *, now: float
    ) -> None:
        with self._write(run, number) as db:
            db.execute(
                "UPDATE attempts SET finished_at = ?, outcome = ?, reason = ?, val_bpb = ?, seconds = ?,"
                " params_sha256 = ?, memory_bytes = ?, contended = ?, log_tail = ?, detail = ?, early_stop = ?"
                " WHERE run = ? AND number = ? AND attempt = ? AND outcome IS NULL",
                (
                    *(
                        now,
                        str(evaluation.outcome),
                        evaluation.reason,
                        evaluation.val_bpb,
                        evaluation.seconds,
                        evaluation.params_sha256,
                    ),
                    *(
                        evaluation.memory_peak_bytes,
                        int(evaluation.contended),
                        evaluation.log_tail,
                        evaluation.detail,
                        evaluation.early_stop,
                        run,
                        number,
                        attempt,
                    ),
                ),
            )

    def lose_open_attempts(self, run: str, *, now: float) -> list[tuple[int, int]]:
        """Attempts that a dead runner left open become infrastructure failures: (number, attempt)."""
        with self._write() as db:
            rows = db.execute(
                "SELECT number, attempt FROM attempts WHERE run = ? AND outcome IS NULL", (run,)
            ).fetchall()
            db.execute(
                "UPDATE attempts SET outcome = 'infrastructure', reason = 'runner_died', finished_at = ?"
                " WHERE run = ? AND outcome IS NULL",
                (now, run),
            )
            self._forget(run, *(row["number"] for row in rows))
        return [(row["number"], row["attempt"]) for row in rows]

    def add_event(self, run: str, kind: str, data: Mapping[str, Any], *, now: float) -> None:
        with self._write() as db:
            db.execute(
                "INSERT INTO events (run, at, kind, data) VALUES (?, ?, ?, ?)",
                (run, now, kind, json.dumps(dict(data))),
            )

    def _written(self, settings: Mapping[str, Any]) -> str:
        config = to_workspace(settings.get("config", {}), self._root)
        return json.dumps({**settings, "config": config} if config else dict(settings))

    def change_settings(self, run: str, settings: Mapping[str, Any]) -> None:
        with self._write() as db:
            db.execute("UPDATE runs SET settings = ? WHERE id = ?", (self._written(settings), run))

    def reserve_call(
        self,
        run: str,
        number: int,
        *,
        now: float,
        caps: Caps,
        **columns: Any,
    ) -> int | None:
        """Set the worst case of a call aside before it is made: its id, or None when `caps` does not allow it.

        `columns`: purpose, model, prompt_sha256, about_sha256, reserved_tokens, reserved_usd (dollars).
        """
        columns = {"run": run, "number": number, "started_at": now, **columns}
        with self._write() as db:
            if not caps.allow(self.spent(run), columns["reserved_usd"], columns["reserved_tokens"]):
                return None
            marks = ", ".join("?" * len(columns))
            row = db.execute(
                f"INSERT INTO calls ({', '.join(columns)}) VALUES ({marks}) RETURNING id",
                tuple(columns.values()),
            ).fetchone()
        return int(row[0])

    def settle_call(self, call: int, state: str, *, now: float, **columns: Any) -> None:
        """What came of a reserved call: its state, and for an answer its text and finish, prompt_tokens,
        cached_tokens, completion_tokens and cost_usd."""
        columns = {"state": state, "finished_at": now, **columns}
        assignments = ", ".join(f"{name} = ?" for name in columns)
        with self._write() as db:
            db.execute(
                f"UPDATE calls SET {assignments} WHERE id = ? AND state = 'reserved'",
                (*columns.values(), call),
            )

    @contextmanager
    def reading(self, call: int) -> Iterator[None]:
        """While the answer of `call` is read: a text that ends the runner meanwhile is not read again."""
        self._set_reading(call, "begun")
        try:
            yield
        finally:
            self._set_reading(call, "survived")

    def _set_reading(self, call: int, reading: str) -> None:
        with self._write() as db:
            db.execute("UPDATE calls SET reading = ? WHERE id = ?", (reading, call))


def _insert(db: sqlite3.Connection, table: str, columns: Mapping[str, Any]) -> None:
    marks = ", ".join("?" * len(columns))
    db.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", tuple(columns.values()))
