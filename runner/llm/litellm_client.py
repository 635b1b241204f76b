"""The only module that imports litellm, and only when a model is called.

litellm is held to one request a call: its retries, callbacks, telemetry and downloads are off, and what it sends goes
through runner.llm.transport, so that what is sent is what was reserved in the ledger, and is known to have been sent.
litellm's timeout counts between bytes; here a call has a deadline as a whole.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runner.llm import prices, usage
from runner.llm.messages import PLAIN, CallFailed, Cause, Completion, Message, Request, Usage
from runner.llm.prices import Price, UnknownPrice
from runner.llm.redaction import redacted

if TYPE_CHECKING:
    from runner.llm.transport import Exchange

_CAUSES = {
    401: Cause.KEY,
    403: Cause.KEY,
    402: Cause.MONEY,
    404: Cause.NO_MODEL,
    408: Cause.TIMEOUT,
    429: Cause.BUSY,
}
_TOO_LONG = re.compile(r"context.{0,20}(length|window)|too many tokens|prompt is too long", re.IGNORECASE)
_NO_KEY_YET = re.compile(
    r"(^|[-_ <])your([-_ >]|$)|placeholder|change[-_ ]?me|x{6,}|\.\.\.|[<>\s]|^(none|key|todo|test)$",
    re.IGNORECASE,
)
_CACHED_FOR_AN_HOUR = {"type": "ephemeral", "ttl": "1h"}
"""Anthropic's default of five minutes is just over when an experiment of five minutes is."""
_OLLAMA = {"ollama", "ollama_chat"}
_OLLAMA_STEP = 4096
"""Ollama loads a model anew when its window changes, so the window grows in steps."""


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
    from litellm.llms.custom_httpx.http_handler import HTTPHandler

    from runner.llm.transport import CLIENT

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.disable_hf_tokenizer_download = True  # counting tokens must not wait for a hub
    litellm.num_retries = 0
    litellm.client_session = CLIENT  # what the OpenAI library sends with
    litellm.module_level_client.client = CLIENT
    HTTPHandler.create_client = lambda _: CLIENT  # and everything else
    for name in ("callbacks", "success_callback", "failure_callback", "input_callback"):
        setattr(litellm, name, [])
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


