"""The only HTTP transport litellm is given. It records what was sent.

litellm is given a single httpx client whose transport belongs to the call that is under way on this thread. So it is
known, not guessed from an exception, whether a request's body began to be written; before that the call costs nothing.
The same request is never sent twice within a call (that would be a retry without a reservation), no redirect is followed
(the key would be sent along), the size of an answer and the time of a call are limited, and a request outside a call is
not sent.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpx

MAX_ANSWER = 16 << 20
"""Bytes, after decompression. A long answer of a chat model has a quarter of a megabyte."""
_KEPT_OF_HEADERS = ("location", "retry-after")


class Exchange:
    """What one call sent and what came back. `verify` is httpx's: what to trust; `deadline` in seconds of `monotonic`."""

    def __init__(self, verify: Any, deadline: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._verify, self._deadline, self._monotonic = verify, deadline, monotonic
        self._lock = threading.Lock()
        self._sent = self._ended = False
        self._requested: set[tuple[str, str]] = set()
        self.status: int | None = None
        """Of the last answer; None while there is none."""
        self.trouble = ""
        """What kept the last request from an answer, in httpx's words."""
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        """All responses, in order: litellm may send other requests in addition to the call."""

    @property
    def requested(self) -> bool:
        """Whether litellm came as far as making a request."""
        return bool(self._requested)

    def end(self) -> bool:
        """From now on nothing more is sent. Whether a request's body had begun to be written."""
        with self._lock:
            self._ended = True
            return self._sent

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises httpx's errors, and what httpx raises for a proxy that it cannot use."""
        wanted = (request.method, str(request.url))
        if wanted in self._requested:
            raise httpx.RequestError("the same request is not sent twice within a call", request=request)
        self._requested.add(wanted)
        self.status = None
        try:
            return self._handle(request)
        except Exception as error:
            self.trouble = str(error) or type(error).__name__
            raise

    def _handle(self, request: httpx.Request) -> httpx.Response:
        request.headers["accept-encoding"] = "identity"
        request.extensions = {**request.extensions, "trace": self._on_step}
        client = httpx.Client(
            verify=self._verify, follow_redirects=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        response = client.send(request, stream=True)
        self.status = response.status_code
        self.headers = {n: response.headers[n] for n in _KEPT_OF_HEADERS if n in response.headers}
        headers = [
            (name, value)
            for name, value in response.headers.multi_items()
            if name not in {"content-encoding", "content-length", "transfer-encoding", "set-cookie"}
        ]
        return httpx.Response(
            response.status_code,
            headers=headers,
            stream=_Body(self._chunks(response), client),
            request=request,
        )

    def _on_step(self, name: str, info: dict[str, Any]) -> None:
        """httpcore's trace of a request. A CONNECT that opens a way through a proxy is not the request."""
        head, body = "send_request_headers.started", "send_request_body.started"
        if not name.endswith((head, body)) or info["request"].method == b"CONNECT":
            return
        with self._lock:
            if self._ended:
                raise httpx.WriteTimeout("the call has ended")
            self._sent = self._sent or name.endswith(body)

    def _chunks(self, response: httpx.Response) -> Iterator[bytes]:
        try:
            yield from self._bounded(response)
        except Exception as error:
            self.trouble = str(error) or type(error).__name__
            raise

    def _bounded(self, response: httpx.Response) -> Iterator[bytes]:
        for piece in _decoded(response):
            if len(self.body) + len(piece) > MAX_ANSWER:
                raise httpx.ReadError(
                    f"the answer has more than {MAX_ANSWER >> 20} MB", request=response.request
                )
            if self._monotonic() > self._deadline:
                raise httpx.ReadTimeout("the answer takes too long", request=response.request)
            self.body += piece
            yield piece


class _Body(httpx.SyncByteStream):
    def __init__(self, chunks: Iterator[bytes], client: httpx.Client) -> None:
        self._chunks, self._client = chunks, client

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._client.close()


def _decoded(response: httpx.Response) -> Iterator[bytes]:
    """The body in pieces of bounded size, though a server may compress what it was asked not to."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "", "gzip", "x-gzip", "deflate"}:
        raise httpx.DecodingError(f"the answer is compressed as {encoding[:20]!r}", request=response.request)
    inflate = zlib.decompressobj(wbits=47) if encoding not in {"identity", ""} else None  # 47: gzip or zlib
    for raw in response.iter_raw():
        if inflate is None:
            yield raw
            continue
        left = raw
        while left:
            try:
                piece = inflate.decompress(left, 1 << 16)
            except zlib.error as error:
                raise httpx.DecodingError("the answer is not what it says it is compressed as") from error
            yield piece
            left = inflate.unconsumed_tail


_UNDER_WAY: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


class _Transport(httpx.BaseTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _UNDER_WAY.get()
        if exchange is None:
            raise httpx.ConnectError("no request leaves outside a call", request=request)
        return exchange.handle(request)


CLIENT = httpx.Client(transport=_Transport(), trust_env=False, follow_redirects=False)
"""What litellm is given. Proxies and certificates are looked up anew for every call, by that call."""


@contextmanager
def under_way(exchange: Exchange) -> Iterator[None]:
    """On this thread, requests belong to `exchange`."""
    token = _UNDER_WAY.set(exchange)
    try:
        yield
    finally:
        _UNDER_WAY.reset(token)


def proxies_unusable() -> str:
    """Why no request could be sent with the proxies that the environment names; empty when they can be tried."""
    try:
        httpx.Client(verify=False).close()
    except ImportError:
        return "a SOCKS proxy is named (ALL_PROXY, HTTPS_PROXY) and the package socksio is not installed"
    except Exception:  # httpx says it in several ways, each with the address, which may hold a password
        return "a proxy that is named (ALL_PROXY, HTTPS_PROXY, HTTP_PROXY) has an address that cannot be read"
    return ""
