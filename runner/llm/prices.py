"""What a call costs: the price per token, and a model's price in litellm's table, by exact name.

litellm itself "generalises": it prices a model that its table does not have like its family, often at zero. So its table
is read here by exact key, and what the table does not say for certain is no price. A run without one is refused in `proposer_setup`.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.llm.messages import Usage

MILLION = 1e6
Entry = Mapping[str, Any]
_ABOVE = re.compile(r"(?:in|out)put_cost_per_token_above_(\d+)k_tokens")
_TEXT = {"chat", "completion", "responses"}
_SAME = {("bedrock", "bedrock_converse"), ("cohere", "cohere_chat"), ("cohere_chat", "cohere")}
"""Providers under which litellm lists what it calls by another name; also vertex_ai and vertex_ai-anthropic_models."""


class UnknownPrice(Exception):
    """No price that can be relied on. The message says why, as a half-sentence."""


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per token: of the prompt, of the completion, of cached prompt, of writing to the cache."""

    prompt: float
    completion: float
    cached: float
    cache_write: float
    request: float = 0.0
    """Dollars per call, whatever its size."""
    above: Sequence[tuple[int, Price]] = ()
    """What a call costs whose prompt has more tokens than that (the whole call, not the part above)."""
    priority: Price | None = None
    """What a call costs that the account has let the provider serve first."""

    def worst(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Upper bound of the cost of these tokens (dollars), over the provider's price tiers."""
        own = prompt_tokens * max(self.prompt, self.cache_write) + completion_tokens * self.completion
        dearer = [price for threshold, price in self.above if prompt_tokens > threshold]
        dearer += [] if self.priority is None else [self.priority]
        return (
            max(own, *(price.worst(prompt_tokens, completion_tokens) for price in dearer), 0.0) + self.request
        )

    def of(self, usage: Usage) -> float:
        """What the provider's own count costs (dollars), and no less than what it says it charged."""
        plain = max(usage.prompt - usage.cached - usage.cache_written, 0)
        cost = plain * self.prompt + usage.cached * self.cached + usage.cache_written * self.cache_write
        dearer = [price for threshold, price in self.above if usage.prompt > threshold]
        dearer += [self.priority] if usage.priority and self.priority is not None else []
        own = cost + usage.completion * self.completion
        return max(max(own, *(price.of(usage) for price in dearer), 0.0) + self.request, usage.usd)


FREE = Price(0.0, 0.0, 0.0, 0.0)


def price_in(table: Mapping[str, Entry], model: str, provider: str, bare: str) -> Price:
    """The price of `model`, which litellm calls as `bare` at `provider`. Raises UnknownPrice."""
    entry = next(_named(table, model, provider, bare), None)
    if entry is None:
        near = difflib.get_close_matches(
            model, [name for name in table if provider in name or "/" not in name], 3
        )
        like = f"; names like it are {', '.join(near)}" if near else ""
        raise UnknownPrice(f"litellm's table does not name it{like}")
    if _dollars(entry, "citation_cost_per_token"):
        raise UnknownPrice("litellm's table has prices for it other than by token")
    price = _tier(entry)
    thresholds = sorted({int(found.group(1)) for name in entry if (found := _ABOVE.fullmatch(name))})
    above = [(1000 * t, _tier(entry, f"_above_{t}k_tokens", price)) for t in thresholds]
    tiers = [part for part in entry.get("tiered_pricing") or () if isinstance(part, Mapping)]
    above += [(0, _tier(part)) for part in tiers]  # by size of the prompt, too; the dearest stands for all
    fast = any(name.endswith("_priority") and _dollars(entry, name) for name in entry)
    return Price(
        price.prompt,
        price.completion,
        price.cached,
        price.cache_write,
        request=_per_request(entry, provider),
        above=tuple(above),
        priority=_tier(entry, "_priority", price) if fast else None,
    )


def listed(table: Mapping[str, Entry], model: str, provider: str, bare: str, name: str) -> int | None:
    """A whole number that the table gives for exactly this model, such as max_output_tokens."""
    for entry in _named(table, model, provider, bare):
        value = entry.get(name)
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and value > 0
            and math.isfinite(value)
        ):
            return int(value)
    return None


def _named(table: Mapping[str, Entry], model: str, provider: str, bare: str) -> Iterator[Entry]:
    """The entries for a model: under its whole name, with the provider before it, or bare where the entry names that
    very provider."""
    for key in dict.fromkeys((model, f"{provider}/{bare}", bare)):
        entry = table.get(key)
        if entry is None or entry.get("mode", "chat") not in _TEXT:
            continue
        owner = str(entry.get("litellm_provider", ""))
        if owner == provider or owner.startswith(f"{provider}-") or (provider, owner) in _SAME:
            yield entry


def _tier(entry: Entry, suffix: str = "", otherwise: Price | None = None) -> Price:
    """The prices whose names end in `suffix`. What a tier leaves out costs what `otherwise` says; a base price of
    zero, or none, is not believed. Raises UnknownPrice."""
    read = _dollars(entry, f"input_cost_per_token{suffix}") or (otherwise.prompt if otherwise else 0.0)
    write = _dollars(entry, f"output_cost_per_token{suffix}") or (otherwise.completion if otherwise else 0.0)
    if read <= 0 or write <= 0:
        raise UnknownPrice("litellm's table does not say what its tokens cost, or says nothing")
    thinking = _dollars(entry, f"output_cost_per_reasoning_token{suffix}")
    to_cache = [
        _dollars(entry, f"cache_creation_input_token_cost{hour}{suffix}") for hour in ("", "_above_1hr")
    ]
    from_cache = _dollars(entry, f"cache_read_input_token_cost{suffix}")
    return Price(
        prompt=read,
        completion=max(write, thinking),
        cached=from_cache or read,
        cache_write=max(read, *to_cache, otherwise.cache_write if otherwise else 0.0),
    )


def _per_request(entry: Entry, provider: str) -> float:
    """Dollars per call in addition to its tokens. Perplexity searches at every call, the others only on request."""
    found = [_dollars(entry, name) for name in ("input_cost_per_request", "input_cost_per_query")]
    searching = entry.get("search_context_cost_per_query")
    if provider == "perplexity" and isinstance(searching, Mapping):
        found += [_dollars(searching, str(name)) for name in searching]
    return max(found)


def _dollars(entry: Entry, name: str) -> float:
    """A price, or 0 where there is none that makes sense."""
    value = entry.get(name)
    sensible = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1
    return float(value) if sensible and value is not None else 0.0
