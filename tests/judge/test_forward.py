"""The normalisation and the sums are the judge's own: nothing that a program returns is worth more than its text."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import model_zoo
import numpy as np
import pytest
from jax import lax
from model_zoo import B, T, V

from judge.heldout import HeldOut
from judge.inside import forward
from judge.inside.refusal import Refused
from judge.verdict import Reason, Verdict

Judged = Callable[..., Verdict]


def uniform_bpb(data: HeldOut) -> float:
    return math.log2(V) * int(data.rows.scored.sum()) / int(data.document_bytes.sum())


@pytest.mark.parametrize("level", [0.0, 1.0, -1000.0, 32768.0, 1e9, 1e30, -3e38])
def test_constant_logits_score_exactly_the_logarithm_of_the_vocabulary(
    level: float, judged: Judged, heldout: HeldOut, tmp_path: Path
) -> None:
    """Whatever the constant: log-sum-exp without care rounds to the largest logit, and 1e9 would be worth 0 bits.

    2^-24 is half a unit in the last place of a float32, in which nats.f32 is written.
    """

    def forward(p: Any, x: Any) -> Any:
        return jnp.full((B, T, V), p["level"])

    params = {"level": jnp.float32(level)}
    verdict = judged(model_zoo.write(tmp_path / "art", model_zoo.exported(forward, params), params))

    assert verdict.val_bpb == pytest.approx(uniform_bpb(heldout), rel=2**-24)
    assert verdict.uniform_bpb == pytest.approx(uniform_bpb(heldout), rel=1e-12)


def test_the_score_is_the_sum_of_every_scored_position(
    judged: Judged, heldout: HeldOut, tmp_path: Path
) -> None:
    """Against numpy in float64, document by document."""
    params = model_zoo.init(3)
    verdict = judged(
        model_zoo.write(tmp_path / "art", model_zoo.exported(model_zoo.hashed_trigrams, params), params)
    )

    x, y = heldout.rows.tokens[:, :-1], heldout.rows.tokens[:, 1:]
    logits = np.asarray(model_zoo.hashed_trigrams(params, x), np.float64)
    logits -= logits.max(-1, keepdims=True)
    nats = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, y[..., None], -1)[..., 0]
    sums = np.array([nats[heldout.rows.document == i].sum() for i in range(len(heldout.document_bytes))])
    assert verdict.document_nats == pytest.approx(sums, rel=1e-6)
    assert verdict.val_bpb == pytest.approx(sums.sum() / np.log(2) / heldout.document_bytes.sum(), rel=1e-6)
    assert np.array_equal(verdict.document_bytes, heldout.document_bytes)


def test_an_offset_of_the_logits_buys_nothing(judged: Judged, tmp_path: Path) -> None:
    def shifted(p: Any, x: Any) -> Any:
        return p["bigram"][x] + 100.0 * jnp.arange(T)[:, None]

    params = model_zoo.init(0)
    honest = judged(
        model_zoo.write(tmp_path / "a", model_zoo.exported(lambda p, x: p["bigram"][x], params), params)
    )
    other = judged(model_zoo.write(tmp_path / "b", model_zoo.exported(shifted, params), params))

    assert other.val_bpb == pytest.approx(honest.val_bpb, rel=1e-4)


BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("value", BAD)
def test_logits_that_are_not_finite_are_invalid(value: float, judged: Judged, tmp_path: Path) -> None:
    def forward(p: Any, x: Any) -> Any:
        return jnp.where(p["bigram"][x] > 7.0, value, p["bigram"][x])  # a few of them

    assert judged(model_zoo.artifact(tmp_path / "art", forward)).reason is Reason.NOT_FINITE


def test_logits_whose_loss_overflows_are_invalid(judged: Judged, tmp_path: Path) -> None:
    def forward(p: Any, x: Any) -> Any:
        return jnp.where(p["bigram"][x] > 0.0, 3e38, -3e38)

    assert judged(model_zoo.artifact(tmp_path / "art", forward)).reason is Reason.NOT_FINITE


@pytest.mark.parametrize("value", BAD)
def test_weights_that_are_not_finite_are_invalid(value: float, judged: Judged, tmp_path: Path) -> None:
    params = model_zoo.init(0)
    params["bigram"] = params["bigram"].at[3, 5].set(value)
    artifact = model_zoo.write(
        tmp_path / "art", model_zoo.exported(model_zoo.hashed_trigrams, params), params
    )

    assert judged(artifact).reason is Reason.NOT_FINITE


def bigram_program() -> Any:
    return model_zoo.exported(lambda p, x: p["bigram"][x], {"bigram": jnp.zeros((V, V))})


@pytest.mark.parametrize("mode", ["blind", "full"])
def test_logits_that_are_not_finite_are_found_in_both_containers(mode: str) -> None:
    weights = {"bigram": np.full((V, V), np.inf, np.float32)}
    rows = np.zeros((B, T + 1), np.int32)

    if mode == "blind":
        blocks = forward.blind(bigram_program(), weights, rows[:, :-1], np.zeros(B, np.int32), B)
    else:
        blocks = forward.full(bigram_program(), weights, rows, B)

    with pytest.raises(Refused, match="not_finite"):
        list(blocks)


def test_a_program_that_answers_twice_differently_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No allowed op can do it, so the device is made to: every call adds a little."""
    rng = np.random.default_rng(0)
    weights = {"bigram": rng.normal(size=(V, V)).astype(np.float32)}
    rows = rng.integers(0, V, size=(3 * B, T + 1)).astype(np.int32)
    assert len(list(forward.full(bigram_program(), weights, rows, B))) == 3
    honest, calls = forward._Program.__call__, iter(range(99))
    monkeypatch.setattr(
        forward._Program, "__call__", lambda self, x: honest(self, x).at[0, 0, 0].add(0.001 * next(calls))
    )

    with pytest.raises(Refused, match="not_deterministic"):
        list(forward.full(bigram_program(), weights, rows, B))


@pytest.mark.parametrize(
    "logits", [lambda: lax.full((B, T, V + 1), 0.0), lambda: lax.full((B, T, V), 0, jnp.int32)]
)
def test_other_logits_than_announced_are_refused(
    logits: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = bigram_program()
    monkeypatch.setattr(jax, "jit", lambda f, **_: lambda p, x: logits())
    run = forward._Program(program, {"bigram": np.zeros((V, V), np.float32)})

    with pytest.raises(Refused, match="signature"):
        run(np.zeros((B, T), np.int32))
