"""Honest programs get a score, programs that peek get none, whatever they peek at and however seldom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import model_zoo
import numpy as np
import pytest

from judge.heldout import HeldOut
from judge.verdict import Reason, Verdict

Judged = Callable[..., Verdict]


@pytest.mark.parametrize("name", model_zoo.HONEST)
def test_an_honest_model_is_scored(name: str, judged: Judged, tmp_path: Path) -> None:
    verdict = judged(model_zoo.artifact(tmp_path / "art", model_zoo.HONEST[name]))

    assert verdict.reason is None
    assert verdict.val_bpb is not None
    assert 0.5 < verdict.val_bpb < 12


@pytest.mark.parametrize("name", ["attention", "convolution", "gated_recurrence", "token_choice"])
def test_an_honest_model_in_bfloat16_is_scored(name: str, judged: Judged, tmp_path: Path) -> None:
    def forward(params: model_zoo.Params, tokens: object) -> object:
        return model_zoo.HONEST[name](params, tokens).astype(jnp.bfloat16)

    assert judged(model_zoo.artifact(tmp_path / "art", forward, dtype=jnp.bfloat16)).valid


@pytest.mark.parametrize("name", model_zoo.DISHONEST)
def test_a_model_that_peeks_is_invalid(name: str, judged: Judged, tmp_path: Path) -> None:
    verdict = judged(model_zoo.artifact(tmp_path / "art", model_zoo.DISHONEST[name]))

    assert verdict.reason is Reason.NOT_CAUSAL
    assert verdict.val_bpb is None
    assert verdict.document_nats is None


def test_a_leak_is_found_whatever_the_secret_plan(judged: Judged, tmp_path: Path) -> None:
    artifact = model_zoo.artifact(tmp_path / "art", model_zoo.every_seventh)

    assert {judged(artifact, seed=seed, probes=100).reason for seed in range(4)} == {Reason.NOT_CAUSAL}


def test_natural_rows_open_the_gate_that_random_rows_leave_shut(heldout: HeldOut) -> None:
    """Otherwise `peeks_only_on_natural_text` would not be the attack that it is named after."""
    rows = heldout.rows.tokens[:, :-1]
    noise = np.random.default_rng(0).integers(0, model_zoo.V - 1, size=rows.shape)

    assert np.mean(model_zoo.natural(rows)) > 0.8
    assert not np.any(model_zoo.natural(noise))


def test_bfloat16_and_its_neighbours_agree_far_within_the_tolerance(heldout: HeldOut, tmp_path: Path) -> None:
    """The tolerance is for devices that pick other kernels in the other container; here there is none of that."""
    params = model_zoo.init(0, jnp.bfloat16)
    run = jax.jit(model_zoo.exported(model_zoo.attention, params).call)
    rng = np.random.default_rng(0)
    rows = heldout.rows.tokens[:, :-1]
    alone = np.asarray(run(params, rows[: model_zoo.B]), np.float32)
    others = np.concatenate([rows[1:2], rng.permutation(rows)[: model_zoo.B - 1]])

    assert np.array_equal(alone[1], np.asarray(run(params, others), np.float32)[0])
