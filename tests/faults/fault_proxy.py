"""A unix socket in front of the engine's that can be gone, slow, or answer nothing but 500."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

_ERROR = b'{"message":"the disk of the engine is full"}'
_ANSWER = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: " + str(len(_ERROR)).encode() + b"\r\n\r\n" + _ERROR
)


class FaultProxy:
    """`slow_s` is slept before every block that comes from the engine; `broken` answers 500 to new requests."""

    def __init__(self, path: Path, engine: str) -> None:
        self.path, self.engine = path, engine
        self.slow_s, self.broken = 0.0, False
        self.requests = 0
        self._open: list[socket.socket] = []
        self._server: socket.socket | None = None
        self.come_back()

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def come_back(self) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen(64)
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def vanish(self) -> None:
        """The socket is gone, and so is every connection."""
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None
        self.path.unlink(missing_ok=True)
        self.cut()

    def cut(self) -> None:
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def break_down(self, seconds: float) -> None:
        """Every request is answered with 500 for a while."""
        self.broken = True
        self.cut()
        time.sleep(seconds)
        self.broken = False

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        self.requests += 1
        with contextlib.suppress(OSError):
            if self.broken:
                near.recv(1 << 16)
                near.sendall(_ANSWER)
                near.close()
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.engine)
            self._open += [near, far]
            threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()
            self._pump(near, far, False)

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                if answers and self.slow_s:
                    time.sleep(self.slow_s)
                sink.sendall(block)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
