"""What to do with an experiment after its last evaluation: decide, or measure it or the incumbent again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.protocols import Decision
from runner.scoring.acceptance import Judgement, decide
from runner.scoring.scores import best, measurements, noise_floor, retested_since
from runner.store.records import Experiment


@dataclass(frozen=True, slots=True)
class Decider:
    """`retests`: how often a promising script may run again."""

    retests: int

    def judge(self, experiment: Experiment, experiments: Sequence[Experiment]) -> Judgement:
        """`experiment` against the best of `experiments`, by its runs so far."""
        import numpy as np

        incumbent = best(experiments)
        noise = noise_floor(experiments)
        assert noise is not None, "the baseline has at least two repeats"
        document_bytes = np.load(incumbent.counted[0].folder / "document_bytes.npy")
        left = self.retests - (len(experiment.counted) - 1)
        return decide(
            measurements(experiment), measurements(incumbent), noise, document_bytes, retests_left=left
        )

    def is_final(self, experiment: Experiment, incumbent: Experiment, decision: Decision) -> bool:
        """Before a keep, a retest compares the incumbent again, because machine load drifts."""
        if decision is Decision.KEEP:
            return not self.retests or retested_since(incumbent, experiment)
        return decision is not Decision.RETEST
