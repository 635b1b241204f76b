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

from runner.protocols import SIMPLER, Decision

# Student's t, one-sided 99.95 %, by degrees of freedom (any statistics handbook); normal beyond the table. With the
# looks below, and with the incumbent run again beside what would be kept (runner/loop.py), a script that changes nothing is
# kept in about 0.01 % of the cases, and a gain of three standard deviations in seven of eight (benchmarks/decisions.py).
_KEEP = {1: 636.6, 2: 31.60, 3: 12.92, 4: 8.610, 5: 6.869, 6: 5.959, 7: 5.408, 8: 5.041, 9: 4.781, 10: 4.587}
_KEEP |= {12: 4.318, 15: 4.073, 20: 3.850, 30: 3.646, 60: 3.460, 120: 3.373, 241: 3.291}
# The same, 99.5 %: two-sided 99 %.
_REPEAT = {
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
_REPEAT |= {12: 3.055, 15: 2.947, 20: 2.845, 30: 2.750, 60: 2.660, 120: 2.617, 241: 2.576}
_PROMISING = 1.0
"""Standard errors by which a script must look better to be worth another run: what lies below never gets clear."""
_SIMPLER_RUNS = 3


@dataclass(frozen=True, slots=True)
class Noise:
    """`sigma` is the standard deviation (bits per byte) of one run of one script; `freedom` its degrees of freedom."""

    sigma: float
    freedom: int

    @property
    def quantile(self) -> float:
        """How many standard errors a difference must exceed to be believed (99.95 %, one-sided)."""
        return _tabled(_KEEP, self.freedom)

    @property
    def repeat_quantile(self) -> float:
        """Within how many standard errors a repetition lies (99 %, two-sided)."""
        return _tabled(_REPEAT, self.freedom)


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
    """Compare. What does not look better by more than a standard error is dropped at once; what does is run again, and
    kept as soon as it is better beyond the noise, but never after its first run while retests are left: the best of many
    candidates was lucky, too.

    Equal within noise and at least `simpler_share` fewer syntax-tree nodes is kept as a simplification.
    """
    delta, runs = candidate.mean - incumbent.mean, len(candidate.scores)
    if not math.isfinite(delta):
        return Judgement(Decision.DISCARD, "not a number", 0.0, 0.0)
    training = noise.sigma * math.sqrt(1 / runs + 1 / len(incumbent.scores))
    sampling = _paired_error(candidate, incumbent, document_bytes)
    error = math.hypot(training, sampling)
    # each source by what is known of it: three baseline repeats say little of their spread, hundreds of documents a lot
    margin = math.hypot(noise.quantile * training, _tabled(_KEEP, len(document_bytes) - 1) * sampling)
    simpler = candidate.nodes <= (1 - simpler_share) * incumbent.nodes and delta <= error
    promising = delta < -_PROMISING * error
    if delta < -margin and (runs > 1 or retests_left == 0):
        return Judgement(Decision.KEEP, "better beyond the noise", delta, margin)
    if retests_left > 0 and (promising or (simpler and runs < _SIMPLER_RUNS)):
        return Judgement(Decision.RETEST, "within the noise", delta, margin)
    if simpler:
        return Judgement(Decision.KEEP, SIMPLER, delta, margin)
    reason = "not better beyond the noise" if delta < 0 else "not better"
    return Judgement(Decision.DISCARD, reason, delta, margin)


def _tabled(table: dict[int, float], freedom: int) -> float:
    return table[max((known for known in table if known <= freedom), default=1)]


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
