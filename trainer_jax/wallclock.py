"""The clock of a training script. It is recorded and can be replayed.

The host kills the container by its own clock. This clock tells the script how much time is left, so that it writes its weights in
time. It records each answer, and when an artifact was written. Replayed (AUTORESEARCH_CLOCK_REPLAY), the same script takes the same
steps, and on the same kind of device it must produce the same weights.

On leased CPUs the host also sets a CPU budget: CPU seconds of all processes of the container together. The elapsed time is then the
wall time or the used share of the CPU budget times the limit, whichever is greater. On a busy machine a training thus first takes
longer, up to the kill, before it does less work.

The recording ("tape") is a file of float64: answers are >= 0, marks are negative. A recorded run may have been killed long after
it wrote its newest weights. A replay therefore ends at the last mark: nothing later was part of the recorded artifact.
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
"""Marks on the tape: weights are about to replace the older ones, they have replaced them, a program was written."""


class WallClock:
    """`limit` is the time from the container's start to the kill (s). The usable time is shorter by a margin for the last save:
    1 s or 1 % of the limit, whichever is greater, plus twice the duration of the slowest `save_params` so far. `cpu_budget` (CPU
    seconds) is worth as much as `limit`; 0 means none. `age` (seconds since the container's start) and `cpu_seconds` (CPU seconds
    used) default to the kernel's."""

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
        """Seconds since the container's start, neither recorded nor replayed: for telemetry only."""
        self._cpu_seconds = cpu_seconds or cpu_time.source(self.measured())
        self._slowest_save = 0.0
        self._over = False
        self._tape_path = tape
        self._tape: int | None = None
        recorded = np.fromfile(replay, "<f8").tolist() if replay else []
        self._answers = iter([value for value in recorded if value >= 0.0]) if replay else None
        self._due = {mark: recorded.count(mark) for mark in (SAVING, EXPORTED) if mark in recorded}

    def measured_progress(self) -> float:
        """Used share of the usable time, neither recorded nor replayed: for telemetry only."""
        return min(self._spent() / self._usable(), 1.0)

    def elapsed(self) -> float:
        """Seconds used: those since the container's start, or more if the CPU budget is used up faster."""
        return self._answer(self._spent(), after_the_tape=self._limit)

    def progress(self) -> float:
        """Used share of the usable time, in [0, 1]. Stop and save at 1."""
        return self._answer(self.measured_progress(), after_the_tape=1.0)

    def seconds_left(self) -> float:
        """Seconds of usable time left, never negative."""
        return self._answer(max(self._usable() - self._spent(), 0.0), after_the_tape=0.0)

    def end(self) -> None:
        """Report from now on that no time is left: ends a compile check."""
        self._over = True

    def note_save(self, seconds: float) -> None:
        """Tell the clock how long a save took, for the margin."""
        self._slowest_save = max(self._slowest_save, seconds)

    def mark(self, mark: float) -> None:
        """Record that an artifact was written. A replay that has written as many as the recorded run ends the process here."""
        self._write(mark)
        if mark == SAVING or not self._due:
            return
        due = SAVING if mark == SAVED else mark
        self._due[due] = self._due.get(due, 0) - 1
        if all(left <= 0 for left in self._due.values()):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)  # waits for no thread of the script

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
        os.write(self._tape, np.float64(value).tobytes())  # unbuffered: a kill loses nothing


def _age(limit: float) -> Callable[[], float]:
    """A function that returns the seconds since this process, the container's first, began (proc(5), stat field 22)."""
    now = started = time.clock_gettime(time.CLOCK_BOOTTIME)
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        pass
    if not 0.0 <= now - started < limit:  # some emulations of a kernel report zero
        started = now
    return lambda: time.clock_gettime(time.CLOCK_BOOTTIME) - started
