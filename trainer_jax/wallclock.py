"""The only clock a script needs, and one that can be played back.

The host's clock decides when the container is killed; this one only tells the script how much is left, so that
weights are written in time. It writes down every answer and where an artifact was written; played back
(AUTORESEARCH_CLOCK_REPLAY), the same script on the same kind of device takes the same steps and must produce the same weights.

On leased CPUs the host also gives a CPU budget: seconds of CPU for all processes of the container together. A second of this
clock is then a second of wall time or its share of the CPU budget, whichever is used up first. So a machine whose CPUs are
busy makes a training longer, up to the kill, before it makes it smaller.

The tape is a file of float64: an answer is never negative, a mark always is. A recorded run may have been killed long after
its newest weights, so a replay ends itself at the recorded run's last mark: what it would do later was never handed over.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trainer_jax import cpu_time

SAVING, SAVED, EXPORTED = -1.0, -2.0, -3.0
"""Marks on the tape: weights are about to become the newest, they are, a program was written."""


class WallClock:
    """`limit` is seconds from the container's start to the kill. A margin before it is kept for the last write:
    1 s or 1 % of the limit, and twice the time that the slowest `save_params` took so far. `cpu_budget` is seconds of CPU
    that count as much as `limit`; 0 for none. `age` (seconds since the container's start) and `cpu_seconds` are the kernel's if
    not given."""

    def __init__(
        self,
        limit: float,
        *,
        tape: Path,
        replay: str | None = None,
        cpu_budget: float = 0.0,
        age: Callable[[], float] | None = None,
        cpu_seconds: Callable[[], float] | None = None,
    ) -> None:
        self._limit, self._cpu_budget = limit, cpu_budget
        self.measured = age or _age(limit)
        """Seconds since the container started, neither recorded nor played back: for telemetry only."""
        self._cpu_seconds = cpu_seconds or cpu_time.source(self.measured())
        self._slowest_save = 0.0
        self._over = False
        self._tape_path = tape
        self._tape: int | None = None
        recorded = np.fromfile(replay, "<f8").tolist() if replay else []
        self._answers = iter([value for value in recorded if value >= 0.0]) if replay else None
        self._due = {mark: recorded.count(mark) for mark in (SAVING, EXPORTED) if mark in recorded}

    def measured_progress(self) -> float:
        """Share of the usable budget gone, neither recorded nor played back: for telemetry only."""
        return min(self._spent() / self._usable(), 1.0)

    def elapsed(self) -> float:
        """Seconds of the budget gone: since the container started, or more where the CPU budget is used up faster."""
        return self._answer(self._spent(), after_the_tape=self._limit)

    def progress(self) -> float:
        """Share of the usable budget gone, in [0, 1]. Stop and save when it is 1."""
        return self._answer(self.measured_progress(), after_the_tape=1.0)

    def seconds_left(self) -> float:
        """Seconds of usable budget left, never negative."""
        return self._answer(max(self._usable() - self._spent(), 0.0), after_the_tape=0.0)

    def end(self) -> None:
        """From now on no time is left: for a compile check."""
        self._over = True

    def note_save(self, seconds: float) -> None:
        self._slowest_save = max(self._slowest_save, seconds)

    def mark(self, mark: float) -> None:
        """Write down that an artifact was written. A replay that has written as many as the recorded run ends here."""
        self._write(mark)
        if mark == SAVING or not self._due:
            return
        due = SAVING if mark == SAVED else mark
        self._due[due] = self._due.get(due, 0) - 1
        if all(left <= 0 for left in self._due.values()):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)  # whatever threads the script has left

    def _spent(self) -> float:
        wall = max(self.measured(), 0.0)
        if not self._cpu_budget:
            return wall
        return max(wall, self._limit * self._cpu_seconds() / self._cpu_budget)

    def _usable(self) -> float:
        margin = max(1.0, 0.01 * self._limit) + 2.0 * self._slowest_save
        return max(self._limit - margin, 0.5 * self._limit)

    def _answer(self, value: float, *, after_the_tape: float) -> float:
        if self._answers is not None:
            value = next(self._answers, after_the_tape)
        elif self._over:
            value = after_the_tape
        self._write(value)
        return value

    def _write(self, value: float) -> None:
        if self._tape is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._tape = os.open(self._tape_path, flags, 0o644)
        os.write(self._tape, np.float64(value).tobytes())  # unbuffered: a kill must not lose the end


def _age(limit: float) -> Callable[[], float]:
    """Seconds since this process, the container's, began (proc(5), stat field 22)."""
    now = started = time.clock_gettime(time.CLOCK_BOOTTIME)
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        pass
    if not 0.0 <= now - started < limit:  # some kernels' emulations report zero
        started = now
    return lambda: time.clock_gettime(time.CLOCK_BOOTTIME) - started
