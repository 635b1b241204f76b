"""Honest programs get a score, programs that peek get none, whatever they peek at and however seldom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

from judge.heldout import HeldOut
from judge.verdict import Reason, Verdict

Judged = Callable[..., Verdict]


@pytest.mark.parametrize("name", zoo.HONEST)
def test_an_honest_model_is_scored(name: str, judged: Judged, tmp_path: Path) -> None:
    verdict = judged(zoo.artifact(tmp_path / "art", zoo.HONEST[name]))

    assert verdict.reason is None
    assert verdict.val_bpb is not None
    assert 0.5 < verdict.val_bpb < 12


@pytest.mark.parametrize("name", ["attention", "convolution", "gated_recurrence", "token_choice"])
def test_an_honest_model_in_bfloat16_is_scored(name: str, judged: Judged, tmp_path: Path) -> None:
    def forward(params: zoo.Params, tokens: object) -> object:
        return zoo.HONEST[name](params, tokens).astype(jnp.bfloat16)

    assert judged(zoo.artifact(tmp_path / "art", forward, dtype=jnp.bfloat16)).valid


@pytest.mark.parametrize("name", zoo.DISHONEST)
def test_a_model_that_peeks_is_invalid(name: str, judged: Judged, tmp_path: Path) -> None:
    verdict = judged(zoo.artifact(tmp_path / "art", zoo.DISHONEST[name]))

    assert verdict.reason is Reason.NOT_CAUSAL
    assert verdict.val_bpb is None
    assert verdict.document_nats is None


def test_a_leak_is_found_whatever_the_secret_plan(judged: Judged, tmp_path: Path) -> None:
    artifact = zoo.artifact(tmp_path / "art", zoo.every_seventh)

    assert {judged(artifact, seed=seed, probes=100).reason for seed in range(4)} == {Reason.NOT_CAUSAL}


def test_natural_rows_open_the_gate_that_random_rows_leave_shut(heldout: HeldOut) -> None:
    """Otherwise `peeks_only_on_natural_text` would not be the attack that it is named after."""
    rows = heldout.rows.tokens[:, :-1]
    noise = np.random.default_rng(0).integers(0, zoo.V - 1, size=rows.shape)

    assert np.mean(zoo.natural(rows)) > 0.8
    assert not np.any(zoo.natural(noise))


def test_bfloat16_and_its_neighbours_agree_far_within_the_tolerance(heldout: HeldOut, tmp_path: Path) -> None:
    """The tolerance is for devices that pick other kernels in the other container; here there is none of that."""
    params = zoo.init(0, jnp.bfloat16)
    run = jax.jit(zoo.exported(zoo.attention, params).call)
    rng = np.random.default_rng(0)
    rows = heldout.rows.tokens[:, :-1]
    alone = np.asarray(run(params, rows[: zoo.B]), np.float32)
    others = np.concatenate([rows[1:2], rng.permutation(rows)[: zoo.B - 1]])

    assert np.array_equal(alone[1], np.asarray(run(params, others), np.float32)[0])
