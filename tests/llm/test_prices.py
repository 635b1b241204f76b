"""A price is what litellm's table says of that very model, at its dearest; everything else is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from runner.llm.litellm_client import LitellmClient
from runner.llm.messages import Usage
from runner.llm.prices import UnknownPrice, price_in

PAID = {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6}


def price(**changes: Any) -> Any:
    return price_in({"p/m": {**PAID, **changes}}, "p/m", "p", "m")


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-6",
        "openai/gtp-5",
        "openrouter/anthropic/claude-opus-4.1",
        "gemini/gemini-3-pro",
        "azure/gpt-5-deployment",
        "azure/claude-sonnet-4-5",
        "anthropic/gpt-5",
        "opneai/gpt-5",
        "ollama/qwen3-coder",
        "ollama/llama3",
        "openai/text-embedding-3-small",
        "",
    ],
)
def test_no_model_is_priced_like_its_family_nor_at_zero(model: str) -> None:
    with pytest.raises(UnknownPrice):
        LitellmClient().price(model)


@pytest.mark.parametrize(
    "model", ["openai/gpt-5", "gpt-5", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-pro"]
)
def test_a_model_that_the_table_names_has_its_price(model: str) -> None:
    found = LitellmClient().price(model)
    assert 0 < found.cached <= found.prompt <= found.cache_write
    assert found.prompt < found.completion < 1e-3


@pytest.mark.parametrize(
    "changes",
    [
        {"input_cost_per_token": 0.0},
        {"output_cost_per_token": 0},
        {"output_cost_per_token": None},
        {"input_cost_per_token": -1e-6},
        {"input_cost_per_token": float("nan")},
        {"input_cost_per_token": "1e-6"},
        {"input_cost_per_token": True},
        {"mode": "embedding"},
        {"litellm_provider": "q"},
        {"citation_cost_per_token": 1e-6},
        {"tiered_pricing": [{"range": [0, 1000]}]},
    ],
)
def test_what_the_table_does_not_say_for_certain_is_no_price(changes: dict[str, Any]) -> None:
    if "tiered_pricing" in changes:
        changes = {**changes, "input_cost_per_token": None}
    with pytest.raises(UnknownPrice):
        price(**changes)


def test_the_reservation_is_for_the_dearest_tier_and_the_bill_for_the_one_that_was_used() -> None:
    found = price(
        input_cost_per_token_above_200k_tokens=2e-6,
        output_cost_per_token_above_200k_tokens=6e-6,
        output_cost_per_reasoning_token=5e-6,
        cache_creation_input_token_cost=1.25e-6,
        cache_creation_input_token_cost_above_1hr=2e-6,
        input_cost_per_token_priority=8e-6,
        input_cost_per_request=0.01,
    )
    assert found.completion == 5e-6, "thinking costs more than writing, and which it was is not known"
    assert found.cached == 1e-6, "a price that is not listed is no discount"
    assert found.worst(1000, 1000) == pytest.approx(1000 * 8e-6 + 1000 * 5e-6 + 0.01)
    assert found.of(Usage(1000, 1000)) == pytest.approx(1000 * 1e-6 + 1000 * 5e-6 + 0.01)
    assert found.of(Usage(1000, 1000, priority=True)) == pytest.approx(1000 * 8e-6 + 1000 * 5e-6 + 0.01)
    assert found.of(Usage(300_000, 1000)) == pytest.approx(300_000 * 2e-6 + 1000 * 6e-6 + 0.01)
    for usage in (
        Usage(300_000, 10),
        Usage(9, 9, cached=9),
        Usage(500, 0, cache_written=500),
        Usage(7, 7, priority=True),
    ):
        assert found.of(usage) <= found.worst(usage.prompt, usage.completion)


def test_prices_by_the_size_of_the_prompt_are_taken_at_the_dearest() -> None:
    tiers = [
        {"range": [0, 32000], "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
        {"range": [32000, 1e9], "input_cost_per_token": 3e-6, "output_cost_per_token": 9e-6},
    ]
    found = price(tiered_pricing=tiers)
    assert found.of(Usage(100, 100)) == pytest.approx(100 * 3e-6 + 100 * 9e-6)
