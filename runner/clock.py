"""Time, passed in: the loop never asks the machine for it directly."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """`monotonic` for durations (seconds, unaffected by the date), `time` for stamps (unix seconds)."""

    def monotonic(self) -> float: ...

    def time(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
