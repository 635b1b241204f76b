"""What was never sent costs nothing, what was sent may: seen on the wire, through the real litellm."""

from __future__ import annotations

import gzip
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runner.llm.litellm_client import LitellmClient
from runner.llm.messages import CallFailed, Cause, Completion, Message, Request, Usage
from tests.llm.provider import Error, Raw, Say, Silence, serving

KEY = "sk-canary-5f2d0c9e7b1a4863"
SAID = [Message("system", "be brief"), Message("user", "hello " * 50)]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    for name in (
        "OPENAI",
        "ANTHROPIC",
        "GEMINI",
        "AZURE",
        "OPENROUTER",
        "MISTRAL",
        "GROQ",
        "COHERE",
        "FIREWORKS",
    ):
        monkeypatch.setenv(f"{name}_API_KEY", KEY)
    monkeypatch.setenv("AZURE_API_VERSION", "2024-06-01")


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:  # bound and not listening: nobody else gets it, and it refuses
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def ask(
    base: str, model: str = "openai/m", *, timeout_s: float = 20.0, request: Request | None = None
) -> Completion:
    return LitellmClient(base, model).complete(
        model, SAID, max_tokens=300, timeout_s=timeout_s, request=request or Request()
    )


def failing(base: str, model: str = "openai/m", *, timeout_s: float = 20.0) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        ask(base, model, timeout_s=timeout_s)
    assert KEY not in str(caught.value) + caught.value.refusal
    return caught.value


@pytest.mark.parametrize(
    "model",
    ["openai/m", "anthropic/m", "gemini/m", "azure/m", "openrouter/a/m", "mistral/m", "groq/m", "cohere/m",
     "fireworks_ai/m", "ollama/m", "ollama_chat/m", "hosted_vllm/m"],
)  # fmt: skip
def test_every_kind_of_provider_is_reached_through_our_transport(model: str, closed_port: int) -> None:
    failed = failing(f"http://127.0.0.1:{closed_port}", model)
    assert (failed.cause, failed.sent) == (Cause.UNREACHABLE, False), (
        "a request was made, and nothing was written"
    )


