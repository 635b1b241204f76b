"""Run a trusted program inside a running container and read what it prints, with a time limit.

docker-py's own stream has no timeout, and it drops output that arrives together with the HTTP header (the header is
read through a buffer that is then abandoned). So the program waits for its input before it prints anything, and the frames are taken apart here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Sequence
from typing import Any

from sandbox.collect import BrokenStream
from sandbox.sanitise import one_line

_STDERR = 2
_KEPT_STDERR = 2000


def output_of(
    client: Any,
    container: str,
    command: Sequence[str],
    *,
    stdin: bytes,
    deadline: float,
    monotonic: Callable[[], float],
) -> Generator[bytes, None, None]:
    """Blocks of standard output of `command`, run as the container's own user. `deadline` is in seconds of `monotonic`. Raises BrokenStream when the program
    ends early or with complaints, TimeoutError when time is up, and the engine's own errors.

    The framing is the Engine API's: stream number, three zero bytes, length (big-endian uint32), payload.
    """
    execution = client.exec_create(container, list(command), stdin=True)["Id"]
    attached = client.exec_start(execution, socket=True)
    connection = getattr(attached, "_sock", attached)
    complaints = b""

    def exactly(size: int) -> bytes:
        block = b""
        while len(block) < size:
            left = deadline - monotonic()
            if left <= 0:
                raise TimeoutError("the engine took too long to hand over the outputs")
            connection.settimeout(left)
            part = connection.recv(size - len(block))
            if not part:
                raise BrokenStream("the collector stopped: " + (one_line(complaints) or "it said nothing"))
            block += part
        return block

    try:
        connection.settimeout(max(deadline - monotonic(), 0.1))
        connection.sendall(stdin)
        while True:
            stream, length = struct.unpack(">BxxxL", exactly(8))
            while length:
                block = exactly(min(length, 1 << 16))
                length -= len(block)
                if stream == _STDERR:
                    complaints = (complaints + block)[-_KEPT_STDERR:]
                else:
                    yield block
    finally:
        attached.close()
