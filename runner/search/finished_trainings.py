"""What finished trainings teach about hopeless ones (runner/scoring/early_stopping.py has the rule): taken from the ledger and the
finished attempts' telemetry alone, so a resumed run decides as an uninterrupted one would."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.scoring.best_script import best, with_the_best_before
from runner.scoring.early_stopping import Finished, Rule, TrainingMonitor, differences, in_sample
from runner.scoring.learning_curve import Curve, Telemetry, read
from runner.scoring.repeat_noise import RememberedNoise
from runner.scoring.scores import mean
from runner.search.recent_experiments import recent
from runner.store.experiment_index import ExperimentIndex
from runner.store.records import Attempt, Experiment

MOST_EARLIER, MOST_READ = 1000, 2000
"""Experiments of earlier runs that are learned from, the newest; files that are remembered, of which one takes some 40 kB."""


@dataclass
class FinishedTrainings:
    """Of one run. `wall_clock_s` is that of one training, `train_data` the folder with meta.json."""

    run_seed: int
    wall_clock_s: float
    train_data: Path
    earlier: Callable[[], Sequence[Sequence[Experiment]]] = list
    """The experiments of each earlier run from which may be learned, too."""
    _earlier: Sequence[tuple[Experiment, Experiment]] | None = None
    """Of those runs: each experiment with what was the best one then."""
    _read: dict[Path, Telemetry] = field(default_factory=dict)
    """By the attempt's folder: a finished attempt's file does not change. The newest MOST_READ."""
    _known: dict[tuple[str, int, int, int], Finished | None] = field(default_factory=dict)
    """By run, number, the best one's number and its count of the attempts that count."""
    _noise: RememberedNoise = field(default_factory=RememberedNoise)
    _curves: dict[tuple[str, int, int], Curve | None] = field(default_factory=dict)
    """By run, number and count of the attempts that count."""

    def monitor(self, experiment: Experiment, index: ExperimentIndex) -> TrainingMonitor:
        """For the next training of `experiment`. The baseline, retests of the best script and retests of a script that has a
        score are read along, so that all trainings of a run are treated alike, and never ended."""
        monitor = TrainingMonitor(Telemetry(self.wall_clock_s))
        if experiment.number > 0 and experiment.status == "open" and not _has_score(experiment):
            monitor.rule = self._rule(experiment, index)
            monitor.sampled = in_sample(self.run_seed, experiment.number)
        return monitor

    def _rule(self, experiment: Experiment, index: ExperimentIndex) -> Rule:
        incumbent = best(index.kept)
        if self._earlier is None:
            earlier = [pair for run in self.earlier() for pair in with_the_best_before(run)]
            self._earlier = earlier[-MOST_EARLIER:]
        same_code = experiment.facts.same_code_as(incumbent.facts)
        alike = [
            (e, then)
            for e, then in (*self._earlier, *with_the_best_before(recent(index)))
            if e.number > 0 and e is not experiment and e.counted
            # a script whose code is another one is compared with what is known of such scripts
            if e.facts.same_code_as(then.facts) == same_code
        ]
        noise = self._noise.floor(index.repeated)
        return Rule.learned(
            self._curve(incumbent),
            [found for e, then in alike if (found := self._finished(e, then)) is not None],
            noise=noise.sigma if noise else 0.0,
            uniform=_uniform_loss(self.train_data),
        )

    def _finished(self, experiment: Experiment, incumbent: Experiment) -> Finished | None:
        """By its first attempt, which is what the next experiment will be compared at."""
        key = (experiment.run, experiment.number, incumbent.number, len(incumbent.counted))
        if key not in self._known:
            self._known[key] = self._compared(experiment, incumbent)
        return self._known[key]

    def _compared(self, experiment: Experiment, incumbent: Experiment) -> Finished | None:
        first, reference = experiment.counted[0], self._curve(incumbent)
        if reference is None or first.val_bpb is None:
            return None
        found = differences(self._telemetry(first), reference)
        return Finished(found, first.val_bpb - mean(incumbent))

    def _curve(self, experiment: Experiment) -> Curve | None:
        known = (experiment.run, experiment.number, len(experiment.counted))
        if known not in self._curves:
            self._curves[known] = Curve.of([self._telemetry(attempt) for attempt in experiment.counted])
        return self._curves[known]

    def _telemetry(self, attempt: Attempt) -> Telemetry:
        if attempt.folder not in self._read:
            self._read[attempt.folder] = read(attempt.folder, self.wall_clock_s)
            if len(self._read) > MOST_READ:
                del self._read[next(iter(self._read))]
        return self._read[attempt.folder]


def _has_score(experiment: Experiment) -> bool:
    return any(attempt.val_bpb is not None for attempt in experiment.attempts)


def _uniform_loss(train_data: Path) -> float:
    try:
        return math.log(json.loads((train_data / "meta.json").read_text())["vocab_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
