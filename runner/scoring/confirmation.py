"""Whether the script of now is better than the last confirmed one: what a report may claim.

Pairs of new runs, one of each script under one fresh seed, made for this question alone: none of them took part in choosing the
script, so there is no winner's curse in them, and both of a pair ran one directly after the
other (which goes first alternates), so hardly any drift of the machine.
The difference must exceed the one-sided 99.95 % quantile of Student's t times its standard error, together with the paired
error over documents. The variance of a pair is pooled from the noise of all earlier runs, as if nothing were shared under one
seed (that errs on the strict side), and from the pairs themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.scoring.quantiles import CLAIM_QUANTILES, INTERVAL_QUANTILES, tabled
from runner.scoring.repeat_noise import PRIOR_FREEDOM, Noise, smallest_confirmed

_LIKELY = 1.3
"""Standard normal quantile, 90 %: a confirmation is begun where it will succeed with this probability."""
Pair = tuple[float, float]
"""Scores (bits per byte) of the reference and of the candidate under one seed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """`delta` is candidate minus reference, `low` and `high` the ends of its two-sided 95 % interval, bits per byte."""

    delta: float
    low: float
    high: float
    confirmed: bool


def claim(pairs: Sequence[Pair], noise: Noise | None, sampling_error: float = 0.0) -> Claim:
    """`noise` of one run as far as it is known, `sampling_error` the standard error of the difference over documents."""
    differences = [candidate - reference for reference, candidate in pairs]
    delta = math.fsum(differences) / len(differences)
    error, freedom = _error(differences, noise)
    if not freedom:
        return Claim(delta, -math.inf, math.inf, confirmed=False)
    must_exceed = math.hypot(tabled(CLAIM_QUANTILES, freedom) * error, CLAIM_QUANTILES[241] * sampling_error)
    half = math.hypot(tabled(INTERVAL_QUANTILES, freedom) * error, INTERVAL_QUANTILES[241] * sampling_error)
    return Claim(delta, delta - half, delta + half, confirmed=delta < -must_exceed)


def pairs_needed(gain: float, gain_error: float, noise: Noise | None, most: int) -> int | None:
    """The fewest pairs, at most `most`, with which a true gain that is believed to be `gain` with a standard deviation of
    `gain_error` (bits per byte) will be confirmed with 90 %; None where even `most` are too few."""
    if noise is None:
        return None
    for pairs in range(1, most + 1):
        spread = math.hypot(gain_error, noise.sigma * math.sqrt(2.0 / pairs))
        if gain - _LIKELY * spread > smallest_confirmed(noise, pairs):
            return pairs
    return None


def _error(differences: Sequence[float], noise: Noise | None) -> tuple[float, int]:
    """Standard error of the mean difference, and its degrees of freedom."""
    mean = math.fsum(differences) / len(differences)
    freedom = min(noise.freedom, PRIOR_FREEDOM) if noise else 0
    squares = freedom * 2.0 * noise.sigma**2 if noise else 0.0
    squares += math.fsum((difference - mean) ** 2 for difference in differences)
    freedom += len(differences) - 1
    return math.sqrt(squares / max(freedom, 1) / len(differences)), freedom


def paired_error(
    a: Sequence[NDArray[np.float64]], b: Sequence[NDArray[np.float64]], document_bytes: NDArray[np.int64]
) -> float:
    """Standard error (bits per byte) of the difference of two scripts over documents: `a` and `b` are float64[D], nats of each
    document, one for each run. A ratio estimator (Cochran 1977, section 2.11)."""
    count = len(document_bytes)
    if count < 2 or not (a and b):
        return 0.0
    difference = np.mean(a, axis=0) - np.mean(b, axis=0)
    ratio = difference.sum() / document_bytes.sum()
    residual = difference - ratio * document_bytes
    variance = count / (count - 1) * float(np.square(residual).sum()) / float(document_bytes.sum()) ** 2
    return math.sqrt(variance) / math.log(2)
