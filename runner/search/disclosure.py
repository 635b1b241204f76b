"""Which numbers about the hidden text an agent may see, and how precisely.

A script can raise its own score at will, so it could encode hidden text in every digit that the agent sees. So there is no
number above a ceiling, none finer than a fraction of the noise, and the difference to the best script is the difference of
two disclosed numbers. docs/judge.md counts the bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MUCH_WORSE = "much worse than the baseline"
"""Shown instead of a score above the ceiling."""
FINEST = 1e-4
"""Bits per byte."""
_SIGMAS_ABOVE = 10.0
_STEPS_A_SIGMA = 4.0
_UNKNOWN_STEP = 1e-3
_SIZES = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
"""What a width (the noise, a standard error) may begin with: six values a power of ten."""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """`baseline` is the first script's mean score, `sigma` the noise of one run; None where it is not known. Bits per byte."""

    baseline: float | None
    sigma: float | None

    @property
    def step(self) -> float:
        """What scores are rounded to: a 1, 2 or 5 with zeros, at most a quarter of the noise."""
        if self.sigma is None:
            return _UNKNOWN_STEP
        return max(_at_most(self.sigma / _STEPS_A_SIGMA, (1.0, 2.0, 5.0)), FINEST)

    @property
    def ceiling(self) -> float:
        if self.baseline is None:
            return math.inf
        return self.baseline + _SIGMAS_ABOVE * max(self.sigma or 0.0, self.step)

    def score(self, value: float | None) -> float | None:
        """None for a score above the ceiling."""
        if value is None or not value <= self.ceiling:
            return None
        return round(round(value / self.step) * self.step, 6)

    def delta(self, value: float | None, delta: float | None) -> float | None:
        """Of a script of score `value` against the best one then, which it differed from by `delta`."""
        if value is None or delta is None:
            return None
        mine, other = self.score(value), self.score(value - delta)
        return None if mine is None or other is None else round(mine - other, 6)

    def width(self, value: float | None) -> float | None:
        """The noise, or a standard error."""
        return None if value is None else max(_at_most(value, _SIZES), FINEST)


def _at_most(value: float, sizes: tuple[float, ...]) -> float:
    """The largest of `sizes` times a power of ten that is no more than `value`."""
    if not 0 < value < math.inf:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value) + 1e-9)
    return max(size for size in sizes if size <= value / power * (1 + 1e-9)) * power
