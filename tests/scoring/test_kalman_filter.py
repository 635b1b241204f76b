from __future__ import annotations

import math

import numpy as np
import pytest

from runner.scoring.kalman_filter import Belief
from runner.scoring.noise_posterior import VarianceComponents

SIGMA = 0.01


def belief(rho: float, *runs: tuple[int, float]) -> Belief:
    made = Belief(VarianceComponents(SIGMA, rho), 2.0)
    for seed, score in runs:
        made.observe_best(seed, score)
    return made


def test_without_a_common_part_the_difference_is_that_of_the_means() -> None:
    made = belief(0.0, (1, 2.00), (2, 2.02))
    difference, variance = made.difference([(3, 1.99), (4, 1.97), (5, 2.01)])
    assert difference == pytest.approx(1.99 - 2.01, abs=1e-6)
    assert variance == pytest.approx(SIGMA**2 * (1 / 2 + 1 / 3), rel=1e-2)


def test_under_one_seed_only_what_is_not_common_remains() -> None:
    same = belief(0.9, (1, 2.0)).difference([(1, 1.99)])[1]
    other = belief(0.9, (1, 2.0)).difference([(2, 1.99)])[1]
    assert same == pytest.approx(2 * 0.1 * SIGMA**2, rel=1e-2)
    assert other == pytest.approx(2 * SIGMA**2, rel=1e-2)


def test_what_another_run_would_tell_is_known_before_it_is_made() -> None:
    made = belief(0.5, (1, 2.0), (2, 2.01))
    before = made.information([1])
    later = made.after_best_ran(3)
    assert later.information([1, 3]) > made.information([1, 3]) > before
    made.observe_best(3, 5.0)
    assert made.information([1, 3]) == pytest.approx(later.information([1, 3]))


def test_an_adopted_script_counts_as_what_is_believed_of_it_and_not_as_its_lucky_score() -> None:
    made = belief(0.0, (1, 2.0), (2, 2.0), (3, 2.0))
    made.conclude([(1, 1.95)], -0.01, 0.005**2, adopted=True)
    assert 1.98 < made.score < 1.995


def test_a_discarded_script_says_what_it_can_of_the_seed_and_of_the_best() -> None:
    made = belief(0.9, (1, 2.0), (2, 2.0))
    made.conclude([(3, 2.3)], 0.28, 0.01**2, adopted=False)  # 0.02 more than expected: the seed's
    difference, _ = made.difference([(3, 2.0)])
    assert difference < -0.015, "under that seed 2.0 is a good score"


def test_a_long_history_stays_well_conditioned() -> None:
    rng = np.random.default_rng(3)
    made = belief(0.7, *((seed, 2.0 + rng.normal(0, SIGMA)) for seed in range(3)))
    for step in range(500):
        runs = [(int(rng.integers(0, 40)), float(2.0 + rng.normal(0, SIGMA)))]
        difference, variance = made.difference(runs)
        assert math.isfinite(difference)
        assert variance > 0
        made.conclude(runs, 0.5 * difference, 0.5 * variance, adopted=step % 20 == 0)
