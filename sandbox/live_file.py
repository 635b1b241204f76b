"""Reads a file in /out while the candidate runs: what was added since the last read, at most a fixed number of bytes.

`PROGRAM` runs in the trusted holder container, which has /out mounted read-only. It waits for a line on its input, continues reading
where it stopped, and answers with the length (four bytes) and the bytes. The candidate may replace, truncate or extend the file at any
time: links are not followed, only a regular file with one name is read, no read waits for a writer, and every read has a limit. After
any error the file is not read again and the container goes on: the file is the candidate's, and can only end its own training.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from docker.errors import DockerException

from sandbox.collect import BrokenStream
from sandbox.exec_stream import Attached

BLOCK_BYTES = 1 << 16
"""Limit of one read."""
MOST_BYTES = 4 << 20
"""Limit of one file."""
_PATIENCE_S = 2.0

PROGRAM = r"""
import os, stat, sys
place, name, most, block = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
at = 0
def more():
    folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        opened = os.fstat(fd)
        if not stat.S_ISREG(opened.st_mode) or opened.st_nlink != 1:
            return b""
        return os.pread(fd, min(block, most - at), at)
    finally:
        os.close(fd)
for _ in sys.stdin.buffer:
    try:
        found = more()
    except OSError:
        found = b""
    at += len(found)
    sys.stdout.buffer.write(len(found).to_bytes(4, "big") + found)
    sys.stdout.buffer.flush()
"""


class LiveFile:
    """The file `name` in the folder `place` of the running container `holder`; `python` is an interpreter there."""

    def __init__(
        self,
        client: Any,
        holder: str,
        *,
        python: str,
        place: str,
        name: str,
        monotonic: Callable[[], float],
    ) -> None:
        self._client, self._holder, self._monotonic = client, holder, monotonic
        self._command = [
            python,
            "-I",
            "-S",
            "-B",
            "-c",
            PROGRAM,
            place,
            name,
            f"{MOST_BYTES}",
            f"{BLOCK_BYTES}",
        ]
        self._reader: Attached | None = None
        self._given_up = False

    def more(self) -> bytes:
        """What was added since the last call, at most BLOCK_BYTES; empty if there is nothing or the file cannot be read. Takes at
        most two seconds once the engine has started the reader."""
        if self._given_up:
            return b""
        try:
            if self._reader is None:
                self._reader = Attached(self._client, self._holder, self._command, self._monotonic)
            deadline = self._monotonic() + _PATIENCE_S
            self._reader.send(b"\n", deadline)
            size = int.from_bytes(self._reader.exactly(4, deadline), "big")
            if size > BLOCK_BYTES:
                raise BrokenStream("the reader announced an impossible size")
            return self._reader.exactly(size, deadline)
        except (DockerException, OSError, BrokenStream):  # requests' errors are OSErrors
            self._given_up = True
            self.close()
            return b""

    def close(self) -> None:
        """End the reader by closing its input."""
        if self._reader is not None:
            with suppress(OSError):
                self._reader.close()
            self._reader = None
