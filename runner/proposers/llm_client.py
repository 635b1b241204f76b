"""The only module that imports litellm, and only when a model is called.

litellm is held to one request a call: its retries, callbacks, telemetry and downloads are off, so that what is sent is
what was reserved in the ledger. Its timeout counts between bytes; here a call has a deadline as a whole.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from runner.proposers.model import (
    CallFailed,
    Cause,
    Completion,
    Message,
    Price,
    UnknownPrice,
    Usage,
)
from sandbox.text import one_line

_CAUSES = {
    401: Cause.KEY,
    403: Cause.KEY,
    402: Cause.MONEY,
    404: Cause.NO_MODEL,
    408: Cause.TIMEOUT,
    429: Cause.BUSY,
}
_TOO_LONG = re.compile(r"context.{0,20}(length|window)|too many tokens|prompt is too long", re.IGNORECASE)
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL)S?$")
_SECRET_SHAPE = re.compile(r"\b(sk|pk|gsk|xai|AIza|hf|Bearer)[-_ ][A-Za-z0-9_\-*.]{6,}")
_CACHED_FOR_AN_HOUR = {"type": "ephemeral", "ttl": "1h"}
"""Anthropic's default of five minutes is just over when an experiment of five minutes is."""


def _litellm() -> Any:
    """litellm, silenced. Importing it takes seconds."""
    os.environ.update(
        LITELLM_LOCAL_MODEL_COST_MAP="True",  # else it fetches prices when imported
        LITELLM_LOCAL_BLOG_POSTS="True",
        LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS="True",
        LITELLM_MODE="PRODUCTION",  # else it reads a .env file of whatever folder this is
        LITELLM_LOG="ERROR",
    )
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.disable_hf_tokenizer_download = True  # counting tokens must not wait for a hub
    litellm.num_retries = 0
    for name in ("callbacks", "success_callback", "failure_callback", "input_callback"):
        setattr(litellm, name, [])
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


class LitellmClient:
    """See `runner.proposers.model.Client`. `api_base` is where models of the same provider as `model` are asked; a
    stand-in from elsewhere is asked at home, or its key would go to a stranger. Keys come from the environment."""

    def __init__(self, api_base: str = "", model: str = "") -> None:
        self._api_base, self._provider = api_base, model.partition("/")[0]

    def _base(self, model: str) -> str:
        return self._api_base if model.partition("/")[0] == self._provider else ""

    def price(self, model: str) -> Price:
        """From litellm's own table. Raises UnknownPrice."""
        try:
            info = _litellm().get_model_info(model)
        except Exception as error:  # litellm says it in many ways, some of them bare
            raise UnknownPrice(model) from error
        read, write = info.get("input_cost_per_token"), info.get("output_cost_per_token")
        if not isinstance(read, int | float) or not isinstance(write, int | float):
            raise UnknownPrice(model)
        written = info.get("cache_creation_input_token_cost_above_1hr") or info.get(
            "cache_creation_input_token_cost"
        )
        return Price(
            prompt=float(read),
            completion=max(float(write), float(info.get("output_cost_per_reasoning_token") or 0.0)),
            cached=float(_first(info.get("cache_read_input_token_cost"), read)),
            cache_write=float(max(written or 0.0, read)),
        )

    def count(self, model: str, messages: Sequence[Message]) -> int:
        """Tokens of the prompt, by the model's tokenizer where litellm carries it, else by a close relative."""
        return int(_litellm().token_counter(model=model, messages=_chat(messages, marked=False)))

    def max_output(self, model: str) -> int | None:
        """The most tokens the model can answer with, if litellm knows."""
        try:
            found = _litellm().get_model_info(model).get("max_output_tokens")
        except Exception:
            return None
        return int(found) if found else None

    def missing_keys(self, model: str) -> Sequence[str]:
        """Environment variables the provider needs and that are not set."""
        if self._base(model):
            return ()
        try:
            found = _litellm().validate_environment(model=model)
        except Exception:
            return ()
        return () if found.get("keys_in_environment") else tuple(found.get("missing_keys") or ())

    def complete(
        self, model: str, messages: Sequence[Message], *, max_tokens: int, timeout_s: float
    ) -> Completion:
        """One request. Raises CallFailed."""
        box: list[Any] = []

        def ask() -> None:
            try:
                box.append(self._ask(model, messages, max_tokens, timeout_s))
            except BaseException as error:
                box.append(error)

        thread = threading.Thread(target=ask, name="llm-call", daemon=True)
        thread.start()
        thread.join(timeout_s + 1.0)
        if not box:  # a server that sends a byte now and then resets every timeout but this one
            raise CallFailed(Cause.TIMEOUT, f"no answer within {timeout_s:g} s", sent=True)
        if isinstance(box[0], BaseException):
            raise _failed(box[0]) from None  # the original holds the request, and with it the key
        return _completion(box[0])

    def _ask(self, model: str, messages: Sequence[Message], max_tokens: int, timeout_s: float) -> Any:
        litellm = _litellm()
        marks = _marks_cache(litellm, model)
        base = self._base(model)
        extra: dict[str, Any] = {"api_base": base} if base else {}
        if base and model.startswith("openai/") and not os.environ.get("OPENAI_API_KEY"):
            extra["api_key"] = "none"  # a server of one's own asks for none, the client library does
        return litellm.completion(
            model=model,
            messages=_chat(messages, marked=marks),
            max_tokens=max_tokens,
            timeout=timeout_s,
            num_retries=0,
            max_retries=0,
            stream=False,
            **extra,
        )


