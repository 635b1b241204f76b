from __future__ import annotations

import math

import numpy as np
import pytest

from runner.scoring.confirmation import claim, paired_error, pairs_needed
from runner.scoring.repeat_noise import Noise

SIGMA = 0.001


def test_a_gain_beyond_the_noise_is_confirmed_and_one_within_is_not() -> None:
    noise = Noise(SIGMA, 30)
    assert claim([(2.0, 1.99)], noise).confirmed
    assert not claim([(2.0, 1.998)], noise).confirmed
    assert claim([(2.0, 1.997)] * 4, noise).confirmed, "more pairs see less"
    assert not claim([(1.99, 2.0)], noise).confirmed


def test_what_is_little_known_must_be_clearer() -> None:
    pairs = [(2.0, 1.985), (2.0, 1.986)]
    assert claim(pairs, Noise(SIGMA, 12)).confirmed
    assert not claim(pairs, Noise(SIGMA * 2, 1)).confirmed
    assert not claim([(2.0, 1.0)], None).confirmed, "one pair and nothing else says nothing of the noise"


def test_a_noise_that_the_pairs_show_counts() -> None:
    """An optimistic sigma does not help pairs that differ among themselves."""
    noise = Noise(SIGMA / 10, 12)
    steady = [(2.0, 1.995)] * 5
    wild = [(2.0, 1.975), (2.0, 2.015), (2.0, 1.975), (2.0, 2.015), (2.0, 1.995)]
    assert claim(steady, noise).confirmed
    assert not claim(wild, noise).confirmed


def test_a_script_that_changes_nothing_is_hardly_ever_confirmed() -> None:
    rng = np.random.default_rng(1)
    confirmed = 0
    for _ in range(4000):
        noise = Noise(SIGMA * math.sqrt(rng.chisquare(6) / 6), 6)
        pairs: list[tuple[float, float]] = []
        for _ in range(5):
            pairs.append((rng.normal(2.0, SIGMA), rng.normal(2.0, SIGMA)))
            if claim(pairs, noise).confirmed:
                confirmed += 1
                break
    assert confirmed <= 20, "0.5 % with five looks"


def test_the_interval_holds_the_truth() -> None:
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(1000):
        pairs = [(rng.normal(2.0, SIGMA), rng.normal(1.999, SIGMA)) for _ in range(3)]
        found = claim(pairs, Noise(SIGMA, 12))
        inside += found.low <= -0.001 <= found.high
    assert inside >= 940


def test_the_documents_count_too() -> None:
    pairs = [(2.0, 1.995)] * 3
    assert claim(pairs, Noise(SIGMA, 12), sampling_error=0.0).confirmed
    assert not claim(pairs, Noise(SIGMA, 12), sampling_error=0.003).confirmed


def test_pairs_are_planned_for_what_is_expected() -> None:
    noise = Noise(SIGMA, 12)
    assert pairs_needed(0.02, 0.0, noise, 4) == 1
    few = pairs_needed(0.005, 0.0005, noise, 9)
    assert few is not None
    assert few > 1
    assert pairs_needed(0.001, 0.0005, noise, 4) is None, "hopeless"
    assert pairs_needed(0.02, 0.02, noise, 4) is None, "too little known of the gain"
    assert pairs_needed(0.02, 0.0, None, 4) is None


@pytest.mark.parametrize("gain", [0.003, 0.005])
def test_what_is_planned_is_confirmed_nine_times_in_ten(gain: float) -> None:
    rng, noise = np.random.default_rng(3), Noise(SIGMA, 12)
    pairs = pairs_needed(gain, 0.0, noise, 20)
    assert pairs is not None
    confirmed = sum(
        claim(
            [(rng.normal(2.0, SIGMA), rng.normal(2.0 - gain, SIGMA)) for _ in range(pairs)], noise
        ).confirmed
        for _ in range(400)
    )
    assert confirmed >= 0.85 * 400


def test_the_error_over_documents_is_paired() -> None:
    rng = np.random.default_rng(4)
    sizes = np.full(200, 1000, np.int64)
    hard = rng.normal(1.0, 0.3, 200)
    a = [sizes * hard * math.log(2)]
    b = [sizes * (hard + rng.normal(-0.01, 0.02, 200)) * math.log(2)]
    assert paired_error(a, b, sizes) == pytest.approx(0.02 / math.sqrt(200), rel=0.2)
    assert paired_error(a, [], sizes) == 0.0