def test_a_proxy_that_cannot_be_used_is_said_before_the_night_and_costs_nothing(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks5://user:{KEY}@127.0.0.1:{closed_port}")
    assert "socksio" in LitellmClient().unusable_proxy()
    failed = failing("http://127.0.0.2:1/v1")
    assert not failed.sent
    assert "socksio" in failed.sentence


@pytest.mark.parametrize(
    ("key", "real"),
    [("sk-your-key-here", False), ("<key>", False), ("changeme", False), ("sk-xxxxxxxx", False), (KEY, True)],
)
def test_what_is_plainly_no_key_is_said_before_the_night(
    key: str, real: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert (LitellmClient().missing_keys("openai/gpt-5") == ()) == real


@pytest.mark.parametrize("proxy", ["htp://127.0.0.1:1", "http://127.0.0.1:port"])
def test_a_proxy_whose_address_is_none_is_said_before_the_night(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    assert "cannot be read" in LitellmClient().unusable_proxy()
    assert not failing("http://127.0.0.2:1/v1").sent


def test_a_name_that_is_not_found_and_a_server_without_tls_cost_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving([Say("ok")]) as provider:
        failed = failing(provider.base.replace("http://", "https://"))
        assert (failed.cause, failed.sent, provider.requests) == (Cause.UNREACHABLE, False, [])

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert not failing("http://nowhere.invalid/v1").sent


def test_a_tunnel_that_the_proxy_refuses_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxying() as (address, connected):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        failed = failing("https://api.invalid/v1")
    assert connected == ["api.invalid:443"]
    assert (failed.cause, failed.sent) == (Cause.UNREACHABLE, False)


def test_a_key_with_a_line_end_and_a_request_that_litellm_will_not_make_cost_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving([Say("ok")]) as provider:
        assert not failing(provider.base, "nobody/m").sent
        monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
        assert not failing(provider.base).sent
        assert provider.requests == []


@pytest.mark.parametrize(
    ("step", "cause"),
    [
        (Silence(5), Cause.TIMEOUT),
        (Silence(5, drip=True), Cause.TIMEOUT),
        (Raw(lambda: iter([b""])), Cause.SERVER),
        (Raw(lambda: iter([b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"])), Cause.SERVER),
        (Error(200, body="<html>"), Cause.SERVER),
        (Error(502), Cause.SERVER),
    ],
)
def test_what_was_sent_and_not_answered_may_cost(step: Silence | Raw | Error, cause: Cause) -> None:
    with serving([step]) as provider:
        failed = failing(provider.base, timeout_s=1.0)
        assert (failed.cause, failed.sent) == (cause, True)
        assert len(provider.requests) == 1, "whatever litellm and its libraries would try again"


def test_what_the_provider_turned_away_costs_nothing() -> None:
    for status in (400, 429):
        with serving([Error(status)]) as provider:
            assert not failing(provider.base).sent
            assert len(provider.requests) == 1


def test_a_call_that_has_ended_sends_nothing_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its money was given back: a name server that answers late must not let the request out."""
    late, original = threading.Event(), socket.getaddrinfo

    def slow(*words: object, **options: object) -> object:
        late.wait(10)
        return original(*words, **options)  # type: ignore[arg-type]

    with serving([Say("ok")]) as provider:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        assert not failing(provider.base, timeout_s=0.2).sent
        late.set()
        for thread in threading.enumerate():
            if thread.name == "llm-call":
                thread.join(10)
        assert provider.requests == []


def test_no_redirect_is_followed_and_the_sentence_says_where_it_went() -> None:
    with serving([Say("ok")]) as thief, serving([Error(307, {"Location": thief.base})]) as provider:
        failed = failing(provider.base)
        assert thief.requests == []
    assert not failed.sent
    assert "redirects are not followed" in failed.sentence
    assert thief.base in failed.sentence


def _endless() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    while True:
        yield b" " * 65536


def _bomb() -> Iterator[bytes]:
    body = gzip.compress(b" " * (64 << 20))
    yield b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    yield body


@pytest.mark.parametrize("pieces", [_endless, _bomb])
def test_an_answer_without_end_is_given_up(pieces: object) -> None:
    with serving([Raw(pieces)]) as provider:  # type: ignore[arg-type]
        failed = failing(provider.base)
    assert failed.sent
    assert "more than 16 MB" in failed.sentence


def test_a_streamed_answer_is_put_together_and_its_count_is_the_providers() -> None:
    with serving([Say("one two three"), Say("no count", usage=False)]) as provider:
        found = ask(provider.base, request=Request(stream=True))
        assert (found.text, found.finish) == ("one two three", "stop")
        assert found.usage is not None
        assert (found.usage.prompt, found.usage.completion) == provider.billed[0]
        assert ask(provider.base, request=Request(stream=True)).usage is None


def test_ollama_is_told_of_a_window_that_prompt_and_answer_fit_into() -> None:
    body = (
        b'{"model": "m", "created_at": "2025-01-01T00:00:00Z", "message": {"role": "assistant", "content": "ok"}, '
        b'"done": true, "prompt_eval_count": 6000, "eval_count": 2}'
    )
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    long = [Message("user", "word " * 6000)]
    with serving([Raw(lambda: iter([head + body]))]) as provider:
        client = LitellmClient(provider.base.removesuffix("/v1"), "ollama_chat/m")
        found = client.complete("ollama_chat/m", long, max_tokens=3000, timeout_s=20)
        options = provider.requests[0]["options"]
    assert (found.text, found.usage) == ("ok", Usage(6000, 2))
    assert options["num_predict"] == 3000
    assert 9000 <= options["num_ctx"] < 20_000


def test_nothing_leaves_outside_a_call() -> None:
    import httpx

    from runner.llm.transport import CLIENT

    with serving([Say("ok")]) as provider, pytest.raises(httpx.ConnectError):
        CLIENT.post(provider.base, json={"messages": []})
    assert provider.requests == []


class proxying:
    """A proxy that refuses every tunnel: (its address, what it was asked for)."""

    def __enter__(self) -> tuple[str, list[str]]:
        connected: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                connected.append(self.path)
                self.send_error(403)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{self._server.server_port}", connected

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
