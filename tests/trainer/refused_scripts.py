"""What scripts do that the judge would refuse: each case exported and saved by the harness, what it said as JSON on stdout.

Run as a program with AUTORESEARCH_DATA and AUTORESEARCH_OUT, since a mesh that is set and the harness are one a process.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from trainer_jax import harness

V = harness.vocab_size
WIDE = jnp.ones((V, V))
ALIBI = jax.random.normal(jax.random.key(0), (8, 256, 256))
SETTINGS = {"bias": [jax.random.normal(jax.random.key(0), (1024, 1024))]}
MESH = jax.make_mesh((2,), ("rows",), axis_types=(AxisType.Auto,))


def look_up(p: Any, x: Any) -> Any:
    return p["w"][x]


def with_alibi(y: Any) -> Any:
    return y + ALIBI.sum()


def biased(p: Any, x: Any) -> Any:
    return with_alibi(look_up(p, x))


def printing(p: Any, x: Any) -> Any:
    jax.debug.print("{}", x[0, 0])
    return look_up(p, x)


def called_a_million_times(p: Any, x: Any) -> Any:
    def once_more(y: Any) -> Any:
        return y + 1

    def doubled(inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return jax.jit(lambda y: inner(inner(y)))

    function = once_more
    for _ in range(20):
        function = doubled(function)
    return function(look_up(p, x))


class Nnx(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.embed, self.out = nnx.Embed(V, 8, rngs=rngs), nnx.Linear(8, V, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.out(self.drop(self.embed(x), deterministic=True))


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.Dense(V)(nn.Dropout(0.1, deterministic=True)(nn.Embed(V, 8)(x)))


given_away = WIDE + 1
jax.jit(lambda a: a + 1, donate_argnums=0)(given_away)
module = Nnx()
graph, everything = nnx.split(module)
graph_too, weights, rest = nnx.split(module, nnx.Param, ...)
linen = Linen()
linen_params = linen.init(jax.random.key(0), jnp.zeros((1, 4), jnp.int32))
one, bf16 = {"w": WIDE}, {"w": WIDE.astype(jnp.bfloat16)}
sharded = {"w": jax.device_put(WIDE, NamedSharding(MESH, P("rows")))}
noise = {"w": WIDE.at[3, 4].set(jnp.nan)}

CASES: dict[str, tuple[Callable[..., Any], Any, Any]] = {
    # honest: nothing is said
    "plain": (look_up, one, one),
    "weights on two devices": (look_up, sharded, sharded),
    "a seed of its own": (lambda p, x: look_up(p, x) + jax.random.normal(jax.random.key(1), (V,)), one, one),
    "nnx, the weights": (lambda p, x: nnx.merge(graph_too, p, rest)(x), weights, weights),
    "linen": (lambda p, x: linen.apply(p, x), linen_params, linen_params),
    "bfloat16": (look_up, bf16, bf16),
    # the program
    "a bias made at the top": (biased, one, None),
    "a bias in a dict": (lambda p, x: look_up(p, x) + SETTINGS["bias"][0].sum(), one, None),
    "a bias by numpy": (
        lambda p, x: (
            look_up(p, x) + jnp.asarray(np.random.default_rng(0).random((1024, 1024), np.float32)).sum()
        ),
        one,
        None,
    ),
    "a program of 16 MB": (lambda p, x: look_up(p, x) + jnp.tile(HUGE, 2).sum(), one, None),
    "whole numbers": (lambda p, x: look_up(p, x).astype(jnp.int32), one, None),
    "a tuple": (lambda p, x: (look_up(p, x), x), one, None),
    "too few words": (lambda p, x: look_up(p, x)[..., :100], one, None),
    "the last position alone": (lambda p, x: look_up(p, x)[:, -1], one, None),
    "a callback": (
        lambda p, x: jax.pure_callback(
            lambda a: a, jax.ShapeDtypeStruct((*x.shape, V), jnp.float32), look_up(p, x)
        ),
        one,
        None,
    ),
    "a print": (printing, one, None),
    "random bits": (
        lambda p, x: (
            look_up(p, x) + jax.lax.rng_bit_generator(jnp.zeros(4, jnp.uint32), (V,))[1].astype(jnp.float32)
        ),
        one,
        None,
    ),
    "LAPACK": (lambda p, x: look_up(p, x) + jnp.linalg.svd(p["w"][:4, :4])[1].sum(), one, None),
    "approximate top-k": (
        lambda p, x: look_up(p, x) + jax.lax.approx_max_k(look_up(p, x), 4)[0].sum(-1, keepdims=True),
        one,
        None,
    ),
    "two devices": (
        lambda p, x: jax.lax.with_sharding_constraint(look_up(p, x), NamedSharding(MESH, P("rows"))),
        one,
        None,
    ),
    "an array of 8 GB": (lambda p, x: look_up(p, x) + jnp.zeros((100_000, 20_000)).sum(), one, None),
    "a million calls": (called_a_million_times, one, None),
    # the weights
    "float64": (look_up, {"w": np.ones((V, V))}, None),
    "a Python number": (lambda p, x: look_up(p, x) * p["scale"], {**one, "scale": 1.0}, None),
    "a random key": (look_up, {**one, "key": jax.random.key(0)}, None),
    "nnx, everything": (lambda p, x: nnx.merge(graph, p)(x), everything, None),
    "nine axes": (look_up, {**one, "deep": jnp.ones((1,) * 9)}, None),
    "5 GB": (look_up, {**one, "table": jax.ShapeDtypeStruct((60_000, 20_000), np.float32)}, None),
    "a name of 2 MB": (look_up, {**one, "x" * 2_000_000: WIDE}, None),
    "a name of safetensors": (look_up, {**one, "__metadata__": WIDE}, None),
    "no name": (lambda p, x: p[x], WIDE, None),
    "not a number": (look_up, one, noise),
    "not a number in bfloat16": (look_up, bf16, {"w": noise["w"].astype(jnp.bfloat16)}),
    "given away": (look_up, one, {"w": given_away}),
    "another dtype": (look_up, one, bf16),
    "another shape": (look_up, one, {"w": WIDE[:-1]}),
    "another name": (look_up, one, {"v": WIDE}),
    "one more": (look_up, one, {**one, "v": WIDE}),
}
HUGE = jax.random.normal(jax.random.key(0), (4, 1024, 1024))


def said(forward: Callable[..., Any], params: Any, save: Any) -> str:
    """What the harness says, "" where it takes both."""
    harness._handed_over.clear()
    try:
        harness.export_model(forward, params)
        if save is not None:
            harness.save_params(save)
    except ValueError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    answers = {name: said(*case) for name, case in CASES.items()}
    harness._handed_over.clear()
    harness.save_params(bf16)
    answers["saved before"] = said(look_up, one, one)
    jax.set_mesh(MESH)
    answers["a mesh set at the top"] = said(look_up, one, None)
    print(json.dumps(answers))
