"""What passes between a proposer and a language model, without any library's types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

MILLION = 1e6
_TOKENIZERS_DIFFER = 1.5
"""Prompts are counted with a relative of the provider's tokenizer; for code the two differ by up to two fifths."""
_PER_PROMPT = 64
"""Tokens that the chat format itself takes, at most."""


@dataclass(frozen=True, slots=True)
class Message:
    """`stable`: this and everything before it will be the same in the next prompt, so it is worth caching."""

    role: Literal["system", "user", "assistant"]
    text: str
    stable: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per token: of the prompt, of the completion, of cached prompt, of writing to the cache."""

    prompt: float
    completion: float
    cached: float
    cache_write: float

    def worst(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The most these tokens can cost (dollars)."""
        return prompt_tokens * max(self.prompt, self.cache_write) + completion_tokens * self.completion

    def of(self, usage: Usage) -> float:
        """What the provider's own count costs (dollars)."""
        plain = max(usage.prompt - usage.cached - usage.cache_written, 0)
        cost = plain * self.prompt + usage.cached * self.cached + usage.cache_written * self.cache_write
        return cost + usage.completion * self.completion


FREE = Price(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Usage:
    """The provider's count of tokens; `prompt` includes what was cached or written to the cache."""

    prompt: int
    completion: int
    cached: int = 0
    cache_written: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """`finish` is the provider's word: stop, length, content_filter; "empty" when there was no choice at all."""

    text: str
    finish: str
    usage: Usage | None


class Cause(StrEnum):
    """Why a call gave no answer."""

    BUSY = "rate_limited"
    SERVER = "server_error"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    KEY = "key_refused"
    MONEY = "account_without_credit"
    NO_MODEL = "no_such_model"
    TOO_LONG = "prompt_too_long"
    REFUSED = "request_refused"

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed a little later."""
        return self in {Cause.BUSY, Cause.SERVER, Cause.TIMEOUT, Cause.UNREACHABLE}


class CallFailed(Exception):
    """`sent`: the provider may have worked, and charge for it. `retry_after`: the header as it came."""

    def __init__(self, cause: Cause, sentence: str, *, sent: bool, retry_after: str | None = None) -> None:
        super().__init__(f"{cause}: {sentence}")
        self.cause, self.sentence, self.sent, self.retry_after = cause, sentence, sent, retry_after


class UnknownPrice(Exception):
    """litellm's table does not have this model."""


class Client(Protocol):
    """A language model provider (`runner.proposers.llm_client.LitellmClient`)."""

    def price(self, model: str) -> Price: ...

    def count(self, model: str, messages: Sequence[Message]) -> int: ...

    def max_output(self, model: str) -> int | None: ...

    def missing_keys(self, model: str) -> Sequence[str]: ...

    def complete(
        self, model: str, messages: Sequence[Message], *, max_tokens: int, timeout_s: float
    ) -> Completion: ...


def at_most(counted: int) -> int:
    """An upper bound of what the provider will count for a prompt of `counted` tokens."""
    return int(counted * _TOKENIZERS_DIFFER) + _PER_PROMPT
