"""What calls of language models have cost, as the ledger knows it, and whether another fits into the run's limits (`Caps.allow`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a language model. `state`: reserved (under way, or cut off by a crash), answered, refused (the
    provider turned it away, which costs nothing) or unknown (no answer came: it may have been charged)."""

    id: int
    number: int
    purpose: str
    model: str
    prompt_sha256: str
    reserved_tokens: int
    reserved_usd: float
    state: str
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class Unread:
    """An answer that was paid for, and that a crash kept from becoming an experiment. `about_sha256` is the hash of the
    stable part of its prompt: the rules, the memo and the script that it changes."""

    id: int
    number: int
    purpose: str
    model: str
    about_sha256: str
    answer: str
    finish: str


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run's calls have cost at most: where no bill was seen, the whole reservation counts."""

    usd: float
    tokens: int
    calls: int


@dataclass(frozen=True, slots=True)
class Caps:
    """What a whole run's calls may cost, all sessions together; None is no limit."""

    max_usd: float | None = None
    max_tokens: int | None = None

    def allow(self, spent: Spent, usd: float, tokens: int) -> bool:
        """Whether a call that may cost `usd` dollars and `tokens` at most fits into what is left."""
        within = self.max_usd is None or spent.usd + usd <= self.max_usd
        return within and (self.max_tokens is None or spent.tokens + tokens <= self.max_tokens)
