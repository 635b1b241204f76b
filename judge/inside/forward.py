"""Runs the program on the judge's rows. The program returns logits only; the judge normalises them, over exactly V tokens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from judge.inside.refusal import Refused


def _without_lapack() -> None:
    """Do not load LAPACK: `Exported.call` would do so through SciPy, which takes 0.8 s of CPU time. No allowed program can call it
    (judge/inside/op_allowlist.py)."""
    # a private module: where another JAX has moved it, only the time is lost
    with contextlib.suppress(ImportError):
        from jax._src.lax import linalg

        linalg.initialize_lapack = lambda: None


_without_lapack()


def blind(
    program: export.Exported, weights: dict[str, np.ndarray], inputs: np.ndarray, cuts: np.ndarray, batch: int
) -> Iterator[np.ndarray]:
    """Blocks float32[B, V]: the logits of `inputs` (int32[M, T]) at the positions `cuts` (int32[M]). M is a multiple of `batch`.
    Raises Refused with not_finite or signature."""
    run = _Program(program, weights)

    @jax.jit
    def at_cut(logits: Any, cut: Any) -> tuple[Any, Any]:
        picked = jnp.take_along_axis(logits, cut[:, None, None], axis=1)[:, 0]
        return picked.astype(jnp.float32), jnp.isfinite(logits).all()

    for start in range(0, len(inputs), batch):
        logits, finite = at_cut(run(inputs[start : start + batch]), cuts[start : start + batch])
        yield _finite(logits, finite)


def full(
    program: export.Exported, weights: dict[str, np.ndarray], rows: np.ndarray, batch: int
) -> Iterator[np.ndarray]:
    """Blocks float32[B, T]: the cross-entropy (nats) of each next token of `rows` (int32[N, T+1]). N is a multiple of `batch`. The
    first batch is run again at the end. Raises Refused with not_deterministic, not_finite or signature."""
    run = _Program(program, weights)

    @jax.jit
    def cross_entropy(logits: Any, y: Any) -> tuple[Any, Any]:
        wide = logits.astype(jnp.float32)
        # The maximum is subtracted first: log-sum-exp of logits of 1e9 rounds the sum away, and each token would cost nothing.
        wide = wide - jnp.max(wide, axis=-1, keepdims=True)
        picked = jnp.take_along_axis(wide, y[..., None], axis=-1)[..., 0]
        nats = jnp.log(jnp.sum(jnp.exp(wide), axis=-1)) - picked
        return jnp.maximum(nats, 0.0), jnp.isfinite(logits).all()

    first = None
    for start in [*range(0, len(rows), batch), 0]:
        block = rows[start : start + batch]
        nats = _finite(*cross_entropy(run(block[:, :-1]), block[:, 1:]))
        if first is None:
            first = nats
        elif start == 0:
            if not np.array_equal(first, nats):
                raise Refused("not_deterministic")
            return
        yield nats


class _Program:
    """The program, compiled without the judge's own ops. Compiled together, XLA might fuse and round differently in the two kinds
    of containers. The targets are also never in the same executable as the candidate's ops."""

    def __init__(self, program: export.Exported, weights: dict[str, np.ndarray]) -> None:
        self._shape = program.out_avals[0]
        self._weights = jax.device_put(weights)
        self._call = jax.jit(program.call)

    def __call__(self, tokens: np.ndarray) -> Any:
        logits = self._call(self._weights, tokens)
        if logits.shape != self._shape.shape or logits.dtype != self._shape.dtype:
            raise Refused("signature", "not the logits that were announced")
        return logits


def _finite(values: Any, finite: Any) -> np.ndarray:
    if not finite:
        raise Refused("not_finite", "logits")
    return np.asarray(values)