def _chat(messages: Sequence[Message], *, marked: bool) -> list[dict[str, Any]]:
    """The chat format, with neighbours of one role joined: some chat templates insist on turns."""
    chat: list[dict[str, Any]] = []
    for message in messages:
        part: dict[str, Any] = {"type": "text", "text": message.text}
        if message.stable:
            part["cache_control"] = _CACHED_FOR_AN_HOUR
        if chat and chat[-1]["role"] == message.role:
            chat[-1]["content"].append(part)
        else:
            chat.append({"role": message.role, "content": [part]})
    if not marked:
        for turn in chat:
            turn["content"] = "\n\n".join(part["text"] for part in turn["content"])
    return chat


def _marks_cache(litellm: Any, model: str) -> bool:
    """Whether the provider wants to be told what to cache; the others find out by themselves."""
    try:
        _, provider, _, _ = litellm.get_llm_provider(model)
        return provider == "anthropic" and bool(litellm.utils.supports_prompt_caching(model=model))
    except Exception:
        return False


def _completion(answer: Any) -> Completion:
    choices = getattr(answer, "choices", None) or []
    text, finish = "", "empty"
    if choices:
        message = choices[0].message
        text = message.content or getattr(message, "reasoning_content", None) or ""
        finish = str(choices[0].finish_reason or "")
        refusal = (getattr(message, "provider_specific_fields", None) or {}).get("refusal")
        if refusal and not message.content:
            finish = "content_filter"
    return Completion(text=str(text), finish=finish, usage=_usage(getattr(answer, "usage", None)))


def _usage(usage: Any) -> Usage | None:
    """None when the provider did not say: litellm then fills in zeros, and no prompt is empty."""
    prompt, completion = (
        _tokens(getattr(usage, name, None)) for name in ("prompt_tokens", "completion_tokens")
    )
    if not prompt or completion is None:
        return None
    cached = _tokens(getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)) or 0
    written = _tokens(getattr(usage, "cache_creation_input_tokens", None)) or 0
    return Usage(prompt, completion, cached=min(cached, prompt), cache_written=min(written, prompt))


def _tokens(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else None


def _failed(error: BaseException) -> CallFailed:
    """A closed word for what litellm raised, and a sentence without secrets."""
    status = getattr(error, "status_code", None)
    sentence = redacted(str(error))
    if _never_connected(error):
        return CallFailed(Cause.UNREACHABLE, sentence, sent=False)
    if type(error).__name__ == "Timeout":
        return CallFailed(Cause.TIMEOUT, sentence, sent=True)
    if _TOO_LONG.search(str(error)) and status == 400:
        return CallFailed(Cause.TOO_LONG, sentence, sent=False)
    headers = getattr(error, "litellm_response_headers", None) or {}
    wait = headers.get("retry-after") if isinstance(headers, Mapping) or hasattr(headers, "get") else None
    if isinstance(status, int) and 400 <= status < 500 and status != 408:
        return CallFailed(_CAUSES.get(status, Cause.REFUSED), sentence, sent=False, retry_after=wait)
    cause = Cause.SERVER if isinstance(status, int) else Cause.REFUSED
    return CallFailed(cause, sentence, sent=True, retry_after=wait)


def _never_connected(error: BaseException) -> bool:
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        if type(now).__name__ in {"ConnectError", "ConnectTimeout"}:
            return True
        seen.add(id(now))
        now = now.__cause__ or now.__context__
    return False


def redacted(text: str) -> str:
    """One line without anything that is, or looks like, a secret of this process."""
    for name, value in os.environ.items():
        if len(value) >= 8 and _SECRET_NAME.search(name):
            text = text.replace(value, "(secret)")
    return one_line(_SECRET_SHAPE.sub("(secret)", text))


def _first(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else float(otherwise)
