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

# Student's t, one-sided 99 %, by degrees of freedom (any statistics handbook); normal beyond the table.
_T99 = {1: 31.82, 2: 6.965, 3: 4.541, 4: 3.747, 5: 3.365, 6: 3.143, 7: 2.998, 8: 2.896, 9: 2.821, 10: 2.764}
_T99 |= {12: 2.681, 15: 2.602, 20: 2.528, 30: 2.457, 60: 2.390}
_Z99 = 2.326


@dataclass(frozen=True, slots=True)
class Noise:
    """`sigma` is the standard deviation (bits per byte) of one run of one script; `freedom` its degrees of freedom."""

    sigma: float
    freedom: int

    @property
    def quantile(self) -> float:
        """How many standard errors a difference must exceed to be believed (99 %, one-sided)."""
        known = [freedom for freedom in _T99 if freedom <= self.freedom]
        return _T99[max(known)] if known and self.freedom <= 120 else _Z99


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
    training = noise.sigma * math.sqrt(1 / len(candidate.scores) + 1 / len(incumbent.scores))
    error = math.hypot(training, _paired_error(candidate, incumbent, document_bytes))
    margin = noise.quantile * error
    simpler = candidate.nodes <= (1 - simpler_share) * incumbent.nodes
    if not math.isfinite(delta):
        return Judgement(Decision.DISCARD, "not a number", delta, margin)
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
