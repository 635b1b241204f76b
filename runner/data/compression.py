"""Files as streams of bytes, compressed or not. What a file is, its name says; upper and lower case are the same."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

FORMATS = {
    **dict.fromkeys((".txt", ".text", ".md", ".rst"), "text"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4")
_BLOCK = 1 << 20


class Damaged(Exception):
    """The stream cannot be read to its end."""


def format_of(name: str) -> str | None:
    """The format that a name stands for, without what compresses it; "zip" for an archive of such files."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        inner = FORMATS.get(suffixes[-2]) if len(suffixes) > 1 else None
        return None if inner == "parquet" else inner  # it is read from its end, and compressed already
    if suffixes and suffixes[-1] == ".zip":
        return "zip"
    return FORMATS.get(suffixes[-1]) if suffixes else None


def blocks(path: Path) -> Iterator[bytes]:
    """The content, unpacked, in blocks of about 1 MiB. Raises Damaged."""
    with _AsDamaged(path.name), closing(_opened(path)) as stream:
        while block := stream.read(_BLOCK):
            yield block


def members(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The files of a zip archive with their contents, in the order of their names. Raises Damaged."""
    with _AsDamaged(path.name), zipfile.ZipFile(path) as archive:
        for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
            if not entry.is_dir():
                yield entry.filename, _member(archive, entry)


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    with _AsDamaged(entry.filename), archive.open(entry) as stream:
        while block := stream.read(_BLOCK):
            yield block


def _opened(path: Path) -> IO[bytes]:
    match path.suffix.lower():
        case ".gz":
            return cast("IO[bytes]", gzip.open(path))
        case ".bz2":
            return cast("IO[bytes]", bz2.open(path))
        case ".xz":
            return cast("IO[bytes]", lzma.open(path))
        case ".zst" | ".lz4" as suffix:
            import pyarrow

            return cast(
                "IO[bytes]", pyarrow.input_stream(path, compression={".zst": "zstd"}.get(suffix, "lz4"))
            )
        case _:
            return path.open("rb")


class _AsDamaged:
    """Turns what the libraries raise for damaged content into Damaged."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        kinds = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)
        # RuntimeError is what zipfile raises for an encrypted member
        if isinstance(error, kinds) or type(error) is RuntimeError:
            raise Damaged(self._name) from error
