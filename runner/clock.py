"""Time, passed in: the loop never asks the machine for it directly."""

from __future__ import annotations

import time
from datetime import tzinfo
from typing import Protocol


class Monotonic(Protocol):
    def monotonic(self) -> float: ...


class Clock(Monotonic, Protocol):
    """`monotonic` for durations (seconds, unaffected by the date), `time` for stamps (unix seconds)."""

    @property
    def zone(self) -> tzinfo | None:
        """Of local times; None is the machine's."""
        ...

    def time(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    zone: tzinfo | None = None

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
