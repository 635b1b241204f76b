"""Run the program on the judge's rows. It returns logits and nothing else; the normalisation is ours, over exactly V."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from judge.inside.refusal import Refused


def blind(
    program: export.Exported, weights: dict[str, np.ndarray], inputs: np.ndarray, cuts: np.ndarray, batch: int
) -> np.ndarray:
    """float32[N, V]: the logits at each row's cut."""

    @jax.jit
    def at_cut(params: Any, x: Any, cut: Any) -> tuple[Any, Any]:
        logits = program.call(params, x).astype(jnp.float32)
        return jnp.take_along_axis(logits, cut[:, None, None], axis=1)[:, 0], jnp.isfinite(logits).all()

    params = jax.device_put(weights)
    answers = []
    for rows, cut in zip(_batches(inputs, batch), _batches(cuts, batch), strict=True):
        logits, finite = at_cut(params, rows, cut)
        if not finite:
            raise Refused("not_finite", "logits")
        answers.append(np.asarray(logits))
    return np.concatenate(answers)


def full(
    program: export.Exported, weights: dict[str, np.ndarray], rows: np.ndarray, batch: int
) -> np.ndarray:
    """float32[N, T]: cross-entropy (nats) of every next token. The first batch is asked twice."""

    @jax.jit
    def run(params: Any, x: Any) -> Any:
        return program.call(params, x)

    @jax.jit  # apart from `run`: the targets are in another program than the candidate's
    def cross_entropy(logits: Any, y: Any) -> tuple[Any, Any]:
        logits = logits.astype(jnp.float32)
        picked = jnp.take_along_axis(logits, y[..., None], axis=-1)[..., 0]
        return jnp.maximum(jax.nn.logsumexp(logits, axis=-1) - picked, 0.0), jnp.isfinite(logits).all()

    params = jax.device_put(weights)
    answers = []
    for block in [*_batches(rows, batch), rows[:batch]]:
        nats, finite = cross_entropy(run(params, block[:, :-1]), block[:, 1:])
        if not finite:
            raise Refused("not_finite", "logits")
        answers.append(np.asarray(nats))
    if not np.array_equal(answers[0], answers.pop()):
        raise Refused("not_deterministic")
    return np.concatenate(answers)


def _batches(array: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    for start in range(0, len(array), batch):
        yield array[start : start + batch]
