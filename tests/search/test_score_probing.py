"""Climbing by feedback: what a run of scores on one validation text can gain without getting any better.

Every candidate is as good as the first script, but differs from it document by document, as two models do. An agent that
follows the accepted ones climbs on the validation text; on other text it has gained nothing. (Blum & Hardt 2015, "The
Ladder", is the same attack on a leaderboard.) What the search adopts may climb so; what is claimed must not.
"""

from __future__ import annotations

import numpy as np

from runner.scoring.confirmation import claim, paired_error
from runner.scoring.repeat_noise import Noise

DOCUMENTS, BYTES = 200, 2500
SIZES = np.full(DOCUMENTS, BYTES, np.int64)
BPB, TRAINING, TASTE = 2.0, 0.004, 0.06
"""Score; standard deviation of one training's score, and of how one model's document differs from another's (all bits per byte)."""


class Climb:
    """Greedy: whatever scores lower than the best so far is followed."""

    def __init__(self, seed: int, candidates: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.first = self.last = self.script()
        best = self.run(self.first).mean()
        for _ in range(candidates):
            taste = self.script()
            score = self.run(taste).mean()
            if score < best:
                self.last, best = taste, score

    def script(self) -> np.ndarray:
        """float64[D]: what a script costs on each document, more or less than the others."""
        return self.rng.normal(0.0, TASTE, DOCUMENTS)

    def run(self, taste: np.ndarray) -> np.ndarray:
        """float64[D]: bits per byte of each document after one training."""
        return BPB + taste + self.rng.normal(0.0, TRAINING)

    @property
    def gained(self) -> float:
        """How much better than the first script the last one is on the validation text (bits per byte)."""
        return float(self.first.mean() - self.last.mean())

    def is_claimed(self, pairs: int, *, with_documents: bool = True) -> bool:
        first, last = ([self.run(taste) for _ in range(pairs)] for taste in (self.first, self.last))
        nats = [[run * BYTES * np.log(2) for run in runs] for runs in (last, first)]
        scores = [(a.mean(), b.mean()) for a, b in zip(first, last, strict=True)]
        sampling = paired_error(nats[0], nats[1], SIZES) if with_documents else 0.0
        return claim(scores, Noise(TRAINING, 12), sampling).confirmed


CLIMBS = [Climb(seed, 60) for seed in range(12)]


def test_feedback_climbs_on_the_validation_text() -> None:
    """Else this would not be an attack."""
    assert np.mean([climb.gained for climb in CLIMBS]) > 0.003


def test_what_was_climbed_by_feedback_is_not_claimed() -> None:
    assert sum(climb.is_claimed(pairs=6) for climb in CLIMBS) == 0


def test_without_the_error_over_documents_it_would_be() -> None:
    assert sum(climb.is_claimed(pairs=6, with_documents=False) for climb in CLIMBS) > 0
