"""A provider on the loopback: it speaks the OpenAI chat-completions protocol, follows a script, and counts what it did."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

IN, OUT = 2.0, 8.0
"""Dollars per million tokens."""


@dataclass(frozen=True)
class Say:
    """An answer. `before` runs when the request is there (the provider has begun to work, and charges)."""

    text: str | None = ""
    finish: str = "stop"
    completion_tokens: int = 50
    cached: int = 0
    written: int = 0
    usage: bool = True
    before: Callable[[], None] | None = None
    reasoning: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, Any] | None = None
    """The usage as it is to be sent, in place of what was counted."""


@dataclass(frozen=True)
class Unless:
    """A 400 with this sentence, unless the request is put as it wants it."""

    wanted: Callable[[dict[str, Any]], bool]
    sentence: str
    then: Step


@dataclass(frozen=True)
class Raw:
    """Bytes in place of an HTTP answer, then the end of the connection."""

    pieces: Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Error:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"error": {"message": "no", "type": "x"}}'


@dataclass(frozen=True)
class Silence:
    """Longer than anyone waits, or a byte now and then. The provider works, and charges."""

    seconds: float
    drip: bool = False


Step = Say | Error | Silence | Unless | Raw


class Provider:
    """`requests` and `headers` hold what came in; `billed` the tokens (prompt, completion) of everything it worked on."""

    def __init__(self, script: Sequence[Step]) -> None:
        self.script = list(script)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.billed: list[tuple[int, int]] = []
        self.base = ""
        self._lock = threading.Lock()

    @property
    def usd(self) -> float:
        return sum(p * IN + c * OUT for p, c in self.billed) / 1e6

    @property
    def tokens(self) -> int:
        return sum(p + c for p, c in self.billed)

    def prompts(self) -> list[str]:
        """Each request's messages as one text."""
        return ["\n\n".join(m["content"] for m in request["messages"]) for request in self.requests]

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        sent = handler.rfile.read(int(handler.headers["content-length"]))
        body = json.loads(sent) if sent.startswith(b"{") else {}
        with self._lock:
            step = self.script[min(len(self.requests), len(self.script) - 1)]
            while isinstance(step, Unless):
                refusal = json.dumps({"error": {"message": step.sentence, "type": "invalid_request_error"}})
                step = step.then if step.wanted(body) else Error(400, body=refusal)
            self.requests.append(body)
            self.headers.append(dict(handler.headers))
            prompt = len(json.dumps(body.get("messages"))) // 4
            if isinstance(step, Say | Silence):
                self.billed.append((prompt, step.completion_tokens if isinstance(step, Say) else 50))
        if isinstance(step, Silence):
            _stall(handler, step)
            return
        if isinstance(step, Raw):
            with suppress(OSError):
                for piece in step.pieces():
                    handler.wfile.write(piece)
            handler.close_connection = True
            return
        if isinstance(step, Error):
            _send(handler, step.status, step.body.encode(), step.headers)
            return
        if step.before is not None:
            step.before()
        message = {"role": "assistant", "content": step.text, **step.extra}
        if step.reasoning is not None:
            message["reasoning_content"] = step.reasoning
        if handler.path.endswith("/messages"):
            _send(handler, 200, json.dumps(_anthropic(body, step, prompt)).encode(), {})
            return
        answer: dict[str, Any] = {
            "id": "1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{"index": 0, "finish_reason": step.finish, "message": message}],
        }  # fmt: skip
        if step.usage:
            answer["usage"] = {
                "prompt_tokens": prompt, "completion_tokens": step.completion_tokens,
                "total_tokens": prompt + step.completion_tokens,
                "prompt_tokens_details": {"cached_tokens": step.cached},
            }  # fmt: skip
        if step.counts is not None:
            answer["usage"] = step.counts
        if body.get("stream"):
            _send(handler, 200, _pieces(answer), {"content-type": "text/event-stream"})
            return
        _send(handler, 200, json.dumps(answer).encode(), {})


def _pieces(answer: dict[str, Any]) -> bytes:
    """The same as server-sent events: the text in two, the counts last."""
    head = {**answer, "object": "chat.completion.chunk", "usage": None}
    text, finish = answer["choices"][0]["message"]["content"] or "", answer["choices"][0]["finish_reason"]
    halves = (text[: len(text) // 2], text[len(text) // 2 :])
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": half}}]}
        for half in halves
    ]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if answer.get("usage") is not None:
        chunks.append({**head, "choices": [], "usage": answer["usage"]})
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return ("".join(lines) + "data: [DONE]\n\n").encode()


def _anthropic(body: dict[str, Any], step: Say, prompt: int) -> dict[str, Any]:
    """The same in Anthropic's messages protocol, where cached tokens are not part of the input tokens."""
    usage = {
        "input_tokens": prompt - step.cached - step.written, "output_tokens": step.completion_tokens,
        "cache_read_input_tokens": step.cached, "cache_creation_input_tokens": step.written,
    }  # fmt: skip
    return {
        "id": "1", "type": "message", "role": "assistant", "model": body["model"], "stop_reason": "end_turn",
        "content": [{"type": "text", "text": step.text}], "usage": usage,
    }  # fmt: skip


def _stall(handler: BaseHTTPRequestHandler, step: Silence) -> None:
    end = time.monotonic() + step.seconds
    try:
        if step.drip:
            handler.send_response(200)
            handler.send_header("content-length", "100000")
            handler.end_headers()
        while time.monotonic() < end:
            time.sleep(0.1)
            if step.drip:
                handler.wfile.write(b" ")
                handler.wfile.flush()
    except OSError:
        pass  # the other side has given up
    handler.close_connection = True


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    try:
        handler.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
    except OSError:
        pass


@contextmanager
def serving(script: Sequence[Step]) -> Iterator[Provider]:
    provider = Provider(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            provider.handle(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.base = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        # seen once on an overloaded machine: shutdown() waited for ever; a test's end must not
        stopping = threading.Thread(target=server.shutdown, daemon=True)
        stopping.start()
        stopping.join(10)
        server.server_close()


def edit(search: str, replace: str, *, title: str = "an idea", notes: str = "") -> Say:
    """A good answer with one block."""
    block = f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"
    header = f"TITLE: {title}\nHYPOTHESIS: it helps\nCATEGORY: optimizer\nEXPECTED_GAIN: 0.01\nRISK: low\n\n"
    return Say(header + block + (f"\nNOTES:\n{notes}\n" if notes else ""))
