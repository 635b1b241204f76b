from __future__ import annotations

import numpy as np
import pytest

from runner.scoring.gain_prior import GainPrior, Posterior

SIGMA = 0.001


def learned(gain_share: float, gain: float, rng: np.random.Generator, count: int = 150) -> GainPrior:
    """After candidates of which so many gained about `gain`, and the others lost 3 sigma."""
    truth = np.where(
        rng.random(count) < gain_share, -rng.exponential(gain, count), rng.exponential(0.003, count)
    )
    seen = truth + rng.normal(0.0, SIGMA, count)
    return GainPrior(SIGMA, list(seen), [SIGMA] * count)


def test_the_same_score_is_believed_more_where_gains_are_common() -> None:
    rng = np.random.default_rng(1)
    rich, poor = learned(0.6, 0.003, rng), learned(0.0, 0.003, rng)
    score = -2.0 * SIGMA
    assert rich.posterior(score, SIGMA).mean < poor.posterior(score, SIGMA).mean
    assert rich.posterior(score, SIGMA).better > poor.posterior(score, SIGMA).better
    assert rich.value_of_fresh(SIGMA) > 2 * poor.value_of_fresh(SIGMA)


def test_a_clear_gain_is_believed_whatever_was_seen() -> None:
    """The part that is uniform in the logarithm: no surprise is impossible."""
    barren = learned(0.0, 0.003, np.random.default_rng(2))
    for size in (0.02, 0.3, 2.0):
        found = barren.posterior(-size, SIGMA)
        assert found.mean == pytest.approx(-size, rel=0.2)
        assert found.better > 0.999


def test_the_posterior_is_that_of_a_simulation() -> None:
    """Among many candidates that scored alike, the mean of the truth is what the prior says. It expects gains to become
    rarer and here they do not, so it is cautious: by at most a half."""
    rng = np.random.default_rng(3)
    count = 200_000
    truth = np.where(rng.random(count) < 0.3, -rng.exponential(0.0015, count), rng.exponential(0.003, count))
    seen = truth + rng.normal(0.0, SIGMA, count)
    few = slice(0, 300)
    prior = GainPrior(SIGMA, list(seen[few]), [SIGMA] * 300)
    for score in (-3e-3, -2e-3):
        alike = truth[np.abs(seen - score) < 1e-4]
        assert prior.posterior(score, SIGMA).mean == pytest.approx(0.75 * alike.mean(), rel=0.34)


def test_later_candidates_are_worth_less_and_a_run_without_a_gain_does_not_make_them_worthless() -> None:
    nothing_seen = GainPrior(SIGMA, [], [])
    barren = GainPrior(SIGMA, [4.0 * SIGMA] * 300, [SIGMA] * 300)
    values = [nothing_seen.value_of_fresh(SIGMA, ahead) for ahead in (0, 30, 90)]
    assert values[0] > values[1] > values[2] > 0
    assert barren.value_of_fresh(SIGMA) > 0.2 * nothing_seen.value_of_fresh(SIGMA, 300)


def test_another_look_is_worth_most_where_the_decision_is_open() -> None:
    def believed(mean: float) -> Posterior:
        at = mean + SIGMA * np.linspace(-6, 6, 81)
        weight = np.exp(-0.5 * ((at - mean) / SIGMA) ** 2)
        return Posterior(at, weight / weight.sum())

    worth = [believed(mean).value_of(SIGMA**2) for mean in (-5 * SIGMA, 0.0, 5 * SIGMA)]
    assert worth[1] > 0.2 * SIGMA
    assert max(worth[0], worth[2]) < 1e-3 * worth[1]
    expected = SIGMA / np.sqrt(2) * 0.3989  # E max(0, N(0, s)), s the posterior mean's standard deviation
    assert worth[1] == pytest.approx(expected, rel=0.05)


def test_a_thousand_candidates_are_learned_from_as_quickly_as_the_newest_of_them() -> None:
    rng = np.random.default_rng(4)
    seen = list(rng.normal(0.003, 0.002, 1000))
    old_matters_not = GainPrior(SIGMA, [-0.5] * 300 + seen, [SIGMA] * 1300)
    assert old_matters_not.posterior(-0.001, SIGMA).mean > -0.001
