"""The fixed library and the shipped train.py, run outside a container on a small data set."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer_jax.packing import Rows, best_fit, pieces

TRAIN = Path(__file__).parents[2] / "trainer_jax" / "train.py"
BOS = 9
documents = st.lists(st.lists(st.integers(0, 8), max_size=40), min_size=1, max_size=30)


@given(documents, st.integers(1, 16))
@settings(deadline=None)
def test_packing_loses_no_token_and_starts_every_row_with_bos(texts: list[list[int]], seq_len: int) -> None:
    tokens = np.array([token for text in texts for token in (BOS, *text)], np.uint16)
    if not any(texts):
        with pytest.raises(ValueError):
            Rows(tokens, BOS, seq_len, 0)
        return
    rows = list(Rows(tokens, BOS, seq_len, 0).epoch())
    assert all(len(row) == seq_len + 1 and row[0] == BOS for row in rows)
    seen = sorted(int(token) for row in rows for token in row if token != BOS)
    assert seen == sorted(token for text in texts for token in text)


@given(documents, st.integers(1, 16))
@settings(deadline=None)
def test_a_piece_never_crosses_a_document(texts: list[list[int]], seq_len: int) -> None:
    tokens = np.array([token for text in texts for token in (BOS, *text)], np.uint16)
    starts, lengths = pieces(tokens, BOS, seq_len)
    for start, length in zip(starts, lengths, strict=True):
        assert 1 <= length <= seq_len
        assert BOS not in tokens[start : start + length]


@given(st.lists(st.integers(1, 16), min_size=1, max_size=60))
def test_rows_are_never_overfull(lengths: list[int]) -> None:
    rows = best_fit(np.array(lengths), 17)
    assert sorted(piece for row in rows for piece in row) == list(range(len(lengths)))
    assert all(sum(lengths[piece] + 1 for piece in row) <= 17 for row in rows)


@pytest.fixture(scope="module")
def namespace(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """train.py's functions, without training."""
    os.environ["AUTORESEARCH_DATA"] = str(dataset / "train")
    os.environ["AUTORESEARCH_OUT"] = str(tmp_path_factory.mktemp("out"))
    names: dict[str, object] = {"__name__": "train"}
    source = TRAIN.read_text().replace("\nmain()\n", "\n")
    exec(compile(source, str(TRAIN), "exec"), names)
    return names


def random_params(namespace: dict) -> dict:
    """Initial weights with the zero matrices filled, so that every path carries something."""
    params = namespace["init_params"](jax.random.key(0))
    noise = jax.random.split(jax.random.key(1), len(params))
    return {
        name: value + 0.1 * jax.random.normal(key, value.shape)
        for (name, value), key in zip(sorted(params.items()), noise, strict=True)
    }


def test_the_model_is_causal(namespace: dict) -> None:
    params = random_params(namespace)
    rng = np.random.default_rng(0)
    x = rng.integers(0, namespace["V"], (2, namespace["T"])).astype(np.int32)
    forward = jax.jit(namespace["forward"])
    before = forward(params, x)
    for cut in (0, 1, 31, 62):
        y = x.copy()
        y[:, cut + 1 :] = rng.integers(0, namespace["V"], y[:, cut + 1 :].shape)
        np.testing.assert_allclose(forward(params, y)[:, : cut + 1], before[:, : cut + 1], atol=1e-5)


def test_the_loss_in_blocks_is_the_plain_cross_entropy_and_so_is_its_gradient(namespace: dict) -> None:
    params = random_params(namespace)
    bos = namespace["harness"].bos_id
    rows = np.random.default_rng(0).integers(0, namespace["V"], (8, namespace["T"] + 1)).astype(np.int32)
    rows[:, ::7] = bos

    def plain(params: dict) -> jax.Array:
        logits = namespace["forward"](params, rows[:, :-1])
        y = rows[:, 1:]
        nats = -jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], axis=-1)[..., 0]
        return jnp.sum(nats * (y != bos)) / jnp.sum(y != bos)

    expected, gradient = jax.value_and_grad(plain)(params)
    found, found_gradient = jax.value_and_grad(namespace["loss_fn"])(params, rows)
    assert found == pytest.approx(float(expected), rel=1e-5)
    for name, value in gradient.items():
        np.testing.assert_allclose(found_gradient[name], value, rtol=1e-3, atol=1e-5, err_msg=name)


def test_rotary_positions_depend_on_distance_alone(namespace: dict) -> None:
    width = namespace["HEAD_WIDTH"]
    q, k = jax.random.normal(jax.random.key(0), (2, width))
    cos, sin = namespace["rotary"](64, width)

    def at(vector: jax.Array, position: int) -> jax.Array:
        return namespace["rotate"](jnp.broadcast_to(vector, (1, 64, 1, width)), cos, sin)[0, position, 0]

    assert float(at(q, 20) @ at(k, 13)) == pytest.approx(float(at(q, 50) @ at(k, 43)), abs=1e-3)
    assert float(at(q, 20) @ at(k, 13)) != pytest.approx(float(at(q, 20) @ at(k, 14)), abs=1e-3)


@pytest.mark.parametrize("shape", [(3, 16, 64), (3, 64, 16), (2, 32, 32)])
def test_muons_update_is_nearly_orthogonal(namespace: dict, shape: tuple[int, ...]) -> None:
    g = jax.random.normal(jax.random.key(0), shape)
    singular = np.linalg.svd(np.asarray(namespace["orthogonalise"](g)), compute_uv=False)
    assert singular.min() > 0.6
    assert singular.max() < 1.3


def train(dataset: Path, out: Path, **environment: str) -> str:
    out.mkdir()
    env = {
        **os.environ,
        "AUTORESEARCH_DATA": str(dataset / "train"),
        "AUTORESEARCH_OUT": str(out),
        **environment,
    }
    command = [sys.executable, str(TRAIN)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=120).stdout


def test_the_same_tape_gives_the_same_weights_byte_for_byte(dataset: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    said = train(dataset, first, AUTORESEARCH_WALL_CLOCK="20")
    steps = re.search(r"done: (\d+) steps", said)
    assert steps is not None
    assert int(steps.group(1)) >= 1
    tape = str(first / "clock.f64")
    assert re.search(rf"done: {steps.group(1)} steps", train(dataset, second, AUTORESEARCH_CLOCK_REPLAY=tape))
    assert (first / "params.safetensors").read_bytes() == (second / "params.safetensors").read_bytes()
    other = train(dataset, tmp_path / "third", AUTORESEARCH_CLOCK_REPLAY=tape, AUTORESEARCH_SEED="1")
    assert "done" in other
    assert (first / "params.safetensors").read_bytes() != (
        tmp_path / "third" / "params.safetensors"
    ).read_bytes()


def test_a_half_written_file_never_has_the_artifacts_name(tmp_path: Path) -> None:
    """Killed between two writes, the newest complete weights are there under their name."""
    program = (
        "import os\nimport numpy as np\nfrom trainer_jax import harness\n"
        "harness.save_params({'w': np.ones(4, np.float32)})\n"
        "real = harness.Path.replace\n"
        "harness.Path.replace = lambda *_: os._exit(9)\n"
        "harness.save_params({'w': np.zeros(400_000, np.float32)})\n"
    )
    env = {**os.environ, "AUTORESEARCH_OUT": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", program], env=env, check=False).returncode == 9
    from safetensors.numpy import load_file

    np.testing.assert_array_equal(load_file(tmp_path / "params.safetensors")["w"], np.ones(4))
