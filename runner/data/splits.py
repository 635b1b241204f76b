"""Which pieces are for training, which for validation, which for testing.

Documents are put into the order of the SHA-256 of their first piece, which does not depend on the order they came in. From
each in turn the end is taken, at most a quarter of a split, until the split is full. So one long text is cut in order
(train, then val, then test), many short documents are split at random, and what lies between is something of both. A
source that says itself what is held out (whole packages of the default data) is believed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from runner.data.document_store import Pieces, Spill

HELD_OUT_SHARE = 0.05
SPARE = 1.3
"""How much more is chosen than asked for: some of it is cut again, where training text shares it."""


def split(spill: Spill, *, val_bytes: int, test_bytes: int) -> dict[str, Pieces]:
    """train, val and test, in that order and each in its own; empty where there is too little. `val_bytes` and `test_bytes`
    are upper bounds; neither gets more than 5 % of the text."""
    chosen = {name: _said(spill, name) for name in ("train", "val", "test")}
    free = np.flatnonzero(spill.alive & (spill.split == 0))
    total = int(spill.size[free].sum()) if len(free) else 0
    documents = _documents(spill, free)
    took = 0
    if len(documents):
        turn = _Turn(spill, documents)
        for name, limit in (("test", test_bytes), ("val", val_bytes)):
            budget = min(int(limit * SPARE), int(total * HELD_OUT_SHARE))
            chosen[name] = np.concatenate([chosen[name], turn.take(budget)])
            took += len(chosen[name])
        chosen["train"] = np.concatenate([chosen["train"], *turn.left()])
    return {
        "train": chosen["train"],
        "val": _bounded(spill, chosen["val"], int(val_bytes * SPARE)),
        "test": _bounded(spill, chosen["test"], int(test_bytes * SPARE)),
    }


def _said(spill: Spill, name: str) -> Pieces:
    """What the source itself put into `name`: whole documents in the order of their digests."""
    pieces = np.flatnonzero(spill.alive & (spill.split == Spill.SPLITS.index(name)))
    return np.concatenate(_documents(spill, pieces)) if len(pieces) else pieces


def _documents(spill: Spill, pieces: Pieces) -> list[Pieces]:
    """The pieces of each document, documents in the order of the digest of their first piece."""
    if not len(pieces):
        return []
    parts = np.split(pieces, np.flatnonzero(np.diff(spill.document[pieces])) + 1)
    first = np.array([part[0] for part in parts])
    order = np.lexsort((spill.digest[first, 1], spill.digest[first, 0]))
    return [parts[index] for index in order]


def _bounded(spill: Spill, pieces: Pieces, most: int) -> Pieces:
    fits = np.cumsum(spill.size[pieces]) <= most
    return pieces[fits]


class _Turn:
    """Chooses pieces from the ends of documents, the last document first; each call goes on where the last one stopped."""

    def __init__(self, spill: Spill, documents: list[Pieces]) -> None:
        self._spill, self._documents = spill, documents
        self._left = [len(part) for part in documents]
        self._next = len(documents) - 1

    def take(self, budget: int) -> Pieces:
        size, taken, room = self._spill.size, [], budget
        share = max(budget // 4, budget // len(self._documents))
        for _ in range(len(self._documents)):
            index = self._next
            pieces, had = self._documents[index], self._left[index]
            of_this = 0
            while self._left[index]:
                piece = int(pieces[self._left[index] - 1])
                if size[piece] > room or of_this + size[piece] > share:
                    break
                self._left[index] -= 1
                of_this += int(size[piece])
                room -= int(size[piece])
            taken.append(pieces[self._left[index] : had])
            self._next = (index - 1) % len(self._documents)
            if room < budget // 50:
                break
        return np.concatenate(taken[::-1]) if taken else np.empty(0, np.int64)

    def left(self) -> Iterator[Pieces]:
        for pieces, count in zip(self._documents, self._left, strict=True):
            yield pieces[:count]
