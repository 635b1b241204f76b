from __future__ import annotations

import numpy as np
import pytest

from runner.scoring.adopt_or_rerun import Choice, Step, choose
from runner.scoring.gain_prior import GainPrior
from runner.scoring.kalman_filter import Belief
from runner.scoring.noise_posterior import VarianceComponents

SIGMA = 0.001
FRESH = [101, 102, 103, 104, 105]


def chosen(
    *scores: float,
    prior: GainPrior | None = None,
    rho: float = 0.0,
    best_runs: int = 3,
    best_may_run: bool = True,
    runs_left: int = 4,
    trainings_left: int = 50,
) -> Choice:
    """A candidate with these scores, under the seeds that the best script (true score 2) ran with."""
    belief = Belief(VarianceComponents(SIGMA, rho), 2.0)
    for seed in range(best_runs):
        belief.observe_best(seed, 2.0)
    return choose(
        belief,
        prior or GainPrior(SIGMA, [], []),
        list(enumerate(scores)),
        best_score=2.0,
        best_seeds=range(best_runs),
        best_may_run=best_may_run,
        fresh_seeds=FRESH,
        usual_seed=best_runs - 1,
        runs_left=runs_left,
        trainings_left=trainings_left,
        simpler_after=None,
    )


def test_a_clear_gain_is_adopted_and_a_clear_loss_discarded_after_one_run() -> None:
    assert chosen(1.98).step is Step.ADOPT
    assert chosen(2.02).step is Step.DISCARD


def scarce() -> GainPrior:
    """Late in a run: two hundred losers in a row, so a fresh candidate is worth little."""
    return GainPrior(SIGMA, list(np.random.default_rng(1).normal(3 * SIGMA, SIGMA, 200)), [SIGMA] * 200)


def test_where_fresh_candidates_bring_little_what_is_open_runs_again() -> None:
    choice = chosen(2.0 - 2.2 * SIGMA, prior=scarce())
    assert choice.step in {Step.RUN_CANDIDATE, Step.RUN_BEST}
    assert chosen(2.0 - 2.2 * SIGMA, prior=scarce(), runs_left=0).step in {Step.ADOPT, Step.DISCARD}


def test_another_run_takes_the_place_of_the_last_candidate_of_the_run_not_of_the_next_one() -> None:
    """Early, when the next candidate still promises much and the last one little."""
    open_question = 2.0 - 0.6 * SIGMA
    assert chosen(open_question, trainings_left=1).step in {Step.ADOPT, Step.DISCARD}
    assert chosen(open_question, trainings_left=90).step in {Step.RUN_CANDIDATE, Step.RUN_BEST}


def test_without_a_training_left_it_is_decided() -> None:
    assert chosen(2.0 - 2.2 * SIGMA, prior=scarce(), trainings_left=0).step in {Step.ADOPT, Step.DISCARD}


def test_another_run_of_the_candidate_has_a_seed_that_the_best_script_ran_with_and_then_a_fresh_one() -> None:
    first = chosen(2.0 - 2.2 * SIGMA, prior=scarce(), best_may_run=False)
    assert (first.step, first.seed) == (Step.RUN_CANDIDATE, 1)
    used_up = chosen(*[2.0 - 1.1 * SIGMA] * 3, prior=scarce(), best_may_run=False)
    assert used_up.step is not Step.RUN_BEST
    assert used_up.seed in {FRESH[0], None}


def test_the_best_script_runs_again_where_it_is_the_less_known_of_the_two() -> None:
    scores = [2.0 - 2.5 * SIGMA] * 4
    assert chosen(*scores, prior=scarce(), best_runs=1).step is Step.RUN_BEST
    assert chosen(*scores, prior=scarce(), best_runs=1, best_may_run=False).step is not Step.RUN_BEST


def test_the_estimate_is_shrunk_and_says_how_sure_it_is() -> None:
    estimate = chosen(2.0 - 1.5 * SIGMA, runs_left=0).estimate
    assert estimate.difference == pytest.approx(-1.5 * SIGMA, rel=1e-3)
    assert estimate.difference < estimate.mean
    assert 0 < estimate.better < 1
    assert estimate.error == pytest.approx(SIGMA * (1 + 1 / 3) ** 0.5, rel=1e-2)


def test_with_equal_scores_nobody_is_adopted() -> None:
    assert chosen(2.0, runs_left=0).step is Step.DISCARD
