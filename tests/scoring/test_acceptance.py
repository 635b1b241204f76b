from __future__ import annotations

import numpy as np
import pytest

from runner.protocols import Decision
from runner.scoring.acceptance import Measurements, decide
from runner.scoring.noise import Noise, pooled

SIZES = np.full(50, 1000, np.int64)


def measured(scores: list[float], nodes: int = 100) -> Measurements:
    return Measurements(scores, [SIZES * score * np.log(2) for score in scores], nodes)


def verdict(candidate: list[float], incumbent: list[float], *, left: int = 0, nodes: int = 100) -> Decision:
    noise = pooled([candidate, incumbent])
    assert noise is not None
    return decide(measured(candidate, nodes), measured(incumbent), noise, SIZES, retests_left=left).decision


def test_a_clear_winner_is_kept_when_it_won_twice() -> None:
    assert verdict([1.9], [2.0, 2.001, 1.999], left=2) is Decision.RETEST
    assert verdict([1.9, 1.901], [2.0, 2.001, 1.999], left=1) is Decision.KEEP
    assert verdict([1.8], [2.0, 2.001, 1.999], left=0) is Decision.KEEP


def test_a_clear_loser_is_dropped_at_once() -> None:
    assert verdict([2.1], [2.0, 2.001, 1.999], left=2) is Decision.DISCARD


def test_what_lies_between_is_retested_while_retests_are_left() -> None:
    assert verdict([1.98], [2.0, 2.01, 1.99], left=1) is Decision.RETEST
    assert verdict([1.98, 1.978], [2.0, 2.01, 1.99], left=0) is Decision.DISCARD


def test_what_is_hardly_better_is_not_worth_a_retest() -> None:
    assert verdict([1.995], [2.0, 2.01, 1.99], left=4) is Decision.DISCARD


def test_as_good_and_simpler_is_kept_as_a_simplification() -> None:
    assert verdict([2.0, 2.0, 2.0], [2.0, 2.01, 1.99], nodes=90) is Decision.KEEP
    assert verdict([2.0, 2.0, 2.0], [2.0, 2.01, 1.99], nodes=97) is Decision.DISCARD


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_never_better(bad: float) -> None:
    noise = Noise(0.01, 2)
    assert decide(measured([bad]), measured([2.0]), noise, SIZES, retests_left=2).decision is Decision.DISCARD


def test_sampling_noise_of_few_documents_counts_too() -> None:
    """The candidate wins on the sum only because of one document."""
    rng = np.random.default_rng(0)
    incumbent = measured([2.0, 2.0001, 1.9999])
    spread = rng.normal(0, 400, len(SIZES))
    nats = SIZES * 2.0 * np.log(2) + spread - spread.mean()
    nats[0] -= 2000
    score = float(nats.sum() / np.log(2) / SIZES.sum())
    candidate = Measurements([score], [nats], 100)
    assert score < 1.99
    judgement = decide(candidate, incumbent, Noise(0.0001, 2), SIZES, retests_left=0)
    assert judgement.decision is not Decision.KEEP


def simulate(gain: float, rng: np.random.Generator) -> Decision:
    """One candidate from proposal to decision; `gain` and the training noise are in standard deviations of 0.01, which
    are known from 20 earlier runs."""
    incumbent = list(rng.normal(2.0, 0.01, 3))
    earlier = list(rng.normal(2.0, 0.01, 20))
    candidate: list[float] = []
    for left in (4, 3, 2, 1, 0):
        candidate.append(float(rng.normal(2.0 - 0.01 * gain, 0.01)))
        noise = pooled([candidate, incumbent, earlier])
        assert noise is not None
        decision = decide(measured(candidate), measured(incumbent), noise, SIZES, retests_left=left).decision
        if decision is not Decision.RETEST:
            return decision
    raise AssertionError("a retest was asked for with none left")


def test_repeating_the_same_script_is_almost_never_kept() -> None:
    rng = np.random.default_rng(1)
    kept = sum(simulate(0.0, rng) is Decision.KEEP for _ in range(3000))
    assert kept / 3000 < 0.004


def test_a_gain_of_five_standard_deviations_is_nearly_always_kept() -> None:
    rng = np.random.default_rng(2)
    kept = sum(simulate(5.0, rng) is Decision.KEEP for _ in range(300))
    assert kept / 300 > 0.95


def test_noise_is_pooled_over_every_script_that_ran_twice() -> None:
    noise = pooled([[1.0, 3.0], [10.0], [5.0, 5.0, 5.0]])
    assert noise is not None
    assert noise.freedom == 3
    assert noise.sigma == pytest.approx((2.0 / 3) ** 0.5)
    assert pooled([[1.0], [2.0]]) is None


@pytest.mark.parametrize(
    ("freedom", "keep", "repeat"),
    [(1, 636.6, 63.66), (2, 31.60, 9.925), (11, 4.587, 3.169), (9999, 3.291, 2.576)],
)
def test_what_is_known_of_the_noise_widens_every_interval(freedom: int, keep: float, repeat: float) -> None:
    """Student's t; between two lines of the table the wider one."""
    assert (Noise(1.0, freedom).quantile, Noise(1.0, freedom).repeat_quantile) == (keep, repeat)
