"""Documents from where they lie: wheels, .txt, .jsonl and .parquet. Order is deterministic; text is never executed."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.data.errors import DataError

_SUFFIXES = (".txt", ".jsonl", ".parquet")
_MIN_SOURCE_BYTES = 64
_PIECE_BYTES = 4096
_LARGE_TEXT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Corpus:
    """`documents` yields texts. `ordered` says that neighbours belong together (one long text), so that splits must be
    cut in order instead of at random. `sources` maps what was read to its SHA-256 (hex)."""

    name: str
    documents: Callable[[], Iterator[str]]
    sources: dict[str, str]
    ordered: bool = False


def wheels(folder: Path) -> Corpus:
    """The Python sources inside a wheelhouse: the same text on every machine, because the wheels are pinned."""
    paths = sorted(folder.glob("*.whl"))
    if not paths:
        raise DataError(f"there are no wheels in {folder}; run `autoresearch build` first")

    def documents() -> Iterator[str]:
        for path in paths:
            with zipfile.ZipFile(path) as archive:
                for name in sorted(archive.namelist()):
                    if name.endswith(".py") and (text := _utf8(archive.read(name))):
                        yield text

    return Corpus("default", documents, {path.name: _sha256(path) for path in paths})


def local(path: Path) -> Corpus:
    """A .txt, .jsonl or .parquet file, or a folder of them. Raises DataError."""
    if not path.exists():
        raise DataError(
            f"there is nothing at {path}; give a .txt, .jsonl or .parquet file, or a folder of them"
        )
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
        if not files:
            raise DataError(f"the folder {path} holds no .txt, .jsonl or .parquet file")
    elif path.suffix in _SUFFIXES:
        files = [path]
    else:
        raise DataError(f"{path.name} is not .txt, .jsonl or .parquet; convert it to one of these")
    single = len(files) == 1 and files[0].suffix == ".txt"

    def documents() -> Iterator[str]:
        for file in files:
            yield from _read(file, cut=single)

    root = path if path.is_dir() else path.parent
    return Corpus(path.stem, documents, {str(f.relative_to(root)): _sha256(f) for f in files}, ordered=single)


def _read(path: Path, *, cut: bool) -> Iterator[str]:
    if path.stat().st_size == 0:
        raise DataError(f"{path.name} is empty; remove it or put text into it")
    if path.suffix == ".txt":
        text = _text(path.read_bytes(), path.name)
        yield from cut_at_blank_lines(text) if cut or len(text) > _LARGE_TEXT_BYTES else [text]
    elif path.suffix == ".jsonl":
        yield from _jsonl(path)
    else:
        yield from _parquet(path)


def _jsonl(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise DataError(
                    f"line {number} of {path.name} is not JSON; every line must be one object"
                ) from error
            if not isinstance(record, dict) or not isinstance(record.get("text"), str):
                raise DataError(f'line {number} of {path.name} has no string called "text"')
            yield record["text"]


def _parquet(path: Path) -> Iterator[str]:
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        file = pq.ParquetFile(path)
        if "text" not in file.schema_arrow.names:
            raise DataError(
                f'{path.name} has no column called "text"; it has {", ".join(file.schema_arrow.names)}'
            )
        for batch in file.iter_batches(columns=["text"]):
            for value in batch.column(0).to_pylist():
                if isinstance(value, str):
                    yield value
    except (ArrowException, OSError) as error:
        raise DataError(f"{path.name} is not a readable parquet file; download it again") from error


def cut_at_blank_lines(text: str) -> Iterator[str]:
    """Documents of about 4 kB that end at blank lines; joined again they are the text."""
    start = 0
    while start < len(text):
        at = text.find("\n\n", start + _PIECE_BYTES)
        end = len(text) if at < 0 else at + 2
        yield text[start:end]
        start = end


def _text(raw: bytes, name: str) -> str:
    if b"\0" in raw[:65536]:
        raise DataError(f"{name} is binary, not text; give UTF-8 text")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not UTF-8 at byte {error.start}; convert it, for example with iconv"
        ) from error


def _utf8(raw: bytes) -> str | None:
    if len(raw) < _MIN_SOURCE_BYTES:
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
