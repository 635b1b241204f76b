"""What is packed in a file: compressed, in an archive, in Parquet pages, or behind the escapes of JSON.

An opener gets the file and yields (what to add to its name, its content) for each thing in it. A part that cannot be read is
left out, and the parts after it are not. Used for files that a candidate can read: what is in them may be anything.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any, cast

Opened = Iterator[tuple[str, IO[bytes]]]
Opener = Callable[[IO[bytes]], Opened]
BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
    NotImplementedError,
    RuntimeError,
    ValueError,  # pyarrow's are such, too
    KeyError,
)
_JSON = (".json", ".jsonl", ".ndjson", ".ipynb")
_TAR_MAGIC = slice(257, 262)


def opener(name: str, head: bytes) -> Opener | None:
    """For a file that begins with `head`; None where there is nothing in it but its bytes."""
    for magic, found in _MAGICS:
        if head.startswith(magic):
            return found
    if head[_TAR_MAGIC] == b"ustar":
        return _tar
    return _json if name.lower().endswith(_JSON) else None


def _gzip(file: IO[bytes]) -> Opened:
    yield "", cast("IO[bytes]", gzip.GzipFile(fileobj=file))


def _bzip2(file: IO[bytes]) -> Opened:
    yield "", cast("IO[bytes]", bz2.BZ2File(file))


def _xz(file: IO[bytes]) -> Opened:
    yield "", cast("IO[bytes]", lzma.open(file))  # noqa: SIM115 (of the copy, which its owner closes)


def _arrow(codec: str) -> Opener:
    def opened(file: IO[bytes]) -> Opened:
        import pyarrow

        yield "", cast("IO[bytes]", pyarrow.CompressedInputStream(pyarrow.PythonFile(file, "r"), codec))

    return opened


def _zip(file: IO[bytes]) -> Opened:
    """Also behind a program that unpacks itself (zipapp, setup.exe)."""
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            del entry.CRC  # else a wrong sum would keep back what was read
            with suppress(*BROKEN), archive.open(entry) as stream:
                yield f"/{entry.filename}", stream


def _tar(file: IO[bytes]) -> Opened:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is not None:
                yield f"/{member.name}", stream


def _ar(file: IO[bytes]) -> Opened:
    """A Debian package, or a library of object files."""
    file.seek(8)
    while len(header := file.read(60)) == 60:
        size, begin = int(header[48:58]), file.tell()
        yield f"/{header[:16].decode('ascii', 'replace').strip(' /')}", cast("IO[bytes]", _Part(file, size))
        file.seek(begin + size + size % 2)


class _Part:
    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        block = self._file.read(min(size, self._left))
        self._left -= len(block)
        return block


def _parquet(file: IO[bytes]) -> Opened:
    """The texts of every column, one below the other, and its numbers in a row."""
    import pyarrow.parquet

    table = pyarrow.parquet.ParquetFile(file)
    for batch in table.iter_batches(batch_size=1024):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for values in _leaves(column):
                yield f"/{name}", io.BytesIO(values)


def _leaves(column: Any) -> Iterator[bytes]:
    import pyarrow

    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        yield from _leaves(column.dictionary_decode())
    elif pyarrow.types.is_struct(kind):
        for part in column.flatten():
            yield from _leaves(part)
    elif pyarrow.types.is_nested(kind):
        yield from _leaves(column.flatten())
    elif pyarrow.types.is_integer(kind):
        yield column.drop_null().to_numpy(zero_copy_only=False).tobytes()
    else:
        values = (value for value in column.to_pylist() if isinstance(value, str | bytes))
        yield b"\n".join(value.encode() if isinstance(value, str) else value for value in values)


def _json(file: IO[bytes]) -> Opened:
    yield "", cast("IO[bytes]", _Unescaped(file))


class _Unescaped:
    """JSON with its strings as they are meant."""

    _ESCAPES = re.compile(rb'(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))+')

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._rest = file, b""

    def read(self, size: int) -> bytes:
        more = self._file.read(size)
        block = self._rest + more
        # no escape holds a blank or a line's end, so none is cut in two there
        end = max(block.rfind(b" "), block.rfind(b"\n")) + 1 if more else 0
        block, self._rest = (block[:end], block[end:]) if end else (block, b"")
        return self._ESCAPES.sub(lambda found: _meant(found[0]), block)


def _meant(escapes: bytes) -> bytes:
    text: str = json.loads(b'"' + escapes + b'"')
    return text.encode("utf-8", "replace")


_MAGICS: tuple[tuple[bytes, Opener], ...] = (
    (b"\x1f\x8b\x08", _gzip),
    (b"BZh", _bzip2),
    (b"\xfd7zXZ\0", _xz),
    (b"\x5d\0\0", _xz),  # the older .lzma
    (b"\x28\xb5\x2f\xfd", _arrow("zstd")),
    (b"\x04\x22\x4d\x18", _arrow("lz4")),
    (b"PK\x03\x04", _zip),
    (b"#!", _zip),
    (b"MZ", _zip),
    (b"!<arch>\n", _ar),
    (b"PAR1", _parquet),
)
