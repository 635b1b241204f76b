"""A training's loss as its script reports it, by share of its time (telemetry.jsonl). The script writes it: it can be anything.

Nothing here scores a script. The reports are averaged over steps of 0.5 % of the time, so a file of any size takes little memory.
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

TELEMETRY = "telemetry.jsonl"
WINDOW = 0.1
"""Share of the time before a checkpoint over which reports are averaged."""
_STEPS = 200
_LARGEST_LINE = 1000
_LARGEST_LOSS = 1e9
"""Nats. What is above is no loss of any model, and sums of it could overflow."""
_MOST_BYTES = 4 << 20


@dataclass
class Telemetry:
    """What a script has reported so far. `wall_clock_s` serves lines that say seconds and no progress."""

    wall_clock_s: float
    progress: float = 0.0
    """Of the newest report."""
    first: float | None = None
    """The first finite loss, in the script's own unit."""
    last: tuple[float, float] = (math.nan, math.nan)
    """The two newest losses, the older one first."""
    reports: int = 0
    _sums: dict[int, list[float]] = field(default_factory=dict)
    """By step of progress: how many finite losses, their sum, the sum of their progress."""
    _line: bytes = b""

    def add(self, added: bytes) -> None:
        """The next bytes of the file. What is no report is passed over."""
        *lines, self._line = (self._line + added).split(b"\n")
        for line in lines:
            if len(line) <= _LARGEST_LINE and (found := _report(line, self.wall_clock_s)) is not None:
                self._take(*found)
        self._line = self._line[: _LARGEST_LINE + 1]

    def _take(self, progress: float, loss: float) -> None:
        if progress < self.progress:  # time does not go back
            return
        self.progress, self.last, self.reports = progress, (self.last[1], loss), self.reports + 1
        if not math.isfinite(loss):
            return
        if self.first is None:
            self.first = loss
        sums = self._sums.setdefault(int(progress * _STEPS), [0.0, 0.0, 0.0])
        for place, value in enumerate((1.0, loss, progress)):
            sums[place] += value

    def points(self, low: float = 0.0, high: float = 2.0) -> list[tuple[float, float]]:
        """(progress, loss) of every step with low <= progress < high, in order."""
        first, end = round(low * _STEPS), round(high * _STEPS)
        return [
            (progress / count, loss / count)
            for step, (count, loss, progress) in sorted(self._sums.items())
            if first <= step < end
        ]


def read(folder: Path, wall_clock_s: float) -> Telemetry:
    """What a finished attempt reported; nothing where there is no such file."""
    telemetry = Telemetry(wall_clock_s)
    try:
        with (folder / TELEMETRY).open("rb") as file:
            telemetry.add(file.read(_MOST_BYTES))
    except OSError:
        pass
    return telemetry


@dataclass(frozen=True, slots=True)
class Curve:
    """The loss of one script, the mean over its attempts, as a line between its reports."""

    attempts: Sequence[Sequence[tuple[float, float]]]
    first: float
    """The mean first loss."""

    @classmethod
    def of(cls, attempts: Sequence[Telemetry]) -> Curve | None:
        """None where no attempt reported anything finite."""
        found = [(telemetry.points(), telemetry.first) for telemetry in attempts]
        reported = [(points, first) for points, first in found if first is not None]
        if not reported:
            return None
        return cls([points for points, _ in reported], math.fsum(f for _, f in reported) / len(reported))

    def at(self, progress: float) -> float | None:
        """Nats at `progress`; None before the first report. After the last one it stays as it is."""
        found = [value for points in self.attempts if (value := _between(points, progress)) is not None]
        return math.fsum(found) / len(found) if found else None


def difference(telemetry: Telemetry, reference: Curve, checkpoint: float) -> float | None:
    """By how much the loss lay above the reference's at the same progress, in the mean of the WINDOW before `checkpoint` (nats).

    None where the checkpoint is not reached, or nothing was reported there.
    """
    if telemetry.progress < checkpoint:
        return None
    found = [
        loss - other
        for progress, loss in telemetry.points(checkpoint - WINDOW, checkpoint)
        if (other := reference.at(progress)) is not None
    ]
    return math.fsum(found) / len(found) if found else None


def _between(points: Sequence[tuple[float, float]], progress: float) -> float | None:
    after = bisect.bisect_right(points, (progress, math.inf))
    if after == 0:
        return None
    if after == len(points):
        return points[-1][1]
    (x0, y0), (x1, y1) = points[after - 1], points[after]
    return y0 + (y1 - y0) * (progress - x0) / (x1 - x0) if x1 > x0 else y1


def _report(line: bytes, wall_clock_s: float) -> tuple[float, float] | None:
    """(progress, loss) of one line. A loss beyond all bounds is infinite."""
    try:
        entry = json.loads(line)
        if not isinstance(entry, dict):
            return None
        loss = _number(entry.get("loss"))
        progress, seconds = _number(entry.get("progress")), _number(entry.get("seconds"))
    except (ValueError, OverflowError, RecursionError):
        return None
    if progress is None and seconds is not None:
        progress = min(seconds / wall_clock_s, 1.0)
    if loss is None or progress is None or not 0.0 <= progress <= 1.0:
        return None
    return progress, loss if abs(loss) <= _LARGEST_LOSS else math.inf


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
