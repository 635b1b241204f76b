"""Quantiles of Student's t distribution, by degrees of freedom."""

from __future__ import annotations

# Student's t, one-sided 99.95 %, by degrees of freedom (any statistics handbook); normal beyond the table. A confirmation looks
# after every pair, a few times at most, so a script that changes nothing is confirmed in about 0.3 % of the cases.
CLAIM_QUANTILES = {
    1: 636.6,
    2: 31.60,
    3: 12.92,
    4: 8.610,
    5: 6.869,
    6: 5.959,
    7: 5.408,
    8: 5.041,
    9: 4.781,
    10: 4.587,
}
CLAIM_QUANTILES |= {12: 4.318, 15: 4.073, 20: 3.850, 30: 3.646, 60: 3.460, 120: 3.373, 241: 3.291}
# The same, 99.5 %: two-sided 99 %.
REPEAT_QUANTILES = {
    1: 63.66,
    2: 9.925,
    3: 5.841,
    4: 4.604,
    5: 4.032,
    6: 3.707,
    7: 3.499,
    8: 3.355,
    9: 3.250,
    10: 3.169,
}
REPEAT_QUANTILES |= {12: 3.055, 15: 2.947, 20: 2.845, 30: 2.750, 60: 2.660, 120: 2.617, 241: 2.576}
# The same, 97.5 %: two-sided 95 %.
INTERVAL_QUANTILES = {
    1: 12.71,
    2: 4.303,
    3: 3.182,
    4: 2.776,
    5: 2.571,
    6: 2.447,
    7: 2.365,
    8: 2.306,
    9: 2.262,
    10: 2.228,
}
INTERVAL_QUANTILES |= {12: 2.179, 15: 2.131, 20: 2.086, 30: 2.042, 60: 2.000, 120: 1.980, 241: 1.960}


def tabled(table: dict[int, float], freedom: int) -> float:
    """The quantile for `freedom`, or for the next smaller number in the table: on the wide side."""
    return table[max((known for known in table if known <= freedom), default=1)]
