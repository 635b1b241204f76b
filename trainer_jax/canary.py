"""Whether a GPU does what train.py asks of it: `python -I -B -m trainer_jax.canary` prints one JSON object. For `autoresearch doctor`.

It measures a large matrix product and cuDNN's attention with a local window, forward and backward, as `attention_cudnn` in train.py calls
it, compared with the plain formula. On a CPU it runs in small sizes with XLA's attention, which shows only that the program works.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

WINDOW = 128


def attention(q: Any, k: Any, v: Any, implementation: str | None) -> Any:
    """[B, T, H, K]; each position sees itself and WINDOW - 1 before it."""
    return jax.nn.dot_product_attention(
        q, k, v, is_causal=True, local_window_size=(WINDOW - 1, 0), implementation=implementation
    )


def plain_attention(q: Any, k: Any, v: Any) -> Any:
    """The formula, in float32."""
    q, k, v = (x.astype(jnp.float32) for x in (q, k, v))
    scores = jnp.einsum("bthk,bshk->bhts", q, k, precision="highest") / q.shape[-1] ** 0.5
    behind = jnp.arange(q.shape[1])[:, None] - jnp.arange(q.shape[1])
    weight = jax.nn.softmax(jnp.where((behind >= 0) & (behind < WINDOW), scores, -jnp.inf), axis=-1)
    return jnp.einsum("bhts,bshk->bthk", weight, v, precision="highest")


def with_gradients(function: Callable[..., Any], weight: Any) -> Callable[..., Any]:
    """A weighted sum of the output, and its gradients by q, k and v."""

    def summed(q: Any, k: Any, v: Any) -> Any:
        return (function(q, k, v).astype(jnp.float32) * weight).sum()

    return jax.jit(jax.grad(summed, argnums=(0, 1, 2)))


def seconds(function: Callable[..., Any], *arguments: Any, repeats: int = 10) -> float:
    """Of one call, compiled before; the least of three measurements."""
    jax.block_until_ready(function(*arguments))
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        for _ in range(repeats):
            found = function(*arguments)
        jax.block_until_ready(found)
        best = min(best, (time.perf_counter() - started) / repeats)
    return best


def matmul_tflops(size: int) -> float:
    matrix = jax.random.normal(jax.random.key(0), (size, size), jnp.bfloat16)
    return 2 * size**3 / seconds(jax.jit(jnp.matmul), matrix, matrix) / 1e12


def attention_report(implementation: str | None, length: int) -> dict[str, float]:
    """Milliseconds, and the largest difference from the formula as a share of the largest value."""
    keys = jax.random.split(jax.random.key(1), 4)
    shape = (2, length, 4, 128)
    q, k, v = (jax.random.normal(key, shape, jnp.bfloat16) for key in keys[:3])
    weight = jax.random.normal(keys[3], shape, jnp.float32)

    def fused(q: Any, k: Any, v: Any) -> Any:
        return attention(q, k, v, implementation)

    forward, backward = jax.jit(fused), with_gradients(fused, weight)
    found, wanted = forward(q, k, v).astype(jnp.float32), plain_attention(q, k, v)
    error = _apart(found, wanted)
    for mine, right in zip(backward(q, k, v), with_gradients(plain_attention, weight)(q, k, v), strict=True):
        error = max(error, _apart(mine.astype(jnp.float32), right.astype(jnp.float32)))
    return {
        "forward_ms": 1e3 * seconds(forward, q, k, v),
        "backward_ms": 1e3 * seconds(backward, q, k, v),
        "error": error,
    }


def _apart(found: Any, wanted: Any) -> float:
    return float(jnp.abs(found - wanted).max() / jnp.abs(wanted).max())


def report() -> dict[str, Any]:
    devices = jax.devices()
    gpu = devices[0].platform == "gpu"
    memory = devices[0].memory_stats() or {}
    said: dict[str, Any] = {
        "jax": jax.__version__,
        "platform": devices[0].platform,
        "devices": len(devices),
        "kind": devices[0].device_kind,
        "compute_capability": str(getattr(devices[0], "compute_capability", "")),
        "memory_bytes": int(memory.get("bytes_limit", 0)),
    }
    steps: dict[str, Callable[[], object]] = {
        "matmul_tflops": lambda: matmul_tflops(8192 if gpu else 256),
        "attention": lambda: attention_report("cudnn" if gpu else None, 2048 if gpu else 256),
    }
    for name, step in steps.items():
        try:
            said[name] = step()
        except Exception as error:  # whatever it is, the others are measured, too
            said[f"{name}_failed"] = f"{type(error).__name__}: {error}"[:400]
    return said


if __name__ == "__main__":
    print(json.dumps(report()))
