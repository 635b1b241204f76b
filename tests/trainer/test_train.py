"""train.py's model and optimizer, by their properties and against naive versions."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest

TRAIN = Path(__file__).parents[2] / "trainer_jax" / "train.py"


@pytest.fixture(scope="module")
def train(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """train.py's names, without training. Two layers, one of each kind (value embeddings or none, short window or all):
    four take twice as long to compile."""
    folder = tmp_path_factory.mktemp("out")
    os.environ["AUTORESEARCH_DATA"] = str(dataset / "train")
    os.environ["AUTORESEARCH_OUT"] = str(folder)
    shipped = TRAIN.read_text()
    assert "\nDEPTH = 4 " in shipped
    (folder / "train.py").write_text(shipped.replace("\nDEPTH = 4 ", "\nDEPTH = 2 "))
    spec = importlib.util.spec_from_file_location("train", folder / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def params(train: ModuleType) -> dict:
    """Initial weights with the zero matrices filled, so that every path carries something."""

    @jax.jit  # one program: op by op it takes ten times as long
    def noisy(seed: jax.Array, noise: jax.Array) -> dict:
        leaves, tree = jax.tree.flatten(train.init_params(seed))
        keys = jax.random.split(noise, len(leaves))
        made = [w + 0.1 * jax.random.normal(key, w.shape) for w, key in zip(leaves, keys, strict=True)]
        return jax.tree.unflatten(tree, made)

    return noisy(jax.random.key(0), jax.random.key(1))


@pytest.fixture(scope="module")
def rows(train: ModuleType) -> np.ndarray:
    made = np.random.default_rng(0).integers(0, train.V, (8, train.T + 1)).astype(np.int32)
    made[:, ::7] = train.harness.bos_id
    return made


@pytest.fixture(scope="module")
def whole(train: ModuleType, params: dict, rows: np.ndarray) -> tuple[jax.Array, dict]:
    """Loss and gradient of all rows at once, as train.py computes them."""
    return jax.jit(jax.value_and_grad(train.loss_fn))(params, rows)


def test_the_model_is_causal(train: ModuleType, params: dict, rows: np.ndarray) -> None:
    x = rows[:2, :-1]
    forward = jax.jit(train.forward)
    before = forward(params, x)
    for cut in (0, 1, 31, 62):
        y = x.copy()
        y[:, cut + 1 :] = np.random.default_rng(cut).integers(0, train.V, y[:, cut + 1 :].shape)
        np.testing.assert_allclose(forward(params, y)[:, : cut + 1], before[:, : cut + 1], atol=1e-5)


@pytest.mark.parametrize("chunk", [16, 48, 64, 1000])
@pytest.mark.parametrize("span", [1, 24, 64])
def test_attention_in_chunks_is_masked_softmax_attention(
    train: ModuleType, span: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "CHUNK", chunk)
    length, shape = 64, (2, 64, train.HEADS, train.HEAD_WIDTH)
    q, k, v = (jax.random.normal(key, shape) for key in jax.random.split(jax.random.key(0), 3))
    back = jnp.arange(length)[:, None] - jnp.arange(length)
    scores = jnp.einsum("bqhk,bshk->bhqs", q, k) / train.HEAD_WIDTH**0.5
    weights = jax.nn.softmax(jnp.where((back >= 0) & (back < span), scores, -jnp.inf))
    expected = jnp.einsum("bhqs,bshk->bqhk", weights, v)
    np.testing.assert_allclose(train.attention(q, k, v, span), expected, atol=1e-5)


def test_all_layers_but_the_last_have_the_windows_they_are_given(train: ModuleType) -> None:
    spans = [train.window(layer, 4096) for layer in range(train.DEPTH)]
    assert spans == [train.SHORT_WINDOW] * (train.DEPTH - 1) + [4096]
    assert len(train.VALUE_LAYERS) == 1 < train.DEPTH


def test_the_loss_in_blocks_is_the_plain_cross_entropy_and_so_is_its_gradient(
    train: ModuleType, params: dict, rows: np.ndarray, whole: tuple[jax.Array, dict]
) -> None:
    def plain(params: dict) -> jax.Array:
        y = rows[:, 1:]
        log_probability = jax.nn.log_softmax(train.forward(params, rows[:, :-1]))
        nats = -jnp.take_along_axis(log_probability, y[..., None], axis=-1)[..., 0]
        return jnp.sum(nats * (y != train.harness.bos_id))

    expected, gradient = jax.jit(jax.value_and_grad(plain))(params)
    found, found_gradient = whole
    assert found == pytest.approx(float(expected), rel=1e-5)
    for a, b in zip(jax.tree.leaves(found_gradient), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("micro_batches", [1, 2, 4])
def test_parts_of_a_batch_add_up_to_the_whole(
    train: ModuleType,
    params: dict,
    rows: np.ndarray,
    whole: tuple[jax.Array, dict],
    micro_batches: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected, gradient = whole
    count = np.sum(rows[:, 1:] != train.harness.bos_id)
    monkeypatch.setattr(train, "MICRO_BATCHES", micro_batches)
    split = rows.reshape(2, 4, -1)  # over two devices, which vmap's named axis stands for
    over_devices = jax.vmap(train.loss_and_grads, in_axes=(None, 0), axis_name="devices")
    loss, grads = jax.jit(over_devices)(params, split)
    assert float(loss[0]) == pytest.approx(float(expected) / count, rel=1e-5)
    for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_allclose(a[0], b / count, rtol=1e-3, atol=1e-4 * float(jnp.abs(b).max()) / count)


def test_rotary_positions_depend_on_distance_alone(train: ModuleType) -> None:
    width = train.HEAD_WIDTH
    q, k = jax.random.normal(jax.random.key(0), (2, width))
    cos, sin = train.rotary(64)

    def at(vector: jax.Array, position: int) -> jax.Array:
        return train.rotate(jnp.broadcast_to(vector, (1, 64, 1, width)), cos, sin)[0, position, 0]

    assert float(at(q, 20) @ at(k, 13)) == pytest.approx(float(at(q, 50) @ at(k, 43)), abs=1e-3)
    assert float(at(q, 20) @ at(k, 13)) != pytest.approx(float(at(q, 20) @ at(k, 14)), abs=1e-3)
    assert float(jnp.linalg.norm(at(q, 20))) == pytest.approx(float(jnp.linalg.norm(q)), rel=1e-5)


@pytest.mark.parametrize("shape", [(3, 16, 64), (3, 64, 16), (2, 32, 32)])
def test_muons_update_is_nearly_orthogonal(train: ModuleType, shape: tuple[int, ...]) -> None:
    g = jax.random.normal(jax.random.key(0), shape)
    singular = np.linalg.svd(np.asarray(train.orthogonalise(g)), compute_uv=False)
    assert singular.min() > 0.6
    assert singular.max() < 1.3