class LitellmClient:
    """See `runner.llm.messages.Client`. `api_base` is where models of the same provider as `model` are asked; a
    stand-in from elsewhere is asked at home, or its key would go to a stranger. Keys come from the environment."""

    def __init__(self, api_base: str = "", model: str = "") -> None:
        self._api_base, self._provider = api_base, model.partition("/")[0]
        self._ollama_window = 0
        self._unseen: set[str] = set()  # providers that litellm reaches by other ways than our transport

    def _base(self, model: str) -> str:
        return self._api_base if model.partition("/")[0] == self._provider else ""

    def price(self, model: str) -> Price:
        """From litellm's own table, for exactly this model. Raises UnknownPrice."""
        try:
            bare, provider = _routed(model)
        except Exception as error:
            raise UnknownPrice("litellm does not know its provider") from error
        return prices.price_in(_litellm().model_cost, model, provider, bare)

    def count(self, model: str, messages: Sequence[Message]) -> int:
        """Tokens of the prompt, by the model's tokenizer where litellm carries it, else by a close relative."""
        return int(_litellm().token_counter(model=model, messages=_chat(messages, marked=False)))

    def max_output(self, model: str) -> int | None:
        """The most tokens the model can answer with, if litellm's table says."""
        return self._listed(model, "max_output_tokens")

    def context_window(self, model: str) -> int | None:
        """The most tokens the model can read, if litellm's table says."""
        return self._listed(model, "max_input_tokens")

    def _listed(self, model: str, name: str) -> int | None:
        try:
            bare, provider = _routed(model)
        except Exception:
            return None
        return prices.listed(_litellm().model_cost, model, provider, bare, name)

    def missing_keys(self, model: str) -> Sequence[str]:
        """Environment variables the provider needs and that are not set, or hold what is plainly no key."""
        if self._base(model):
            return ()
        try:
            found = _litellm().validate_environment(model=model)
            _, provider = _routed(model)
        except Exception:
            return ()
        if not found.get("keys_in_environment"):
            return tuple(found.get("missing_keys") or ())
        name = f"{provider.upper()}_API_KEY"
        return (f"a real {name}",) if _NO_KEY_YET.search(os.environ.get(name, "").strip()) else ()

    def unknown_provider(self, model: str) -> str:
        """Why litellm cannot tell whom to ask for `model`; empty when it can."""
        try:
            _routed(model)
        except Exception:
            providers = sorted({str(getattr(p, "value", p)) for p in _litellm().provider_list})
            near = difflib.get_close_matches(model.partition("/")[0], providers, 3)
            like = f"; do you mean {' or '.join(near)}?" if near else ""
            return f"litellm knows no provider for {model!r}, which is named as provider/name{like}"
        return ""

    def unusable_proxy(self) -> str:
        """Why nothing can be sent with the proxies that the environment names; empty when they may do."""
        from runner.llm.transport import proxies_unusable

        return proxies_unusable()

    def complete(
        self,
        model: str,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        timeout_s: float,
        request: Request = PLAIN,
    ) -> Completion:
        """One request. Raises CallFailed."""
        litellm = _litellm()
        from runner.llm.transport import Exchange, under_way

        exchange = Exchange(
            litellm.llms.custom_httpx.http_handler.get_ssl_configuration(), time.monotonic() + timeout_s
        )
        box: list[Any] = []

        def ask() -> None:
            try:
                with under_way(exchange):
                    answer = self._ask(litellm, model, messages, max_tokens, timeout_s, request)
                    box.append(_in_pieces(litellm, answer, exchange) if request.stream else answer)
            except BaseException as error:
                box.append(error)

        thread = threading.Thread(target=ask, name="llm-call", daemon=True)
        thread.start()
        thread.join(timeout_s + 1.0)
        sent = exchange.end()
        if not box:  # a server that sends a byte now and then resets every timeout but this one
            raise CallFailed(Cause.TIMEOUT, f"no answer within {timeout_s:g} s", sent=sent)
        provider = model.partition("/")[0]
        if isinstance(box[0], BaseException):
            unseen = provider in self._unseen and not exchange.requested
            raise _failed(box[0], exchange, sent=sent or unseen) from None  # the original holds the key
        if not exchange.requested:
            self._unseen.add(provider)
        return _completion(box[0], said=usage.was_said(bytes(exchange.body)))

    def _ask(
        self,
        litellm: Any,
        model: str,
        messages: Sequence[Message],
        max_tokens: int,
        timeout_s: float,
        request: Request,
    ) -> Any:
        base = self._base(model)
        _, provider = _routed(model)
        extra: dict[str, Any] = {"api_base": base} if base else {}
        if base and model.startswith("openai/") and not os.environ.get("OPENAI_API_KEY"):
            extra["api_key"] = "none"  # a server of one's own asks for none, the client library does
        if provider in _OLLAMA:  # it cuts what does not fit into its window, and says nothing
            needed = self.count(model, messages) * 3 // 2 + max_tokens
            self._ollama_window = max(self._ollama_window, -(-needed // _OLLAMA_STEP) * _OLLAMA_STEP)
            extra["num_ctx"] = self._ollama_window
        if request.stream:
            extra["stream_options"] = {"include_usage": True}
        return litellm.completion(
            model=model,
            messages=_chat(messages, marked=_marks_cache(litellm, model), system=not request.no_system),
            timeout=timeout_s,
            num_retries=0,
            max_retries=0,
            stream=request.stream,
            **{"max_completion_tokens" if request.completion_name else "max_tokens": max_tokens},
            **extra,
        )


def _routed(model: str) -> tuple[str, str]:
    """The model's name at its provider, and the provider, as litellm would call them. Raises what litellm does."""
    bare, provider, _, _ = _litellm().get_llm_provider(model)
    return str(bare), str(provider)


def _chat(messages: Sequence[Message], *, marked: bool, system: bool = True) -> list[dict[str, Any]]:
    """The chat format, with neighbours of one role joined: some chat templates insist on turns."""
    chat: list[dict[str, Any]] = []
    for message in messages:
        role = message.role if system or message.role != "system" else "user"
        part: dict[str, Any] = {"type": "text", "text": message.text}
        if message.stable:
            part["cache_control"] = _CACHED_FOR_AN_HOUR
        if chat and chat[-1]["role"] == role:
            chat[-1]["content"].append(part)
        else:
            chat.append({"role": role, "content": [part]})
    if not marked:
        for turn in chat:
            turn["content"] = "\n\n".join(part["text"] for part in turn["content"])
    return chat


def _marks_cache(litellm: Any, model: str) -> bool:
    """Whether the provider wants to be told what to cache; the others find out by themselves."""
    try:
        return _routed(model)[1] == "anthropic" and bool(litellm.utils.supports_prompt_caching(model=model))
    except Exception:
        return False


def _in_pieces(litellm: Any, answer: Any, exchange: Exchange) -> Any:
    """A streamed answer as one; some servers send the whole though they insisted on pieces."""
    pieces = list(answer)
    whole = bytes(exchange.body).strip()
    if whole.startswith(b"{"):
        return litellm.ModelResponse(**json.loads(whole))
    return litellm.stream_chunk_builder(pieces)


def _completion(answer: Any, *, said: bool) -> Completion:
    """`said`: the provider gave a count of tokens; without one litellm's is an estimate."""
    choices = getattr(answer, "choices", None) or []
    text, finish = "", "empty"
    if choices:
        message = choices[0].message
        text = message.content or ""  # never what it thought: it may have thought better of it
        finish = str(choices[0].finish_reason or "")
        refusal = (getattr(message, "provider_specific_fields", None) or {}).get("refusal")
        if refusal and not message.content:
            finish = "content_filter"
    counted = usage.usage_from(getattr(answer, "usage", None), answered=bool(text)) if said else None
    return Completion(text=str(text), finish=finish, usage=_tiered(counted, answer))


def _tiered(usage: Usage | None, answer: Any) -> Usage | None:
    return (
        replace(usage, priority=True)
        if usage and getattr(answer, "service_tier", None) == "priority"
        else usage
    )


def _failed(error: BaseException, exchange: Exchange, *, sent: bool) -> CallFailed:
    """A closed word for what went wrong, and a sentence without secrets. What the transport saw decides, and litellm's
    exception where the transport saw no answer."""
    status, sentence = exchange.status, redacted(exchange.trouble or str(error))
    wait = exchange.headers.get("retry-after")
    if status is None:
        late = type(error).__name__ == "Timeout" and sent
        missed = Cause.TIMEOUT if late else Cause.SERVER
        unsent = Cause.UNREACHABLE if exchange.requested else Cause.REFUSED
        return CallFailed(missed if sent else unsent, sentence, sent=sent)
    said = redacted(exchange.body[:4000].decode(errors="replace") or str(error), max_chars=2000)
    if 300 <= status < 400:
        where = redacted(exchange.headers.get("location", "elsewhere"))
        sentence = (
            f"it answers {status}: go to {where}; redirects are not followed, because the key would go along"
        )
        return CallFailed(Cause.REFUSED, sentence, sent=False)
    if 400 <= status < 500 and status != 408:
        cause = (
            Cause.TOO_LONG if status == 400 and _TOO_LONG.search(said) else _CAUSES.get(status, Cause.REFUSED)
        )
        return CallFailed(cause, sentence, sent=False, retry_after=wait, refusal=said)
    cause = Cause.TIMEOUT if type(error).__name__ == "Timeout" or status == 408 else Cause.SERVER
    return CallFailed(cause, sentence, sent=True, retry_after=wait)
