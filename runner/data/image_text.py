"""What a candidate finds in its image: every file, and what is packed in it, as a stream of bytes. Nothing is extracted."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from typing import IO, cast

from runner.data import archives
from runner.data.errors import DataError

Content = tuple[str, Iterator[bytes]]
"""A name, and its content in blocks. It must be read before the next one is asked for."""

_BLOCK = 1 << 20
_HEAD = 512
"""Bytes that say what a file is."""
_DEPTH = 4
MOST_UNPACKED = 8 << 30
"""Bytes that the packed files of an image may hold, all of them together."""


class _Unpacked:
    """Counts what is unpacked, so that a file that unpacks without end is refused."""

    def __init__(self) -> None:
        self.left = MOST_UNPACKED

    def spend(self, name: str, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise DataError(
                f"{name} in the image unpacks to more than can be searched for held-out text; remove it from the image"
            )


def contents(archive: IO[bytes]) -> Iterator[Content]:
    """Of every regular file in a tar stream, at any path, whatever its name: as it is, and unpacked where it begins like
    something packed (runner/data/archives.py). Packed files in packed files are unpacked, too, four deep: a Debian package is
    three. Raises DataError where that never ends."""
    unpacked = _Unpacked()
    with tarfile.open(fileobj=archive, mode="r|") as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isreg() else None
            if stream is not None:
                yield from _content(f"/{member.name.lstrip('./')}", stream, _DEPTH, unpacked)


def _content(name: str, stream: IO[bytes], depth: int, unpacked: _Unpacked) -> Iterator[Content]:
    head = b""
    while len(head) < _HEAD and (block := stream.read(_BLOCK)):
        head += block
    opener = archives.opener(name, head) if depth else None
    if opener is None:
        yield name, _blocks(head, stream)
        return
    with tempfile.TemporaryFile() as copy:
        for block in _blocks(head, stream):
            copy.write(block)
        copy.seek(0)
        yield name, _blocks(b"", cast("IO[bytes]", copy))
        copy.seek(0)
        try:
            for inner, content in opener(cast("IO[bytes]", copy)):
                yield from _content(f"{name}{inner}", _Counted(content, name, unpacked), depth - 1, unpacked)  # type: ignore[arg-type]
        except archives.BROKEN:
            return  # what cannot be unpacked is not what it looks like; its bytes were searched


class _Counted:
    """Ends where it cannot be read on: what came before was searched, and what comes after it in its archive will be."""

    def __init__(self, stream: IO[bytes], name: str, unpacked: _Unpacked) -> None:
        self._stream, self._name, self._unpacked = stream, name, unpacked

    def read(self, size: int) -> bytes:
        # one step of decompressing at a time: a failing step must not discard the blocks before it
        read = getattr(self._stream, "read1", self._stream.read)
        try:
            block: bytes = read(size)
        except archives.BROKEN:
            return b""
        self._unpacked.spend(self._name, len(block))
        return block


def _blocks(head: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    while block := stream.read(_BLOCK):
        yield block
