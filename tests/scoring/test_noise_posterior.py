from __future__ import annotations

import numpy as np
import pytest

from runner.scoring.noise_posterior import Runs, estimate


def made(sigma: float, rho: float, scripts: int, seeds: int, rng: np.random.Generator) -> list[Runs]:
    shared = rng.normal(0.0, sigma * rho**0.5, seeds)
    own = sigma * (1 - rho) ** 0.5
    return [
        [(seed, 2.0 + script / 10 + shared[seed] + rng.normal(0.0, own)) for seed in range(seeds)]
        for script in range(scripts)
    ]


@pytest.mark.parametrize("sigma", [0.0003, 0.002, 0.3])
@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_both_parts_are_found_whatever_the_scale(sigma: float, rho: float) -> None:
    rng = np.random.default_rng(5)
    found = [estimate(made(sigma, rho, scripts=6, seeds=12, rng=rng), 2.0) for _ in range(10)]
    assert np.median([f.sigma for f in found]) == pytest.approx(sigma, rel=0.25)
    assert np.median([f.rho for f in found]) == pytest.approx(rho, abs=0.21)


def test_a_few_runs_say_what_they_can() -> None:
    alone = estimate([[(1, 2.0)], [(1, 2.1)]], 2.0)
    spread = estimate([[(1, 2.0), (2, 2.3), (3, 1.8)]], 2.0)
    assert alone.sigma == pytest.approx(0.004, rel=0.1), "0.2 % of the score where nothing ran twice"
    assert 0.1 < spread.sigma < 0.4


def test_the_parts_add_up() -> None:
    found = estimate(made(0.01, 0.5, 3, 4, np.random.default_rng(1)), 2.0)
    assert found.of_seed + found.of_run == pytest.approx(found.sigma**2)
