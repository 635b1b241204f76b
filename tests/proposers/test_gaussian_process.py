"""The process that the proposer `gp` asks."""

from __future__ import annotations

import numpy as np
import pytest

from runner.proposers.gaussian_process import expected_improvement, fitted


def standardised(values: np.ndarray) -> np.ndarray:
    return np.asarray((values - values.mean()) / values.std())


def test_it_learns_which_coordinate_matters_and_predicts_between_the_points() -> None:
    rng = np.random.default_rng(0)
    points, new = rng.random((60, 6)), rng.random((200, 6))

    def truth(x: np.ndarray) -> np.ndarray:
        return np.asarray((x[:, 2] - 0.3) ** 2 + 0.02 * x[:, 4])

    values = truth(points)
    process = fitted(points, standardised(values), rng)
    mean, deviation = process.predict(new)
    error = mean * values.std() + values.mean() - truth(new)
    assert np.sqrt((error**2).mean()) < 0.1 * truth(new).std()
    assert process.weights.argmax() == 2
    at_points, little = process.predict(points)
    assert np.abs(at_points - standardised(values)).max() < 0.1
    assert np.median(little) < np.median(deviation)


def test_it_takes_noise_and_equal_points() -> None:
    rng = np.random.default_rng(1)
    points = np.repeat(rng.random((10, 3)), 5, axis=0)
    mean, deviation = fitted(points, standardised(rng.standard_normal(50)), rng).predict(points)
    assert np.isfinite([mean, deviation]).all()


@pytest.mark.parametrize(("mean", "deviation", "best"), [(0.0, 1.0, 0.5), (1.0, 0.5, 0.0), (-1.0, 2.0, -0.5)])
def test_expected_improvement_is_the_mean_of_what_a_draw_is_better_by(
    mean: float, deviation: float, best: float
) -> None:
    drawn = mean + deviation * np.random.default_rng(2).standard_normal(400_000)
    (found,) = expected_improvement(np.array([mean]), np.array([deviation]), best)
    assert found == pytest.approx(np.maximum(best - drawn, 0.0).mean(), abs=4e-3)
