"""The program that doctor runs on a GPU, on the CPU: what it measures and how far from the formula it may be."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from trainer_jax import canary


@pytest.fixture(scope="module")
def report() -> dict[str, object]:
    return canary.report()


def test_it_says_what_it_runs_on_and_how_fast(report: dict[str, object]) -> None:
    assert report["platform"] == "cpu"
    assert report["matmul_tflops"] > 0  # type: ignore[operator]
    assert set(report["attention"]) == {"forward_ms", "backward_ms", "error"}  # type: ignore[call-overload]


def test_attention_agrees_with_the_formula(report: dict[str, object]) -> None:
    assert 0 < report["attention"]["error"] < 0.02  # type: ignore[index]


def test_a_window_that_is_one_too_wide_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "attention", lambda q, k, v, _: wider(q, k, v))

    def wider(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        return jax.nn.dot_product_attention(q, k, v, is_causal=True, local_window_size=(canary.WINDOW, 0))

    assert canary.attention_report(None, 256)["error"] > 0.05


def test_the_formula_sees_a_window_and_no_future() -> None:
    q = k = jnp.zeros((1, 256, 1, 8))
    v = jnp.arange(256.0)[None, :, None, None] * jnp.ones((1, 1, 1, 8))
    mean = canary.plain_attention(q, k, v)[0, :, 0, 0]
    assert mean[0] == 0.0
    assert mean[200] == pytest.approx(200 - (canary.WINDOW - 1) / 2)


def test_a_step_that_fails_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(size: int) -> float:
        raise RuntimeError("no memory")

    monkeypatch.setattr(canary, "matmul_tflops", fail)
    said = canary.report()
    assert said["matmul_tflops_failed"] == "RuntimeError: no memory"
    assert "attention" in said
