"""A simulated clock for several threads: time passes only when all of them wait for it, so a run of hours takes seconds and
is always the same."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from datetime import UTC, tzinfo

from runner.search.background import T, in_thread


class SharedClock:
    """Of the thread that makes it and of those that `start` begins. A thread that sleeps while it holds what another waits for stops
    the clock for good."""

    zone: tzinfo | None = UTC

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self._changed = threading.Condition()
        self._awake, self._order = 1, itertools.count()
        self._asleep: list[tuple[float, int]] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._changed:
            me = (self.now + seconds, next(self._order))
            heapq.heappush(self._asleep, me)
            self._rest()
            self._changed.wait_for(lambda: me not in self._asleep)

    def start(self, work: Callable[[], T]) -> Callable[[], T]:
        """See `runner.search.background.Start`."""
        ended, waited_for = False, False
        with self._changed:
            self._awake += 1

        def run() -> T:
            nonlocal ended
            try:
                return work()
            finally:
                with self._changed:
                    ended = True
                    if not waited_for:  # else whoever waits is awake in its place
                        self._rest()

        wait = in_thread(run)

        def waiting() -> T:
            nonlocal waited_for
            with self._changed:
                if not ended:
                    waited_for = True
                    self._rest()
            return wait()

        return waiting

    def _rest(self) -> None:
        """One thread fewer is awake; when none is, the first sleeper wakes."""
        self._awake -= 1
        if self._awake == 0 and self._asleep:
            self.now = max(self.now, heapq.heappop(self._asleep)[0])
            self._awake = 1
            self._changed.notify_all()
