"""train.py against the independent PyTorch version of its model and optimizer (benchmarks/torch_reference.py)."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is no dependency of this project: pip install torch==2.13.0"
)


@pytest.fixture(scope="module")
def train(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    os.environ["AUTORESEARCH_DATA"] = str(dataset / "train")
    os.environ["AUTORESEARCH_OUT"] = str(tmp_path_factory.mktemp("out"))
    return importlib.import_module("trainer_jax.train")


@pytest.fixture(scope="module")
def reference(train: Any) -> Any:
    return importlib.import_module("benchmarks.torch_reference")


@pytest.fixture(scope="module")
def params(train: Any) -> Any:
    """No matrix is zero: that would let no gradient through."""
    leaves, tree = jax.tree.flatten(train.init_params(jax.random.key(0)))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [w + 0.05 * jax.random.normal(key, w.shape) for w, key in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, noisy)


def flat(params: Any) -> dict[str, np.ndarray]:
    named = jax.tree_util.tree_flatten_with_path(params)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(w) for path, w in named}


def batch(train: Any, number: int) -> np.ndarray:
    rows = np.random.default_rng(number).integers(0, train.V, (train.BATCH, train.T + 1)).astype(np.int32)
    rows[:, ::11] = train.harness.bos_id
    return rows


def test_logits_and_loss_are_those_of_the_torch_model(train: Any, reference: Any, params: Any) -> None:
    rows = batch(train, 0)
    theirs = reference.Reference(train, reference.from_jax(params))
    with torch.no_grad():
        logits = theirs.forward(torch.from_numpy(rows[:, :-1]).long()).numpy()
        loss = float(theirs.loss(torch.from_numpy(rows).long()))
    np.testing.assert_allclose(train.forward(params, rows[:, :-1]), logits, atol=1e-4)
    count = np.sum(rows[:, 1:] != train.harness.bos_id)
    assert float(train.loss_fn(params, rows)) / count == pytest.approx(loss, rel=1e-5)


def test_an_optimizer_step_is_that_of_the_torch_optimizer(train: Any, reference: Any, params: Any) -> None:
    optimizer = train.make_optimizer()
    step, _, shared_out = train.make_step(optimizer)
    before = flat(params)
    theirs = reference.Reference(train, reference.from_jax(params))
    rows = batch(train, 1)
    updated, _, _ = step(params, optimizer.init(params), jax.device_put(rows, shared_out), np.float32(0.6))
    theirs.step(torch.from_numpy(rows).long(), 0.6)
    for name, ours in flat(updated).items():
        other = theirs.p[name].detach().numpy()
        assert np.linalg.norm(ours - other) < 1e-4 * np.linalg.norm(other - before[name]), name
