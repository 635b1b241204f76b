"""Wall clock as a budget: persisted with every attempt and summed over resumes. With a nightly window the clock that is passed in counts the
time inside it alone (`runner.nightly_window.TimeInside`)."""

from __future__ import annotations

from collections.abc import Callable

from runner.clock import Monotonic


class Budget:
    """`limit_s` is the limit of the whole run, `spent_s` the time of its earlier sessions.

    An attempt starts only if one as long as the longest so far would end in time. Before the first, `expected_s` (the wall
    clock plus an estimate for the judge) is used.
    """

    def __init__(
        self,
        limit_s: float,
        *,
        spent_s: float,
        expected_s: float,
        clock: Monotonic,
        persist: Callable[[float], None],
        slots: int = 1,
    ) -> None:
        """`slots` trainings run at once."""
        self._limit_s, self._spent_s, self._expected_s = limit_s, spent_s, expected_s
        self._nominal_s, self._slots = expected_s, slots
        self._clock, self._persist = clock, persist
        self._started = clock.monotonic()
        self._recorded = 0.0

    def charge(self, seconds: float = 0.0) -> None:
        """Write down all the time that has passed since the last call, but at least `seconds`."""
        passed = self._clock.monotonic() - self._started - self._recorded
        self._recorded += passed
        amount = max(seconds, passed)
        self._spent_s += amount
        self._persist(amount)

    def learn(self, seconds: float) -> None:
        self._expected_s = max(self._expected_s, seconds)

    @property
    def longest_s(self) -> float:
        """Of a training with its judging, so far."""
        return self._expected_s

    def left(self) -> float:
        return self._limit_s - self._spent_s - (self._clock.monotonic() - self._started - self._recorded)

    def trainings_left(self, attempts: int) -> int:
        """How many more trainings an agent is shown after `attempts`, at least one. Each counts with the first estimate, not
        with its measured time: a script could encode hidden text in the judge's time. `left` uses the measured time."""
        return max(int(self._limit_s // self._nominal_s) * self._slots - attempts, 1)

    def more_trainings(self, after: int = 0) -> int:
        """How many would still end in time for `after` others that are made later, by the longest so far. What is under way in other
        slots counts as if it had just begun."""
        return max(int(self.left() // self._expected_s) - self._rounds(after), 0) * self._slots

    def _rounds(self, trainings: int) -> int:
        return -(-trainings // self._slots)

    def allows_another(self, attempts: int = 1) -> bool:
        """Whether that many would still end in time."""
        return self.left() >= self._rounds(attempts) * self._expected_s
