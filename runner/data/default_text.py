"""The default text: what is written in a few pinned wheels that are fetched for their text alone and installed nowhere.

Whole packages are held out, so that no document of validation or testing has a neighbour in training. None of these packages
is in an image or a dependency of one; a check looks for their text there all the same (runner/data/leak_check.py).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from runner.data import chunking
from runner.data.errors import DataError
from runner.data.skipped_records import Skipped, Why
from runner.data.sources import Corpus, Piece, sha256

HELD_OUT = {
    "networkx": "val",
    "nltk": "val",
    "docutils": "val",
    "dask": "test",
    "sphinx": "test",
    "pylint": "test",
}
_SUFFIXES = (".py", ".md", ".rst", ".txt")
_SMALLEST = 256
_WINDOW = 64
_SAMPLED = np.uint64(256 - 1)
_ALIKE = 0.5


def corpus(folder: Path) -> Corpus:
    """Of the wheels in `folder`. Raises DataError when there are none."""
    paths = sorted(folder.glob("*.whl"))
    if not paths:
        raise DataError(
            f"there are no wheels in {folder}; run `autoresearch data prepare` with a network once"
        )
    skipped = Skipped()

    def pieces() -> Iterator[Piece]:
        known, number = _Known(), 0
        for path in paths:
            split = HELD_OUT.get(path.name.partition("-")[0].lower(), "train")
            for raw in _texts(path):
                if known.knows(raw):
                    skipped.add(Why.ALIKE)
                    continue
                number += 1
                for text in chunking.pieces([raw.decode()]):
                    yield Piece(number, text, split)

    return Corpus("default", pieces, {path.name: sha256(path) for path in paths}, skipped)


def _texts(wheel: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith(_SUFFIXES) or ".dist-info/" in name:
                continue
            raw = archive.read(name)
            if len(raw) < _SMALLEST or b"\0" in raw:
                continue
            try:
                yield raw.decode().replace("\r\n", "\n").encode()
            except UnicodeDecodeError:
                continue


class _Known:
    """Near-duplicates: a document of whose sampled 64-byte windows more than half were seen before."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def knows(self, raw: bytes) -> bool:
        if len(raw) < _WINDOW + 8:
            return False
        words = np.lib.stride_tricks.sliding_window_view(np.frombuffer(raw, np.uint8), 8).view("<u8")[:, 0]
        for gap in (8, 16, 32):
            words = words[:-gap] * np.uint64(0x9E3779B97F4A7C15) + words[gap:]
            words ^= words >> np.uint64(29)
        sampled = set(words[words & _SAMPLED == 0].tolist())
        alike = len(sampled & self._seen) > _ALIKE * len(sampled)
        if not alike:
            self._seen |= sampled
        return alike
