"""When is a training hopeless? Decided while it runs, from the loss that its own script reports (runner/scoring/learning_curve.py).

A report may end a training and never scores one, so a script that lies hurts only itself. Two rules:

- A loss that is not finite, or far above where it began, ends a training at once.
- A training that is far behind the best script's at the same share of the time is ended when it would hardly become better. How
  far is far is learned: every finished training of the run gives a pair (by how much its loss lay above the best's at a checkpoint,
  by how much its val_bpb then did), and a line through the pairs predicts the second from the first, with the error that the pairs
  themselves show (prediction interval of a simple linear regression: Montgomery & Runger, Applied Statistics, section 11-6).

With four checkpoints at 0.5 % each, a script that would have ended better than the best is ended with a chance of 2 % at most, as
far as it is like those before it. Learning curves cross (a high learning rate looks bad until it falls), which is an error like
any other here: where curves cross often, the pairs scatter and little is ended. Cf. Domhan et al. 2015; Golovin et al. 2017
(Vizier's stopping rules).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.scoring.learning_curve import Curve, Telemetry, difference
from runner.scoring.quantiles import REPEAT_QUANTILES, tabled

CHECKPOINTS = (0.25, 0.4, 0.6, 0.8)
"""Shares of the time at which a training is compared."""
FEWEST_FINISHED = 5
"""Finished trainings, the baseline's not counted, before anything is learned from them."""
SAMPLE = 10
"""One in so many trainings that would be ended runs to its end all the same, to see what was missed."""
_SAME_SCALE = 0.1
"""By which share the first loss may differ from the best script's: else it is another kind of loss, and nothing is compared."""
_EXPLODED = 2.0
"""A loss so many times the first one, and so many times a uniform guess's, has exploded."""
_EXPLODES_FROM = 0.1
"""Share of the time before which a loss may overshoot."""

NOT_FINITE = "its loss is not a finite number"
EXPLODED = "its loss exploded"


def far_behind(checkpoint: float) -> str:
    return f"far behind the best at {100 * checkpoint:.0f} % of the time"


@dataclass(frozen=True, slots=True)
class Finished:
    """One finished and judged training against the best script of its time: loss differences (nats) by checkpoint, None where
    unknown, and the difference of val_bpb."""

    differences: Sequence[float | None]
    val_bpb: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """A line through pairs, and how far they scatter around it: what a loss difference at one checkpoint says of val_bpb."""

    pairs: int
    slope: float
    mean_x: float
    mean_y: float
    spread: float
    """Sum of squares of the loss differences around their mean."""
    residual: float
    """Standard deviation of the pairs around the line, bits per byte."""

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]]) -> Forecast | None:
        """None for pairs that are too few, or do not differ."""
        count = len(pairs)
        if count < FEWEST_FINISHED:
            return None
        mean_x = math.fsum(x for x, _ in pairs) / count
        mean_y = math.fsum(y for _, y in pairs) / count
        spread = math.fsum((x - mean_x) ** 2 for x, _ in pairs)
        if not spread > 1e-12:
            return None
        slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread
        squares = math.fsum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in pairs)
        return cls(count, slope, mean_x, mean_y, spread, math.sqrt(squares / (count - 2)))

    def lower_bound(self, x: float, least_residual: float) -> float:
        """The val_bpb difference that a training with the loss difference `x` falls below with a chance of 0.5 %.
        `least_residual` is a standard deviation that is known from elsewhere."""
        expected = self.mean_y + self.slope * (x - self.mean_x)
        error = max(self.residual, least_residual) * math.sqrt(
            1 + 1 / self.pairs + (x - self.mean_x) ** 2 / self.spread
        )
        return expected - tabled(REPEAT_QUANTILES, self.pairs - 2) * error


@dataclass(frozen=True, slots=True)
class Rule:
    """What is known when a training begins. `reference` is the best script's curve, `forecasts` are by checkpoint."""

    reference: Curve | None = None
    forecasts: Sequence[Forecast | None] = ()
    noise: float = 0.0
    """Standard deviation of one run's val_bpb, bits per byte."""
    uniform: float = 0.0
    """The loss of a uniform guess, ln(vocabulary), nats; 0 where it is not known."""

    @classmethod
    def learned(
        cls, reference: Curve | None, finished: Sequence[Finished], *, noise: float, uniform: float
    ) -> Rule:
        """From all finished trainings of scripts of the same kind."""
        pairs = [
            [(x, item.val_bpb) for item in finished if (x := item.differences[place]) is not None]
            for place in range(len(CHECKPOINTS))
        ]
        return cls(reference, [Forecast.of(found) for found in pairs], noise, uniform)

    def reason_to_stop(self, telemetry: Telemetry) -> str:
        """Why the training should not go on; empty where it should, or where nothing is known."""
        return self._broken(telemetry) or self._hopeless(telemetry)

    def _broken(self, telemetry: Telemetry) -> str:
        """Both of the two newest reports must say so: a script may skip a bad step and mend itself."""
        if telemetry.reports < 2:
            return ""
        if not any(math.isfinite(loss) for loss in telemetry.last):
            return NOT_FINITE
        start = max(telemetry.first or math.inf, self.uniform)
        far = all(loss > _EXPLODED * start for loss in telemetry.last)
        return EXPLODED if far and telemetry.progress >= _EXPLODES_FROM else ""

    def _hopeless(self, telemetry: Telemetry) -> str:
        if self.reference is None or not same_scale(telemetry, self.reference):
            return ""
        least = self.noise
        reasons = []
        for place in reversed(range(len(self.forecasts))):
            forecast = self.forecasts[place]
            if forecast is None:
                continue
            least = max(least, forecast.residual)  # an earlier look knows no more than a later one
            x = difference(telemetry, self.reference, CHECKPOINTS[place])
            if x is not None and forecast.lower_bound(x, least) > 0:
                reasons.append(far_behind(CHECKPOINTS[place]))
        return reasons[-1] if reasons else ""


def same_scale(telemetry: Telemetry, reference: Curve) -> bool:
    """Whether both losses began alike, as those of two untrained models of one vocabulary do."""
    return (
        telemetry.first is not None
        and abs(telemetry.first - reference.first) <= _SAME_SCALE * reference.first
    )


def differences(telemetry: Telemetry, reference: Curve) -> list[float | None]:
    """Against the reference at every checkpoint; nothing where the two losses are of different kinds."""
    if not same_scale(telemetry, reference):
        return [None] * len(CHECKPOINTS)
    return [difference(telemetry, reference, checkpoint) for checkpoint in CHECKPOINTS]


def in_sample(run_seed: int, number: int) -> bool:
    """Whether experiment `number` would run to its end whatever it reports: chosen by the run's seed alone."""
    digest = hashlib.sha256(f"{run_seed}/{number}/early stopping".encode()).digest()
    return int.from_bytes(digest[:8], "little") % SAMPLE == 0


@dataclass
class TrainingMonitor:
    """Reads along with one training. Without a rule it reads and ends nothing, as those are read that may not be ended."""

    telemetry: Telemetry
    rule: Rule | None = None
    sampled: bool = False
    """It runs to its end in any case."""
    reason: str = field(default="", init=False)
    """Why it was ended early, or would have been but for the sample."""

    def see(self, added: bytes) -> str:
        """See `sandbox.spec.Monitor`."""
        if self.rule is None or self.reason:
            return "" if self.sampled else self.reason
        self.telemetry.add(added)
        self.reason = self.rule.reason_to_stop(self.telemetry)
        return "" if self.sampled else self.reason
