"""Documents from where they lie. Their order is deterministic; text is never executed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from runner.data import chunking, formats
from runner.data.compression import format_of
from runner.data.errors import DataError
from runner.data.skipped_records import Skipped, Why
from runner.suggestions import did_you_mean

NAMED = ("default", "climbmix")
"""Data sets that have a name; any other is a path."""
KINDS = ".txt, .md, .json, .jsonl, .csv or .parquet"


class Piece(NamedTuple):
    """A document, or a part of a long one: parts of one document have its number and come one after the other."""

    document: int
    text: str
    split: str = ""
    """"train", "val" or "test" where the source itself says so."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """`pieces` yields the text. `sources` maps what was read to its SHA-256 (hex); `skipped` fills while it is read."""

    name: str
    pieces: Callable[[], Iterator[Piece]]
    sources: dict[str, str]
    skipped: Skipped = field(default_factory=Skipped)


def local(path: Path, column: str | None = None) -> Corpus:
    """A file, or a folder of them, compressed or not. Raises DataError."""
    if not path.exists():
        meant = did_you_mean(str(path), NAMED)
        raise DataError(f"there is nothing at {path}; give a {KINDS} file, or a folder of them{meant}")
    skipped = Skipped()
    root = path if path.is_dir() else path.parent
    files = list(_files(path, skipped)) if path.is_dir() else [path] if format_of(path.name) else []
    if not files:
        if path.is_dir():
            said = "".join(f"; {sentence}" for sentence in skipped.sentences())
            raise DataError(f"the folder {path} holds no {KINDS} file{said}")
        raise DataError(f"{path.name} is not {KINDS}; convert it to one of these")

    def pieces() -> Iterator[Piece]:
        number = 0
        for file in files:
            for chunks in formats.documents(file, str(file.relative_to(root)), column, skipped):
                number += 1
                seen = found = False
                for text in chunking.pieces(chunks):
                    seen = True
                    if text.strip():
                        found = True
                        yield Piece(number, text)
                if seen and not found:
                    skipped.add(Why.BLANK, str(file.relative_to(root)))

    return Corpus(path.stem, pieces, {str(f.relative_to(root)): sha256(f) for f in files}, skipped)


def _files(folder: Path, skipped: Skipped) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(folder)
        if any(part.startswith((".", "__MACOSX")) for part in name.parts):
            skipped.add(Why.HIDDEN, str(name))
        elif format_of(path.name) is None:
            skipped.add(Why.FORMAT, str(name))
        else:
            yield path


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
