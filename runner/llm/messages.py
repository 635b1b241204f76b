"""What passes between a proposer and a language model, without any library's types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from runner.llm.prices import Price

_PER_PROMPT, _PER_MESSAGE = 64, 16
"""Upper bound of the tokens that the chat format itself adds."""


@dataclass(frozen=True, slots=True)
class Message:
    """`stable`: this and everything before it will be the same in the next prompt, so it is worth caching."""

    role: Literal["system", "user", "assistant"]
    text: str
    stable: bool = False


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


@dataclass(frozen=True, slots=True)
class Request:
    """The form of request that one model accepts, learned from its refusals (runner.llm.request_fixes)."""

    max_output: int | None = None
    """Largest max_tokens it accepts; None is no limit of its own."""
    completion_name: bool = False
    """The limit is called max_completion_tokens instead of max_tokens."""
    stream: bool = False
    """The answer is asked for in pieces."""
    no_system: bool = False
    """The system's text is sent as the user's."""


PLAIN = Request()


class Client(Protocol):
    """A language model provider (`runner.llm.litellm_client.LitellmClient`)."""

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
