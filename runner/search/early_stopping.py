"""What a run knows about hopeless trainings when one begins: taken from the ledger and the finished attempts' telemetry alone, so a
resumed run decides as an uninterrupted one would."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.scoring.early_stopping import Finished, Rule, TrainingMonitor, differences, in_sample
from runner.scoring.learning_curve import Curve, Telemetry, read
from runner.scoring.scores import best, mean, noise_floor
from runner.store.records import Attempt, Experiment


@dataclass
class EarlyStopping:
    """Of one run. `wall_clock_s` is that of one training, `train_data` the folder with meta.json."""

    run_seed: int
    wall_clock_s: float
    train_data: Path
    _read: dict[Path, Telemetry] = field(default_factory=dict)
    """By the attempt's folder: a finished attempt's file does not change."""

    def monitor(self, experiment: Experiment, experiments: Sequence[Experiment]) -> TrainingMonitor:
        """For the next training of `experiment`. The baseline, retests of the best script and retests of a script that has a
        score are read along, so that all trainings of a run are treated alike, and never ended."""
        monitor = TrainingMonitor(Telemetry(self.wall_clock_s))
        if experiment.number > 0 and experiment.status == "open" and not _has_score(experiment):
            monitor.rule = self._rule(experiment, experiments)
            monitor.sampled = in_sample(self.run_seed, experiment.number)
        return monitor

    def _rule(self, experiment: Experiment, experiments: Sequence[Experiment]) -> Rule:
        incumbent = best(experiments)
        alike = [
            (e, then)
            for e in experiments
            if 0 < e.number != experiment.number and e.counted and (then := _best_before(e, experiments))
            # a script whose code is another one is compared with what is known of such scripts
            if _same_code(e, then) == _same_code(experiment, incumbent)
        ]
        noise = noise_floor(experiments)
        return Rule.learned(
            self._curve(incumbent),
            [found for e, then in alike if (found := self._finished(e, then)) is not None],
            noise=noise.sigma if noise else 0.0,
            uniform=_uniform_loss(self.train_data),
        )

    def _finished(self, experiment: Experiment, incumbent: Experiment) -> Finished | None:
        """By its first attempt, which is what the next experiment will be compared at."""
        first, reference = experiment.counted[0], self._curve(incumbent)
        if reference is None or first.val_bpb is None:
            return None
        found = differences(self._telemetry(first), reference)
        return Finished(found, first.val_bpb - mean(incumbent))

    def _curve(self, experiment: Experiment) -> Curve | None:
        return Curve.of([self._telemetry(attempt) for attempt in experiment.counted])

    def _telemetry(self, attempt: Attempt) -> Telemetry:
        if attempt.folder not in self._read:
            self._read[attempt.folder] = read(attempt.folder, self.wall_clock_s)
        return self._read[attempt.folder]


def _has_score(experiment: Experiment) -> bool:
    return any(attempt.val_bpb is not None for attempt in experiment.attempts)


def _best_before(experiment: Experiment, experiments: Sequence[Experiment]) -> Experiment | None:
    """What was the best script when `experiment` was first trained."""
    kept = [e for e in experiments if e.status == "keep" and e.number < experiment.number and e.counted]
    return kept[-1] if kept else None


def _same_code(experiment: Experiment, other: Experiment) -> bool:
    """Whether the two scripts differ in constants alone."""
    return experiment.facts.skeleton == other.facts.skeleton != ""


def _uniform_loss(train_data: Path) -> float:
    try:
        return math.log(json.loads((train_data / "meta.json").read_text())["vocab_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
