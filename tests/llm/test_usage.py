"""Nothing that a provider may charge for is left out, however it lists it; nonsense leaves the reservation as it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runner.llm.messages import Usage
from runner.llm.prices import Price
from runner.llm.usage import usage_from, was_said


def counts(**values: Any) -> Any:
    made = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050, **values}
    if "thinking" in made:
        made["completion_tokens_details"] = {"reasoning_tokens": made.pop("thinking")}
    if "cached" in made:
        made["prompt_tokens_details"] = SimpleNamespace(cached_tokens=made.pop("cached"))
    return SimpleNamespace(**made)


@pytest.mark.parametrize(
    ("said", "completion"),
    [
        ({}, 50),
        ({"thinking": 40}, 50),  # inside
        ({"thinking": 2000, "total_tokens": 3050}, 2050),  # beside, and in the total
        ({"thinking": 2000}, 2050),  # beside, and the total forgets it
        ({"total_tokens": 3050}, 2050),  # in the total alone
        ({"thinking": 40, "total_tokens": 1090}, 90),
        ({"thinking": 40, "total_tokens": 0}, 90),  # nothing says where: the larger
    ],
)
def test_thinking_is_billed_wherever_it_is_listed(said: dict[str, Any], completion: int) -> None:
    assert usage_from(counts(**said)) == Usage(1000, completion)


def test_cached_tokens_beside_the_prompt_are_billed_too() -> None:
    assert usage_from(counts(cached=200)) == Usage(1000, 50, cached=200)
    assert usage_from(counts(cached=3000)) == Usage(4000, 50, cached=3000)


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "total_tokens", "thinking", "cached"])
@pytest.mark.parametrize("value", [-1, float("nan"), 1e9, "50", True, 10**9, []])
def test_a_count_that_is_none_makes_the_whole_bill_unknown(name: str, value: Any) -> None:
    assert usage_from(counts(**{name: value})) is None


def test_no_count_is_no_bill() -> None:
    assert usage_from(None) is None
    assert usage_from(counts(prompt_tokens=0)) is None


def test_only_the_providers_own_count_is_one() -> None:
    assert was_said(b'{"usage": {"prompt_tokens": 1}}')
    assert was_said(b'{"done": true, "eval_count": 9}')
    assert not was_said(b'{"usage": null}')
    assert not was_said(rb'{"content": "\"usage\": {\"prompt_tokens\": 1}"}')


def test_an_answer_with_text_and_without_tokens_is_no_bill() -> None:
    nothing = counts(completion_tokens=0, total_tokens=1000)
    assert usage_from(nothing, answered=True) is None
    assert usage_from(nothing) == Usage(1000, 0)


@pytest.mark.parametrize("said", [True, -1.0, float("nan"), float("inf"), 1e9, "5", None])
def test_dollars_that_are_no_amount_are_not_believed(said: object) -> None:
    assert usage_from(counts(cost=said)) == Usage(1000, 50)


def test_what_a_gateway_says_it_charged_is_the_least_that_is_booked() -> None:
    price = Price(1e-6, 1e-6, 1e-6, 1e-6)
    for said, booked in ((0.25, 0.25), (1e-9, 1050e-6)):
        usage = usage_from(counts(cost=said), answered=True)
        assert usage is not None
        assert price.of(usage) == pytest.approx(booked)
