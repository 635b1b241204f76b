"""Keep, discard or retest: a difference counts when it is larger than what repeating alone would do.

Two sources of noise are measured, none is assumed. Training noise: the spread of repeats of the same script with
other seeds, pooled over every script that ran more than once (baseline repeats, retests), with Student's t for the few
degrees of freedom there are. Sampling noise: the two scripts' losses on the same documents, paired (a ratio
estimator over documents, Cochran 1977, section 2.11). Upstream's log shows why: 14 of its 22 accepted improvements
are smaller than the difference that a change of seed made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.protocols import Decision

# Student's t, one-sided 99.5 %, by degrees of freedom (any statistics handbook); normal beyond the table. Up to three
# looks at one candidate make about 1.5 % false keeps of it (tests/runner/test_decide.py).
_T = {1: 63.66, 2: 9.925, 3: 5.841, 4: 4.604, 5: 4.032, 6: 3.707, 7: 3.499, 8: 3.355, 9: 3.250, 10: 3.169}
_T |= {12: 3.055, 15: 2.947, 20: 2.845, 30: 2.750, 60: 2.660}
_Z = 2.576


@dataclass(frozen=True, slots=True)
class Noise:
    """`sigma` is the standard deviation (bits per byte) of one run of one script; `freedom` its degrees of freedom."""

    sigma: float
    freedom: int

    @property
    def quantile(self) -> float:
        """How many standard errors a difference must exceed to be believed (99.5 %, one-sided)."""
        known = [freedom for freedom in _T if freedom <= self.freedom]
        return _T[max(known)] if known and self.freedom <= 120 else _Z


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """All judged runs of one script: their scores, and each one's nats per document (float64[D])."""

    scores: Sequence[float]
    document_nats: Sequence[NDArray[np.float64]]
    nodes: int

    @property
    def mean(self) -> float:
        return math.fsum(self.scores) / len(self.scores)


@dataclass(frozen=True, slots=True)
class Judgement:
    """`delta` is candidate minus incumbent (negative is better), `margin` what it had to exceed, both bits per byte."""

    decision: Decision
    reason: str
    delta: float
    margin: float


def pooled(groups: Sequence[Sequence[float]]) -> Noise | None:
    """Training noise from every script that ran at least twice; None when none did."""
    squares = freedom = 0.0
    for scores in groups:
        if len(scores) >= 2:
            mean = math.fsum(scores) / len(scores)
            squares += math.fsum((score - mean) ** 2 for score in scores)
            freedom += len(scores) - 1
    return Noise(math.sqrt(squares / freedom), int(freedom)) if freedom else None


def decide(
    candidate: Measured,
    incumbent: Measured,
    noise: Noise,
    document_bytes: NDArray[np.int64],
    *,
    retests_left: int,
    simpler_share: float = 0.05,
) -> Judgement:
    """Compare. What is clear is decided at once; what looks better but is not clear is retested while retests are left.

    Equal within noise and at least `simpler_share` fewer syntax-tree nodes is kept as a simplification.
    """
    delta = candidate.mean - incumbent.mean
    if not math.isfinite(delta):
        return Judgement(Decision.DISCARD, "not a number", 0.0, 0.0)
    training = noise.sigma * math.sqrt(1 / len(candidate.scores) + 1 / len(incumbent.scores))
    error = math.hypot(training, _paired_error(candidate, incumbent, document_bytes))
    margin = noise.quantile * error
    simpler = candidate.nodes <= (1 - simpler_share) * incumbent.nodes
    if delta < -margin:
        return Judgement(Decision.KEEP, "better beyond the noise", delta, margin)
    if delta > 0 and not (simpler and delta <= error):
        return Judgement(Decision.DISCARD, "not better", delta, margin)
    if retests_left > 0:
        return Judgement(Decision.RETEST, "within the noise", delta, margin)
    if simpler:
        return Judgement(Decision.KEEP, "as good and simpler", delta, margin)
    return Judgement(Decision.DISCARD, "not better beyond the noise", delta, margin)


def _paired_error(a: Measured, b: Measured, document_bytes: NDArray[np.int64]) -> float:
    """Standard error (bits per byte) of the difference, from the spread over documents."""
    count = len(document_bytes)
    if count < 2 or not (a.document_nats and b.document_nats):
        return 0.0
    difference = np.mean(a.document_nats, axis=0) - np.mean(b.document_nats, axis=0)
    ratio = difference.sum() / document_bytes.sum()
    residual = difference - ratio * document_bytes
    variance = count / (count - 1) * float(np.square(residual).sum()) / float(document_bytes.sum()) ** 2
    return math.sqrt(variance) / math.log(2)
