"""Quantiles of Student's t distribution, by degrees of freedom (any statistics handbook); normal beyond the table."""

from __future__ import annotations

_FREEDOM = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 30, 60, 120, 241)


def _table(*quantiles: float) -> dict[int, float]:
    return dict(zip(_FREEDOM, quantiles, strict=True))


# fmt: off
CLAIM_QUANTILES = _table(636.6, 31.6, 12.92, 8.61, 6.869, 5.959, 5.408, 5.041, 4.781, 4.587, 4.318, 4.073, 3.85, 3.646, 3.46, 3.373, 3.291)
"""One-sided 99.95 %. A confirmation looks after every pair, a few times at most, so a script that changes nothing is confirmed in about
0.3 % of the cases."""
REPEAT_QUANTILES = _table(63.66, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.25, 3.169, 3.055, 2.947, 2.845, 2.75, 2.66, 2.617, 2.576)
"""99.5 %: two-sided 99 %."""
INTERVAL_QUANTILES = _table(12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.179, 2.131, 2.086, 2.042, 2.0, 1.98, 1.96)
"""97.5 %: two-sided 95 %."""
# fmt: on


def tabled(table: dict[int, float], freedom: int) -> float:
    """The quantile for `freedom`, or for the next smaller number in the table: on the wide side."""
    return table[max((known for known in table if known <= freedom), default=1)]
