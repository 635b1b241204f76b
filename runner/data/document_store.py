"""Documents on disk instead of in memory: one file of text, and a few numbers for each piece."""

from __future__ import annotations

import hashlib
import mmap
from array import array
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runner.data.exact_copies import exact_copies
from runner.data.skipped_records import Skipped, Why

Pieces = NDArray[np.int64]
"""Numbers of pieces, in an order that means something."""


class Spill:
    """Pieces are numbered in the order they come in. Those of one document are neighbours; `document[i]` says whose piece i
    is. `split` is "" where it is still to be chosen."""

    SPLITS = ("", "train", "val", "test")

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._map: mmap.mmap | None = None
        self._starts, self._documents, self._digests = array("q", [0]), array("q"), array("Q")
        self._splits = array("b")

    def add(self, document: int, text: str, split: str = "") -> None:
        raw = text.encode()
        self._file.write(raw)
        self._starts.append(self._starts[-1] + len(raw))
        self._documents.append(document)
        digest = hashlib.sha256(raw).digest()
        self._digests.append(int.from_bytes(digest[:8], "big"))
        self._digests.append(int.from_bytes(digest[8:16], "big"))
        self._splits.append(self.SPLITS.index(split))

    def __len__(self) -> int:
        return len(self._documents)

    def finish(self, skipped: Skipped) -> None:
        """Nothing is added any more. Pieces that are there twice are dropped but for one."""
        self._file.flush()
        self.start = np.frombuffer(self._starts, np.int64)
        self.document = np.frombuffer(self._documents, np.int64)
        self.split = np.frombuffer(self._splits, np.int8)
        self.digest = np.frombuffer(self._digests, np.uint64).reshape(-1, 2)
        self.size = np.diff(self.start)
        copies = exact_copies(self.digest)
        self.alive = ~copies
        if copies.any():
            skipped.add(Why.TWICE, count=int(copies.sum()))
        if self.start[-1]:
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def text(self, first: int, last: int | None = None) -> bytes:
        """Of piece `first`, or of the neighbours `first` to `last` (inclusive)."""
        assert self._map is not None
        return self._map[self.start[first] : self.start[first + 1 if last is None else last + 1]]

    def runs(self, pieces: Pieces, most: int) -> list[tuple[int, int]]:
        """`pieces` with neighbours of one document joined again, to texts of at most about `most` bytes."""
        if not len(pieces):
            return []
        after, before = pieces[1:], pieces[:-1]
        joined = (after == before + 1) & (self.document[after] == self.document[before])
        found: list[tuple[int, int]] = []
        first = int(pieces[0])
        for at, goes_on in enumerate([*joined.tolist(), False]):
            last = int(pieces[at])
            if not goes_on or self.start[last + 1] - self.start[first] >= most:
                found.append((first, last))
                first = int(pieces[at + 1]) if at + 1 < len(pieces) else first
        return found

    def close(self) -> None:
        if self._map is not None:
            self._map.close()
        self._file.close()
