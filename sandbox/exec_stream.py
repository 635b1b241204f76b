"""Run a trusted program inside a running container and read what it prints, with a time limit.

docker-py's own stream has no timeout, and it drops output that arrives together with the HTTP header (it reads the header through a
buffer that it then abandons). So the program waits for its input before it prints anything, and the frames are parsed here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Sequence
from typing import Any

from sandbox.collect import BrokenStream
from sandbox.sanitise import one_line

_STDERR = 2
_KEPT_STDERR = 2000


class Attached:
    """`command`, run as the container's own user, and its three streams. Deadlines are in seconds of `monotonic`. Raises the engine's
    own errors, BrokenStream if the program ends early (with the end of its stderr), TimeoutError after the deadline.

    The framing is the Engine API's: stream number, three zero bytes, length (big-endian uint32), payload.
    """

    def __init__(
        self, client: Any, container: str, command: Sequence[str], monotonic: Callable[[], float]
    ) -> None:
        self._monotonic = monotonic
        self._complaints = b""
        self._frame = (0, 0)
        """Stream number and remaining bytes of the present frame."""
        execution = client.exec_create(container, list(command), stdin=True)["Id"]
        self._attached = client.exec_start(execution, socket=True)
        self._connection = getattr(self._attached, "_sock", self._attached)

    def send(self, block: bytes, deadline: float) -> None:
        """Write to its standard input."""
        self._connection.settimeout(max(deadline - self._monotonic(), 0.1))
        self._connection.sendall(block)

    def block(self, deadline: float, *, at_most: int = 1 << 16) -> bytes:
        """The next bytes of its standard output, at least one."""
        while True:
            stream, length = self._frame
            if not length:
                stream, length = struct.unpack(">BxxxL", self._exactly(8, deadline))
            part = self._exactly(min(length, at_most), deadline) if length else b""
            self._frame = (stream, length - len(part))
            if stream == _STDERR:
                self._complaints = (self._complaints + part)[-_KEPT_STDERR:]
            elif part:
                return part

    def exactly(self, size: int, deadline: float) -> bytes:
        """The next `size` bytes of its standard output."""
        found = b""
        while len(found) < size:
            found += self.block(deadline, at_most=size - len(found))
        return found

    def close(self) -> None:
        self._attached.close()

    def _exactly(self, size: int, deadline: float) -> bytes:
        block = b""
        while len(block) < size:
            left = deadline - self._monotonic()
            if left <= 0:
                raise TimeoutError("the engine took too long to hand over the outputs")
            self._connection.settimeout(left)
            part = self._connection.recv(size - len(block))
            if not part:
                raise BrokenStream(
                    "the collector stopped: " + (one_line(self._complaints) or "it said nothing")
                )
            block += part
        return block


def output_of(
    client: Any,
    container: str,
    command: Sequence[str],
    *,
    stdin: bytes,
    deadline: float,
    monotonic: Callable[[], float],
) -> Generator[bytes, None, None]:
    """Blocks of standard output of `command`. Raises what `Attached` raises."""
    attached = Attached(client, container, command, monotonic)
    try:
        attached.send(stdin, deadline)
        while True:
            yield attached.block(deadline)
    finally:
        attached.close()
