"""Measures the noise: the same script is evaluated several times with fresh seeds; no run uses the results.

The interval of sigma is the chi-square one (Montgomery & Runger, Applied Statistics, section 8-3); the gain that would be
confirmed is what `runner.scoring.confirmation` asks of training noise alone. Seconds are the host's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.errors import NothingEvaluated, PrerequisiteMissing
from runner.evaluation.failure_advice import unscored
from runner.evaluation.pipeline import Ids, Pipeline
from runner.protocols import Evaluation, EvaluationOutcome
from runner.scoring.repeat_noise import Noise, pooled, smallest_confirmed


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores, `sigma` and its 95 % interval in bits per byte. `contended` runs are not among the scores."""

    scores: tuple[float, ...]
    seconds: tuple[float, ...]
    seeds: tuple[int, ...]
    contended: int
    noise: Noise
    low: float
    high: float

    def confirmed_gain(self, pairs: int) -> float:
        """Bits per byte by which the mean of so many pairs must be better to be confirmed, with sigma as measured here; the text
        adds a little."""
        return smallest_confirmed(self.noise, pairs)


def calibrate(
    source: bytes,
    pipeline: Pipeline,
    seeds: Sequence[int],
    folder: Path,
    *,
    run: str,
    progress: Callable[[Evaluation], None],
) -> Calibration:
    """One run for each seed, in `folder`. Raises NothingEvaluated when the script cannot be scored or fewer than two
    runs count, PrerequisiteMissing when the engine fails."""
    counted: list[Evaluation] = []
    for number, seed in enumerate(seeds, 1):
        evaluation = pipeline.evaluate(source, Ids(run, "0", number), seed=seed, folder=folder / str(number))
        if evaluation.outcome is EvaluationOutcome.INFRASTRUCTURE:
            raise PrerequisiteMissing(
                f"the engine failed: {evaluation.detail or evaluation.reason}; `autoresearch doctor` may know why"
            )
        if evaluation.val_bpb is None:
            advice = unscored(
                evaluation.outcome, pipeline.limits.wall_clock_s, look="autoresearch try train.py"
            )
            why = f"{evaluation.outcome} {evaluation.reason or ''}".rstrip()
            raise NothingEvaluated(f"train.py could not be scored ({why}): {advice}")
        progress(evaluation)
        if not evaluation.contended:
            counted.append(evaluation)
    scores = tuple(evaluation.val_bpb for evaluation in counted if evaluation.val_bpb is not None)
    noise = pooled([scores])
    if noise is None:
        raise NothingEvaluated(
            "fewer than two runs had their GPU or CPUs to themselves, so nothing is known of the noise; repeat it when this machine is free"
        )
    low, high = interval(noise)
    return Calibration(
        scores,
        tuple(evaluation.seconds for evaluation in counted),
        tuple(evaluation.seed for evaluation in counted),
        len(seeds) - len(counted),
        noise,
        low,
        high,
    )


def interval(noise: Noise) -> tuple[float, float]:
    """Between which values sigma lies, 95 %."""
    squares = noise.freedom * noise.sigma**2
    return (
        math.sqrt(squares / _chi_square(0.975, noise.freedom)),
        math.sqrt(squares / _chi_square(0.025, noise.freedom)),
    )


def _chi_square(share: float, freedom: int) -> float:
    """The quantile, by bisection of the lower incomplete gamma function's series (Abramowitz & Stegun 6.5.29)."""
    low, high = 0.0, 10.0 * freedom + 50.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _below(middle, freedom) < share else (low, middle)
    return high


def _below(value: float, freedom: int) -> float:
    half, x = freedom / 2, value / 2
    term = total = 1.0
    for n in range(1, 2000):
        term *= x / (half + n)
        total += term
        if term < 1e-16 * total:
            break
    return total * math.exp(half * math.log(x) - x - math.lgamma(half + 1)) if x > 0 else 0.0
