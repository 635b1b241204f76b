"""Long runs of bytes that two texts share, found without comparing everything with everything.

Of the text to be protected every window of WINDOW bytes is hashed, at every byte; of the text that is searched only the
windows that begin at a multiple of 8, as 64-bit words. A run of WINDOW + 7 bytes holds such a window wherever it lies, so
none is missed (of wide elements: one of WINDOW + 7 bytes and eight elements), and a hit is compared byte by byte, so none is
invented. (Fingerprints as in Schleimer, Wilkerson & Aiken,
"Winnowing", SIGMOD 2003, with a fixed stride in place of a minimum: what is searched may be large, what is protected is not.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]

WORD = 8
_BLOCK = 8 << 20
_TABLE_BITS = 26
_PERIODS = 16
_PERIODIC = 0.75
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


@dataclass(frozen=True, slots=True)
class Protected:
    """One text that must not be found. `unit` is the size of its elements in bytes: a window begins in every one, each time
    a byte later in it, so that some lie at any place of a file whatever place their text has there."""

    name: str
    content: Bytes
    unit: int = 1


class Windows:
    """Every window of `words` 64-bit words of the protected texts, but for those that repeat themselves (a line of dashes,
    an empty table): nothing is learnt from finding them."""

    def __init__(self, texts: Sequence[Protected], words: int) -> None:
        self.size = words * WORD
        self.words = words
        self.texts = texts
        hashes, places = [], []
        for number, text in enumerate(texts):
            if len(text.content) < self.size:
                continue
            element = np.flatnonzero(_informative(text, self.size)).astype(np.int64)
            # searched are multiples of 8: eight elements in a row have begun at every remainder of that
            at = element * text.unit + element // (WORD // text.unit) % text.unit
            at = at[at <= len(text.content) - self.size]
            every = np.lib.stride_tricks.sliding_window_view(text.content, WORD).view("<u8")[:, 0]
            hashes.append(_hashes(every, WORD, words)[at])
            places.append((np.int64(number) << 40) | at)
        self._places = np.concatenate(places) if places else np.empty(0, np.int64)
        found = np.concatenate(hashes) if hashes else np.empty(0, np.uint64)
        self.hashes, self._first, self._inverse = np.unique(found, return_index=True, return_inverse=True)
        bits = min(_TABLE_BITS, max(10, int(len(self.hashes) * 16).bit_length()))
        self._shift, self._mask = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
        self._table = np.zeros(1 << bits, bool)
        self._table[self.hashes >> self._shift] = True
        self._table[self.hashes & self._mask] = True
        self.hit = np.zeros(len(self.hashes), bool)
        """Which windows were found so far."""

    def search(self, block: bytes | bytearray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where in `block` a window lies (offsets, multiples of 8), and which. They are marked as hit."""
        data = np.frombuffer(block, np.uint8, len(block) // WORD * WORD)
        nothing = np.empty(0, np.int64)
        if len(data) < self.size or not len(self.hashes):
            return nothing, nothing
        hashes = _hashes(data.view("<u8"), 1, self.words)
        at = np.flatnonzero(self._table[hashes >> self._shift])
        at = at[self._table[hashes[at] & self._mask]]
        which = np.searchsorted(self.hashes, hashes[at])
        which[which == len(self.hashes)] = 0
        same = self.hashes[which] == hashes[at]
        at, which = at[same] * WORD, which[same]
        if len(at):
            same = self._equal(data, at, which)
            at, which = at[same], which[same]
            self.hit[which] = True
        return at, which

    def _equal(self, data: Bytes, at: NDArray[np.int64], which: NDArray[np.int64]) -> NDArray[np.bool_]:
        result = np.zeros(len(at), bool)
        here = np.lib.stride_tricks.sliding_window_view(data, self.size)
        places = self._places[self._first[which]]
        for number, text in enumerate(self.texts):
            of_text = np.flatnonzero(places >> 40 == number)
            for part in np.array_split(of_text, max(1, len(of_text) // 65536)):
                there = (
                    np.lib.stride_tricks.sliding_window_view(text.content, self.size) if len(part) else here
                )
                result[part] = (here[at[part]] == there[places[part] & ((1 << 40) - 1)]).all(axis=1)
        return result

    def place(self, which: int) -> tuple[Protected, int]:
        """The text that a window belongs to, and where in it the window begins (bytes)."""
        place = int(self._places[self._first[which]])
        return self.texts[place >> 40], place & ((1 << 40) - 1)

    def covered(self, number: int) -> NDArray[np.bool_]:
        """Which bytes of text `number` lie in a window that was hit, wherever that window occurs."""
        of_text = (self._places >> 40 == number) & self.hit[self._inverse]
        at = self._places[of_text] & ((1 << 40) - 1)
        change = np.zeros(len(self.texts[number].content) + 1, np.int32)
        np.add.at(change, at, 1)
        np.add.at(change, at + self.size, -1)
        covered: NDArray[np.bool_] = np.cumsum(change[:-1]) > 0
        return covered


class Search:
    """A stream of named contents, searched block by block for `windows`. `found` maps an index of a window to the name of
    the first content it was found in; `most` bounds how many are remembered."""

    def __init__(self, windows: Windows, most: int = 1) -> None:
        self.windows, self._most = windows, most
        self.found: dict[int, str] = {}
        self._buffer = bytearray()
        self._marks: list[tuple[int, str]] = []

    def begin(self, name: str) -> None:
        """What is fed from now on is another content."""
        self._buffer += b"\xff" * (2 * WORD - len(self._buffer) % WORD)  # no run goes on across it
        self._marks.append((len(self._buffer), name))

    def feed(self, content: bytes) -> None:
        self._buffer += content
        if len(self._buffer) >= _BLOCK:
            self._look()

    def finish(self) -> None:
        self._buffer += b"\xff" * (WORD - len(self._buffer) % WORD)
        self._look()

    def _look(self) -> None:
        at, which = self.windows.search(self._buffer)
        starts = [start for start, _ in self._marks]
        for offset, window in zip(at.tolist(), which.tolist(), strict=True):
            if len(self.found) >= self._most:
                break
            mark = int(np.searchsorted(starts, offset, side="right")) - 1
            self.found.setdefault(window, self._marks[max(mark, 0)][1])
        gone = max(0, len(self._buffer) // WORD - self.windows.words + 1) * WORD
        del self._buffer[:gone]
        last = [mark for mark in self._marks if mark[0] <= gone][-1:]
        self._marks = [(0, name) for _, name in last] + [
            (start - gone, name) for start, name in self._marks if start > gone
        ]


def _hashes(words: Words, gap: int, count: int) -> Words:
    """Of every `count` words that lie `gap` elements apart; by doubling, so that the cost grows with its logarithm."""
    length = len(words) - (count - 1) * gap
    total: Words | None = None
    level, size, done = words, 1, 0
    while size <= count:
        if count & size:
            part = level[done * gap :][:length]
            total = part if total is None else total * _MIX[1] + part
            done += size
        size *= 2
        if size <= count:
            half = gap * size // 2
            level = level[:-half] * (_MIX[0] + np.uint64(2 * size)) + level[half:]
            level ^= level >> np.uint64(29)
    assert total is not None
    return total * _MIX[0] ^ (total >> np.uint64(32))


def _informative(text: Protected, size: int) -> NDArray[np.bool_]:
    """For each unit at which a window of `size` bytes begins: whether it is not (nearly) periodic."""
    units = text.content[: len(text.content) // text.unit * text.unit].reshape(-1, text.unit)
    values = units.view({1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[text.unit])[:, 0]
    window = size // text.unit
    count = len(values) - window + 1
    result = np.ones(max(count, 0), bool)
    for period in range(1, min(_PERIODS, window // 4) + 1):
        same = np.concatenate([[0], np.cumsum(values[period:] == values[:-period], dtype=np.int32)])
        within = window - period
        result &= same[within : within + count] - same[:count] < _PERIODIC * within
    return result
