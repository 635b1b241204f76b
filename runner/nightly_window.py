"""A nightly window, `20:00-08:00` in the machine's local time: when a run may train on a machine that others use by day.

Each night is an interval of real time, from one reading of the local clock to another. So a night in which daylight saving time begins or
ends is an hour shorter or longer, a reading that occurs twice means the first one, and one that is left out an hour later (PEP 495).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

from runner.clock import Clock
from runner.durations import format_duration
from runner.errors import UsageError

FORM = "two times of day, for example 20:00-08:00"
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class NightlyWindow:
    """`closes` is of the next day where it is not after `opens`. `zone` None is the machine's. Moments are unix seconds."""

    opens: time
    closes: time
    zone: tzinfo | None = None

    @property
    def length_s(self) -> float:
        """Of a usual night."""
        minutes = (self.closes.hour - self.opens.hour) * 60 + self.closes.minute - self.opens.minute
        return minutes * 60.0 % _DAY_S

    def too_short_for(self, training_s: float) -> str:
        """What is wrong with a window that may never see a training begin, as the end of a sentence; else empty."""
        if self.length_s >= 2 * training_s:
            return ""
        each = format_duration(training_s)
        return f"is too short: it must hold two trainings of {each} each; give a longer window or a shorter --wall-clock"

    def open_until(self, now: float) -> float | None:
        """When the window closes that is open now; None where none is."""
        return next((end for begin, end in self._nights(now, now) if begin <= now < end), None)

    def opens_next(self, now: float) -> float:
        """The first opening after now."""
        return next(begin for begin, end in self._nights(now, now + 3 * _DAY_S) if now < begin < end)

    def open_s(self, since: float, until: float) -> float:
        """For how long it was open between two moments."""
        return sum(max(0.0, min(end, until) - max(begin, since)) for begin, end in self._nights(since, until))

    def said(self, moment: float) -> str:
        """The local time of day: "20:00"."""
        return f"{datetime.fromtimestamp(moment, self.zone):%H:%M}"

    def _nights(self, since: float, until: float) -> Iterator[tuple[float, float]]:
        """All that may touch this stretch of time, in order."""
        day = datetime.fromtimestamp(since, self.zone).date() - timedelta(days=1)
        last = datetime.fromtimestamp(until, self.zone).date()
        after = timedelta(days=self.closes <= self.opens)
        while day <= last:
            begin = datetime.combine(day, self.opens, self.zone).timestamp()
            yield begin, datetime.combine(day + after, self.closes, self.zone).timestamp()
            day += timedelta(days=1)


def parse_window(text: str, zone: tzinfo | None = None) -> NightlyWindow:
    """Raises UsageError."""
    found = re.fullmatch(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", text.strip(), re.ASCII)
    numbers = [int(number) for number in found.groups()] if found else []
    if not numbers or max(numbers[0], numbers[2]) > 23 or max(numbers[1], numbers[3]) > 59:
        raise UsageError(f"{text[:80]!r} is not {FORM}")
    opens, closes = time(numbers[0], numbers[1]), time(numbers[2], numbers[3])
    if opens == closes:
        raise UsageError(
            f"{text[:80]!r} opens and closes at once: write {FORM}, or leave it out to train at any time"
        )
    return NightlyWindow(opens, closes, zone)


class TimeInside:
    """A clock for a budget: `monotonic` advances while the window is open, and stands still while it is closed."""

    def __init__(self, window: NightlyWindow, clock: Clock) -> None:
        self._window, self._clock = window, clock
        self._last, self._inside_s = clock.monotonic(), 0.0

    def monotonic(self) -> float:
        last, self._last = self._last, self._clock.monotonic()
        now, passed = self._clock.time(), self._last - last
        self._inside_s += self._window.open_s(now - passed, now)
        return self._inside_s
