"""The runner's side of the parser: one request at a time to a child that is started when needed and after every death.

While it waits, the runner's thread sleeps in `recv`: signals are answered, other threads run. Only limits that are the
child's own can be passed by a text; when even the child's server does not answer, it is killed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from runner.errors import PrerequisiteMissing
from runner.parsing import facts as known
from runner.parsing.facts import Answer, BadAnswer, BadEdit, Cause, Facts, Malformed, Rejection, Unreadable
from runner.protocols import Edit

_CHILD = Path(__file__).with_name("worker.py")
_MAX_REQUEST, _MAX_REPLY = 8 << 20, 8 << 20
_WALL_S = 45.0
"""Of one reply; the child ends a reading after 30 s itself."""
_REMEMBERED = 256
_STARTS, _PAUSE_S = 4, 0.5
_CAUSES = {
    b"c": Cause.CPU, b"w": Cause.WALL, b"m": Cause.MEMORY, b"d": Cause.DIED, b"l": Cause.TOO_LONG,
}  # fmt: skip
_NO_FORK = b"f"
MAX_DIFF_CHARS = 1_000_000


class Parser:
    """Facts about texts. Every method may be called from any thread, and waits for the others. A signal handler that raises
    ends a reading; the child is then killed. Raises PrerequisiteMissing where no process can be started."""

    def __init__(self, *, wall_s: float = _WALL_S, child: Path = _CHILD) -> None:
        self._wall_s, self._child, self._lock = wall_s, child, threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._facts: OrderedDict[str, Facts] = OrderedDict()

    def facts(self, text: str) -> Facts:
        """What a script is. A text that cannot be read is `Rejection.UNREADABLE`."""
        if len(text) > known.MAX_SOURCE_BYTES:
            return Facts(
                Rejection.TOO_LARGE, f"{len(text)} characters; at most {known.MAX_SOURCE_BYTES} bytes"
            )
        key = hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()
        if (found := self._facts.get(key)) is None:
            try:
                found = known.facts_of(self._ask("facts", text))
            except Unreadable as error:
                found = Facts(Rejection.UNREADABLE, str(error))
            except Malformed:
                found = Facts(Rejection.UNREADABLE, str(Cause.GARBAGE))
            self._facts[key] = found
            while len(self._facts) > _REMEMBERED:
                with contextlib.suppress(KeyError):  # another thread was quicker
                    self._facts.popitem(last=False)
        return found

    def answer(self, text: str, parent: str) -> Answer:
        """The proposal in a model's answer about the script `parent`. Raises BadAnswer."""
        if len(text) > known.MAX_ANSWER_CHARS:
            raise BadAnswer(
                f"the answer is longer than {known.MAX_ANSWER_CHARS} characters", repairable=False
            )
        try:
            return known.answer_of(self._ask("answer", text, parent=parent))
        except Unreadable as error:
            raise BadAnswer(f"the answer cannot be read: {error}", repairable=False) from error
        except Malformed as error:
            raise BadAnswer(f"the answer cannot be read: {Cause.GARBAGE}", repairable=False) from error

    def edited(self, source: str, edits: Sequence[Edit]) -> str:
        """`source` with every block applied. Raises BadEdit."""
        pairs = [[edit.search, edit.replace] for edit in edits]
        return self._source("edits", source, edits=pairs)

    def reverted(self, best: str, after: str, before: str) -> str:
        """`best` with the change from `before` to `after` undone. Raises BadEdit when that cannot be done."""
        return self._source("reverted", best, after=after, before=before)

    def difference(self, before: str, after: str, names: tuple[str, str], context_lines: int = 3) -> str:
        """A unified diff; in its place one line that says so where the two are too large to be compared."""
        try:
            reply = self._ask("difference", before, after=after, names=names, context_lines=context_lines)
            return known.text_of(reply, MAX_DIFF_CHARS)
        except Unreadable as error:
            return f"(the difference cannot be shown: {error})"
        except Malformed:
            return f"(the difference cannot be shown: {Cause.TOO_LONG})"

    def signatures(self, text: str) -> str:
        """A module's docstring, and of its public functions the signatures and docstrings. Raises Unreadable."""
        return known.text_of(self._ask("signatures", text), MAX_DIFF_CHARS)

    def close(self) -> None:
        """End the child; the next request starts another."""
        with self._lock:
            self._kill()

    def _source(self, what: str, text: str, **fields: object) -> str:
        try:
            return known.source_of(self._ask(what, text, **fields))
        except Unreadable as error:
            raise BadEdit(f"the edits cannot be read: {error}") from error
        except Malformed as error:
            raise BadEdit(f"the edits cannot be read: {Cause.GARBAGE}") from error

    def _ask(self, what: str, text: str, **fields: object) -> object:
        """The reply to one request, as JSON values that nobody has looked at yet. Raises Unreadable."""
        said = json.dumps({"read": what, "text": text, **fields}, ensure_ascii=False)
        request = said.encode("utf-8", errors="surrogatepass")
        if len(request) > _MAX_REQUEST:
            raise Unreadable(Cause.TOO_LONG)
        for attempt in range(_STARTS):
            with self._lock:
                became, reply = self._exchange(request)
            if became == b"k":
                try:
                    return json.loads(reply)
                except (ValueError, RecursionError) as error:
                    raise Unreadable(Cause.GARBAGE) from error
            if became != _NO_FORK:
                raise Unreadable(_CAUSES.get(became, Cause.GARBAGE))
            time.sleep(_PAUSE_S * attempt)
        raise PrerequisiteMissing(
            "no process can be started to read a script; look at memory and process limits"
        )

    def _exchange(self, request: bytes) -> tuple[bytes, bytes]:
        """One byte for what became of the reading, and the reply."""
        try:
            connection = self._started()
        except OSError:
            return _NO_FORK, b""
        try:
            deadline = time.monotonic() + self._wall_s
            connection.settimeout(self._wall_s)
            connection.sendall(struct.pack("!I", len(request)) + request)
            length = struct.unpack("!I", _exactly(connection, 4, deadline))[0]
            if not 1 <= length <= _MAX_REPLY + 1:
                raise ConnectionError
            reply = _exactly(connection, length, deadline)
        except TimeoutError:
            self._kill()
            return b"w", b""
        except OSError:
            self._kill()
            return b"d", b""
        except BaseException:  # a signal: what the child says next is the reply to nobody
            self._kill()
            raise
        return reply[:1], reply[1:]

    def _started(self) -> socket.socket:
        if self._socket is None or self._process is None or self._process.poll() is not None:
            self._kill()
            ours, theirs = socket.socketpair()
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-B", str(self._child)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={},
                    cwd="/",
                    start_new_session=True,  # Ctrl-C in the terminal is the runner's affair
                )
            except BaseException:
                ours.close()
                raise
            finally:
                theirs.close()
            self._socket = ours
        return self._socket

    def _kill(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()  # a fork of it that is still at work dies with it
            self._process.wait()
        self._process = self._socket = None


@functools.cache
def shared() -> Parser:
    """The one of this process, for whoever was not given another. Starts nothing before its first text."""
    return Parser()


def _exactly(connection: socket.socket, length: int, deadline: float) -> bytes:
    """Raises TimeoutError, ConnectionError."""
    parts = bytearray()
    while len(parts) < length:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        part = connection.recv(min(length - len(parts), 1 << 20))
        if not part:
            raise ConnectionError
        parts += part
    return bytes(parts)
