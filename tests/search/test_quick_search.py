"""The benchmark with real trainings of a tenth of a second."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.quick_search import Result, row, search, split
from benchmarks.small_model import SCRIPT, SmallModel, loss_and_gradients
from runner.proposers.registry import make_proposer

TEXT = "the quick brown fox jumps over the lazy dog. " * 1200


@pytest.fixture(scope="module")
def model() -> SmallModel:
    return SmallModel({name: "".join(pieces) for name, pieces in split(TEXT).items()})


def recipe(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    exec(SCRIPT, {}, values)
    return {**values, **changes}


def test_val_and_test_share_no_piece_with_train() -> None:
    parts = split("".join(f"{number:2000d}" for number in range(40)))
    assert [len(parts[name]) for name in ("train", "val", "test")] == [32, 4, 4]
    assert len({piece for part in parts.values() for piece in part}) == 40


def test_the_gradients_are_those_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 9, 200)
    shapes = {"EMBED": (9, 8), "INNER": (32, 32), "SKIP": (32, 9), "OUTER": (32, 9), "BIAS": (9,)}
    weights: dict[str, Any] = {name: 0.5 * rng.normal(size=shape) for name, shape in shapes.items()}
    options = recipe(SLOPE=0.3, SOFT_CAP=3.0)
    places = rng.integers(0, 190, 50)
    _, gradients = loss_and_gradients(weights, options, codes, places)
    for name, weight in weights.items():
        direction = rng.normal(size=weight.shape)
        losses = []
        for step in (1e-5, -1e-5):
            moved = {**weights, name: weight + step * direction}
            losses.append(loss_and_gradients(moved, options, codes, places)[0])
        expected = (losses[0] - losses[1]) / 2e-5
        assert np.vdot(gradients[name], direction) == pytest.approx(expected, rel=1e-3, abs=1e-6), name


def test_a_training_repeats_with_its_seed_and_learns(model: SmallModel) -> None:
    lines, scores = model.result(recipe(), 1)
    assert (lines, scores) == model.result(recipe(), 1)
    assert scores != model.result(recipe(), 2)[1]
    assert model.result(recipe(EMBED_RATE=0.03, INNER_RATE=0.03), 1)[1]["test"] < scores["test"]


def test_a_run_finds_something_and_its_row_says_how_much(model: SmallModel) -> None:
    found = search(make_proposer("random", seed=1), model, 1, 4, early_stopping=True)
    assert found.trainings >= 3 + 4
    assert found.test[0] == pytest.approx(found.fresh[0], abs=0.5)
    better = Result((3.0, 2.0), (3.1, 2.1), (3.2, 2.0), 2, 1, 0, 5, 60, 1.0)
    worse = Result((3.0, 2.5), (3.1, 2.6), (3.2, 2.5), 1, 1, 1, 3, 60, 1.0)
    cells = row("tpe", [better, better], [worse, worse]).split(" | ")
    assert cells[:6] == ["| tpe", "2.0000", "2.1000", "2.0000", "1.2000 ± 0.0000", "+0.5000 ± 0.0000"]
