"""The trainings of benchmarks/early_stopping.py are trainings."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.early_stopping import BASELINE, Text, loss_and_gradients, night, train

TEXT = Text.of("to be or not to be, that is the question. " * 200)


def test_the_gradient_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in ((5, 8), (32, 6), (6, 5), (5,))]
    x, y = rng.integers(0, 5, (7, 4)), rng.integers(0, 5, 7)
    _, gradients = loss_and_gradients(weights, x, y)
    for weight, gradient in zip(weights, gradients, strict=True):
        place = tuple(rng.integers(0, size) for size in weight.shape)
        before = weight[place]
        found = []
        for step in (1e-5, -1e-5):
            weight[place] = before + step
            found.append(loss_and_gradients(weights, x, y)[0])
        weight[place] = before
        assert gradient[place] == pytest.approx((found[0] - found[1]) / 2e-5, abs=1e-6)


def test_it_learns_and_a_rate_that_is_much_too_low_learns_less() -> None:
    good, bad = train(BASELINE, TEXT, 1)[1], train({**BASELINE, "rate": 1e-5}, TEXT, 1)[1]
    assert good < 0.5 * bad


def test_a_night_is_the_same_every_time() -> None:
    first = night(TEXT, 4, 3)
    assert first.trials == 4
    assert night(TEXT, 4, 3) == first
