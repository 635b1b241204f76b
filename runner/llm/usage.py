"""A provider's token counts, read so that nothing it may charge for is left out.

Gateways count thinking tokens in completion_tokens, in addition to it, or in the total alone. Where several readings are possible the
larger is billed. An invalid count makes the whole bill unknown, and then the reservation stands.
"""

from __future__ import annotations

import re
from typing import Any

from runner.llm.messages import Usage

_MOST_TOKENS = 10_000_000
"""No model reads or writes so many in one call: a larger count is treated as invalid."""
_MOST_USD = 1000.0
"""No call costs so much: a larger amount is treated as invalid."""
_SAID = re.compile(
    rb'"(?:usage|usageMetadata|usage_metadata|eval_count|billed_units|token_usage)"\s*:\s*[{\d]'
)
"""Of a body as it came. Inside a JSON string the quotes would be escaped."""


def was_said(body: bytes) -> bool:
    """Whether the provider's answer holds a count at all: litellm fills in estimates where there is none."""
    return _SAID.search(body) is not None


def usage_from(counts: Any, *, answered: bool = False) -> Usage | None:
    """The bill in litellm's usage object; None when the provider did not say, or said nonsense. `answered`: the answer
    holds text, which has tokens."""
    if counts is None:
        return None
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    prompt, completion, total = (_whole(getattr(counts, name, None)) for name in names)
    thinking = _detail(counts, "completion_tokens_details", "reasoning_tokens")
    cached = _detail(counts, "prompt_tokens_details", "cached_tokens")
    written = _whole(getattr(counts, "cache_creation_input_tokens", None) or 0)
    if not prompt or None in {completion, total, thinking, cached, written}:  # no prompt is empty
        return None
    assert completion is not None
    assert total is not None
    assert thinking is not None
    assert cached is not None
    assert written is not None
    separate = completion + thinking
    readings = [completion, total - prompt]
    if (
        thinking > completion or total < prompt + completion
    ):  # thinking is not, or may not be, part of completion
        readings.append(separate)
    if answered and not max(readings):
        return None
    if cached + written > prompt:  # they are counted in addition to the prompt
        prompt += cached + written
    return Usage(
        prompt, max(readings), cached=cached, cache_written=written, usd=_usd(getattr(counts, "cost", None))
    )


def _usd(value: Any) -> float:
    """Dollars that a gateway says it charged (OpenRouter: usage.cost); 0 for what is no amount."""
    sensible = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST_USD
    return float(value) if sensible else 0.0


def _detail(counts: Any, group: str, name: str) -> int | None:
    """One of the finer counts; 0 where there is none."""
    details = getattr(counts, group, None)
    value = details.get(name) if isinstance(details, dict) else getattr(details, name, None)
    return _whole(0 if value is None else value)


def _whole(value: Any) -> int | None:
    """A count of tokens; None for what is none."""
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None
