"""What a candidate finds in its image: every file, and what is packed in it, as a stream of bytes. Nothing is extracted."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, cast

from runner.data.errors import DataError

Content = tuple[str, Iterator[bytes]]
"""A name, and its content in blocks. It must be read before the next one is asked for."""

_BLOCK = 1 << 20
_DEPTH = 2
MOST_UNPACKED = 8 << 30
"""Bytes that the packed files of an image may hold, all of them together."""
_BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


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
    gzip, bzip2, xz, Zstandard or zip (a wheel, an .npz). Packed files in packed files are unpacked, too, two deep.
    Raises DataError where that never ends."""
    unpacked = _Unpacked()
    with tarfile.open(fileobj=archive, mode="r|") as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isreg() else None
            if stream is not None:
                yield from _content(f"/{member.name.lstrip('./')}", stream, _DEPTH, unpacked)


def _content(name: str, stream: IO[bytes], depth: int, unpacked: _Unpacked) -> Iterator[Content]:
    head = stream.read(_BLOCK)
    opener = _opener(head) if depth else None
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
        except _BROKEN:
            return  # what cannot be unpacked is not what it looks like; its bytes were searched


class _Counted:
    def __init__(self, stream: IO[bytes], name: str, unpacked: _Unpacked) -> None:
        self._stream, self._name, self._unpacked = stream, name, unpacked

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self._unpacked.spend(self._name, len(block))
        return block


def _blocks(head: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    while block := stream.read(_BLOCK):
        yield block


Opened = Iterator[tuple[str, IO[bytes]]]


def _opener(head: bytes) -> Callable[[IO[bytes]], Opened] | None:
    for magic, opener in (
        (b"\x1f\x8b\x08", _gzip),
        (b"BZh", _bzip2),
        (b"\xfd7zXZ\0", _xz),
        (b"\x28\xb5\x2f\xfd", _zstandard),
        (b"PK\x03\x04", _zip),
    ):
        if head.startswith(magic):
            return opener
    return None


def _gzip(file: IO[bytes]) -> Opened:
    yield "", cast("IO[bytes]", gzip.GzipFile(fileobj=file))


def _bzip2(file: IO[bytes]) -> Opened:
    yield "", cast("IO[bytes]", bz2.BZ2File(file))


def _xz(file: IO[bytes]) -> Opened:
    yield "", cast("IO[bytes]", lzma.open(file))  # noqa: SIM115 (of the copy, which its owner closes)


def _zstandard(file: IO[bytes]) -> Opened:
    import pyarrow

    yield "", cast("IO[bytes]", pyarrow.CompressedInputStream(pyarrow.PythonFile(file, "r"), "zstd"))


def _zip(file: IO[bytes]) -> Opened:
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                with archive.open(entry) as stream:
                    yield f"/{entry.filename}", stream
