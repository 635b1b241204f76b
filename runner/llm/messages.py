"""What passes between a proposer and a language model, without any library's types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

MILLION = 1e6
_PER_PROMPT, _PER_MESSAGE = 64, 16
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
    request: float = 0.0
    """Dollars per call, whatever its size."""
    above: Sequence[tuple[int, Price]] = ()
    """What a call costs whose prompt has more tokens than that (the whole call, not the part above)."""
    priority: Price | None = None
    """What a call costs that the account has let the provider serve first."""

    def worst(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The most these tokens can cost (dollars), whichever tier the provider serves them in."""
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


@dataclass(frozen=True, slots=True)
class Usage:
    """The provider's count of tokens; `prompt` includes what was cached or written to the cache."""

    prompt: int
    completion: int
    cached: int = 0
    cache_written: int = 0
    priority: bool = False
    """Served before others, at the dearer price for that."""
    usd: float = 0.0
    """Dollars that the provider itself says it charged; 0 where it says none."""


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
    def is_transient(self) -> bool:
        """Whether the same call may succeed a little later."""
        return self in {Cause.BUSY, Cause.SERVER, Cause.TIMEOUT, Cause.UNREACHABLE}


class CallFailed(Exception):
    """`sent`: the provider may have worked, and charge for it. `retry_after`: the header as it came. `refusal`: what the
    provider said when it turned the request away, without secrets."""

    def __init__(
        self, cause: Cause, sentence: str, *, sent: bool, retry_after: str | None = None, refusal: str = ""
    ) -> None:
        super().__init__(f"{cause}: {sentence}")
        self.cause, self.sentence, self.sent, self.retry_after = cause, sentence, sent, retry_after
        self.refusal = refusal


class UnknownPrice(Exception):
    """No price that can be relied on. The message says why, as a half-sentence."""


@dataclass(frozen=True, slots=True)
class Request:
    """How one model wants to be asked: what its refusals taught (runner.llm.request_fixes)."""

    max_output: int | None = None
    """Tokens of the longest answer it takes; None is no limit of its own."""
    completion_name: bool = False
    """The limit is called max_completion_tokens instead of max_tokens."""
    stream: bool = False
    """The answer is asked for in pieces."""
    no_system: bool = False
    """The system's text is sent as the user's."""


PLAIN = Request()


class Client(Protocol):
    """A language model provider (`runner.llm.client.LitellmClient`)."""

    def price(self, model: str) -> Price: ...

    def count(self, model: str, messages: Sequence[Message]) -> int: ...

    def max_output(self, model: str) -> int | None: ...

    def context_window(self, model: str) -> int | None: ...

    def missing_keys(self, model: str) -> Sequence[str]: ...

    def unknown_provider(self, model: str) -> str: ...

    def unusable_proxy(self) -> str: ...

    def complete(
        self,
        model: str,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        timeout_s: float,
        request: Request = PLAIN,
    ) -> Completion: ...


def at_most(messages: Sequence[Message]) -> int:
    """An upper bound of what a provider will count for a prompt, whatever its tokenizer: every token of byte-level BPE
    and of sentencepiece with byte fallback stands for at least one byte."""
    return sum(len(m.text.encode(errors="replace")) + _PER_MESSAGE for m in messages) + _PER_PROMPT
