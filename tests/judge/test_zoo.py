"""The whole zoo, twenty seeds each: no honest model is refused, no leak accepted, and what a leak must be worth to be found.

The short form compiles each model once and asks the judge's own plan and comparison in this process; `test_causality.py`
holds that the judge as a whole says the same. The long form is the judge as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import model_zoo
import numpy as np
import pytest

from judge import agreement, blind_probe
from judge.heldout import HeldOut
from judge.rows import Rows, pack
from judge.verdict import Reason, Verdict

SEEDS = 20
PROBES = 400
MUST_BE_FOUND = 0.002
"""Bits per byte."""


def answers(run: Any, params: model_zoo.Params, inputs: np.ndarray) -> np.ndarray:
    """float32[M, T, V], a batch at a time; the last batch is completed by its own rows, over again."""
    padded = np.resize(inputs, (-(-len(inputs) // model_zoo.B) * model_zoo.B, inputs.shape[1]))
    parts = [
        np.asarray(run(params, padded[at : at + model_zoo.B])) for at in range(0, len(padded), model_zoo.B)
    ]
    return np.concatenate(parts)[: len(inputs)].astype(np.float32)


def nats(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    return blind_probe.blind_nats(logits.reshape(-1, model_zoo.V), target.ravel()).reshape(target.shape)


def seen(run: Any, params: model_zoo.Params, rows: Rows, seed: int) -> bool:
    """Whether the blind probe tells the model's answers apart."""
    plan = blind_probe.plan(rows, PROBES, model_zoo.B, np.random.default_rng(seed))
    at = plan.probed
    logits = answers(run, params, plan.inputs)[np.arange(len(plan.cut)), plan.cut]
    full = nats(answers(run, params, rows.tokens[:, :-1]), rows.tokens[:, 1:])
    return not agreement.agrees(
        blind_probe.blind_nats(logits[at], plan.target[at]), full[plan.row[at], plan.cut[at]]
    )


@pytest.mark.parametrize("name", [*model_zoo.HONEST, *model_zoo.DISHONEST])
def test_twenty_seeds_and_no_wrong_word(name: str, heldout: HeldOut) -> None:
    honest = name in model_zoo.HONEST
    run = jax.jit((model_zoo.HONEST | model_zoo.DISHONEST)[name])

    wrong = [seed for seed in range(SEEDS) if seen(run, model_zoo.init(seed), heldout.rows, seed) is honest]

    assert wrong == []


@pytest.mark.parametrize(
    "name", ["attention", "gated_linear_attention", "token_choice", "sliding_window", "tied_head"]
)
def test_twenty_seeds_in_bfloat16(name: str, heldout: HeldOut) -> None:
    run = jax.jit(lambda p, x: model_zoo.HONEST[name](p, x).astype(jnp.bfloat16))
    wrong = [
        seed for seed in range(SEEDS) if seen(run, model_zoo.init(seed, jnp.bfloat16), heldout.rows, seed)
    ]

    assert wrong == []


def test_the_zoo_is_as_large_as_it_must_be() -> None:
    assert len(model_zoo.HONEST) >= 10
    assert len(model_zoo.DISHONEST) >= 15


@pytest.mark.slow
@pytest.mark.parametrize("name", [*model_zoo.HONEST, *model_zoo.DISHONEST])
def test_the_whole_judge_says_so_too(name: str, judged: Callable[..., Verdict], tmp_path: Path) -> None:
    forward = (model_zoo.HONEST | model_zoo.DISHONEST)[name]
    for seed in range(SEEDS):
        verdict = judged(model_zoo.artifact(tmp_path / f"art{seed}", forward, seed), seed=seed)
        assert verdict.reason is (None if name in model_zoo.HONEST else Reason.NOT_CAUSAL), seed


# ---- how much a leak must be worth -----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def long_text() -> tuple[Rows, int]:
    """About 20,000 positions, and how many bytes their targets have."""
    tokens = model_zoo.text(450, seed=3)
    return pack(tokens, model_zoo.BOS, model_zoo.T), int(
        (np.arange(model_zoo.V - 1) % 4 + 1)[tokens[tokens != model_zoo.BOS]].sum()
    )


def leaky(strength: Any, every: int) -> Any:
    """`strength` more for the right answer, at one position of `every`."""

    def forward(p: model_zoo.Params, x: Any) -> Any:
        here = (jnp.arange(model_zoo.T) % every == every // 2)[:, None]
        return p["bigram"][x] + strength * here * jax.nn.one_hot(model_zoo.following(x), model_zoo.V)

    return forward


@pytest.mark.parametrize(
    ("strength", "every"), [(0.008, 1), (0.02, 1), (0.05, 4), (0.2, 16), (0.4, 32), (8.0, 32)]
)
def test_a_leak_that_is_worth_something_is_found(
    strength: float, every: int, long_text: tuple[Rows, int]
) -> None:
    rows, size = long_text
    params = model_zoo.init(0)
    inputs, target = rows.tokens[:, :-1], rows.tokens[:, 1:]
    losses = [
        nats(answers(jax.jit(leaky(much, every)), params, inputs), target)[rows.scored].sum()
        for much in (0.0, strength)
    ]
    worth = (losses[0] - losses[1]) / np.log(2) / size
    assert worth > MUST_BE_FOUND, "the leak is too small to prove anything"

    run = jax.jit(leaky(strength, every))
    assert all(seen(run, params, rows, seed) for seed in range(5))
