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

from runner.protocols import REASON_NOISE_TOO_LARGE, REASON_SIMPLER, Decision
from runner.scoring.noise import KEEP_QUANTILES, Noise, tabled

_PROMISING = 1.0
"""Standard errors by which a script must look better to be worth another run: what lies below never gets clear."""
_SIMPLER_RUNS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
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


def decide(
    candidate: Measurements,
    incumbent: Measurements,
    noise: Noise,
    document_bytes: NDArray[np.int64],
    *,
    retests_left: int,
    simpler_share: float = 0.05,
) -> Judgement:
    """Compare. What does not look better by more than a standard error is dropped at once; what does is run again, and
    kept as soon as it is better beyond the noise, but never after its first run while retests are left: the best of many
    candidates was lucky, too.

    Equal within noise and at least `simpler_share` fewer syntax-tree nodes is kept as a simplification. Where a difference
    would have to exceed the incumbent's score itself, nothing is decided: what is not worth another run is dropped for that reason.
    """
    delta, runs = candidate.mean - incumbent.mean, len(candidate.scores)
    if not math.isfinite(delta):
        return Judgement(Decision.DISCARD, "not a number", 0.0, 0.0)
    training = noise.sigma * math.sqrt(1 / runs + 1 / len(incumbent.scores))
    sampling = _paired_error(candidate, incumbent, document_bytes)
    error = math.hypot(training, sampling)
    # each source by what is known of it: three baseline repeats say little of their spread, hundreds of documents a lot
    margin = math.hypot(noise.quantile * training, tabled(KEEP_QUANTILES, len(document_bytes) - 1) * sampling)
    simpler = candidate.nodes <= (1 - simpler_share) * incumbent.nodes and delta <= error
    promising = delta < -_PROMISING * error
    if delta < -margin and (runs > 1 or retests_left == 0):
        return Judgement(Decision.KEEP, "better beyond the noise", delta, margin)
    if retests_left > 0 and (promising or (simpler and runs < _SIMPLER_RUNS)):
        return Judgement(Decision.RETEST, "within the noise", delta, margin)
    if margin >= incumbent.mean:
        return Judgement(Decision.DISCARD, REASON_NOISE_TOO_LARGE, delta, margin)
    if simpler:
        return Judgement(Decision.KEEP, REASON_SIMPLER, delta, margin)
    reason = "not better beyond the noise" if delta < 0 else "not better"
    return Judgement(Decision.DISCARD, reason, delta, margin)


def _paired_error(a: Measurements, b: Measurements, document_bytes: NDArray[np.int64]) -> float:
    """Standard error (bits per byte) of the difference, from the spread over documents."""
    count = len(document_bytes)
    if count < 2 or not (a.document_nats and b.document_nats):
        return 0.0
    difference = np.mean(a.document_nats, axis=0) - np.mean(b.document_nats, axis=0)
    ratio = difference.sum() / document_bytes.sum()
    residual = difference - ratio * document_bytes
    variance = count / (count - 1) * float(np.square(residual).sum()) / float(document_bytes.sum()) ** 2
    return math.sqrt(variance) / math.log(2)
