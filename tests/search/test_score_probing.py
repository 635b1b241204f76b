"""Climbing by feedback: what a run of scores on one validation text can gain without getting any better.

Every candidate is as good as the first script, but differs from it document by document, as two models do. An agent that
follows the accepted ones climbs on the validation text; on other text it has gained nothing. (Blum & Hardt 2015, "The
Ladder", is the same attack on a leaderboard.)
"""

from __future__ import annotations

import numpy as np

from runner.protocols import Decision
from runner.scoring.acceptance import Measurements, decide
from runner.scoring.noise import pooled

DOCUMENTS, BYTES = 200, 2500
SIZES = np.full(DOCUMENTS, BYTES, np.int64)
BPB, TRAINING, TASTE = 2.0, 0.004, 0.06
"""Score; standard deviation of one training's score, and of how one model's document differs from another's (all bits per byte)."""


class SimulatedRun:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def script(self) -> np.ndarray:
        """float64[D]: what a script costs on each document, more or less than the others."""
        return self.rng.normal(0.0, TASTE, DOCUMENTS)

    def run(self, taste: np.ndarray) -> tuple[float, np.ndarray]:
        """One training: the score as the agent is told it, and the nats of every document."""
        bpb = BPB + taste + self.rng.normal(0.0, TRAINING)
        nats = bpb * BYTES * np.log(2)
        return round(float(bpb.mean()), 4), nats

    def measured(self, taste: np.ndarray, times: int) -> Measurements:
        scores, nats = zip(*(self.run(taste) for _ in range(times)), strict=True)
        return Measurements(list(scores), list(nats), 100)

    def climb(self, candidates: int, careful: bool) -> float:
        """How much better than the first script the last accepted one is on the validation text (bits per byte)."""
        best = first = self.script()
        incumbent = self.measured(best, 3)
        groups = [incumbent.scores]
        for _ in range(candidates):
            taste = self.script()
            candidate = self.measured(taste, 1)
            decision = Decision.RETEST if careful else Decision.KEEP
            if not careful and candidate.mean >= incumbent.mean:
                continue
            while decision is Decision.RETEST:
                noise = pooled([*groups, candidate.scores])
                assert noise is not None
                left = 5 - len(candidate.scores)
                decision = decide(candidate, incumbent, noise, SIZES, retests_left=left).decision
                if decision is Decision.RETEST:
                    again = self.measured(taste, 1)
                    candidate = Measurements(
                        [*candidate.scores, *again.scores],
                        [*candidate.document_nats, *again.document_nats],
                        100,
                    )
            groups.append(candidate.scores)
            if decision is Decision.KEEP:
                best, incumbent = taste, candidate
        return float(first.mean() - best.mean())


def test_a_night_of_feedback_climbs_by_less_than_a_hundredth_of_a_bit() -> None:
    nights = [SimulatedRun(seed).climb(60, careful=True) for seed in range(12)]

    assert np.mean(nights) < 0.002
    assert max(nights) < 0.01


def test_without_the_decisions_care_the_same_nights_climb() -> None:
    """Else the nights would not be an attack."""
    nights = [SimulatedRun(seed).climb(60, careful=False) for seed in range(12)]

    assert np.mean(nights) > 0.005
