"""What is held out shares no long run of bytes with what a candidate can read.

Every run of RUN bytes of a held-out document that also lies in the training text (a licence, a vendored copy, a generated
table, a near-duplicate) is cut out of one of the two, and what is left on both sides of it is a document of its own. Held-out
text is cut, because there is little of it; but where that would leave less than half (a text that repeats itself), the
training text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from runner.data.common_substrings import WORD, Protected, Search, Windows
from runner.data.image_text import Content

CHECKED_WORDS = 16
"""A window of the check before a training: 128 bytes, some 40 tokens. A run of 135 bytes cannot pass it."""
CUT_WORDS = CHECKED_WORDS - 1
"""A window of the cut: so much smaller that what the check could find is gone, wherever words begin in either text."""
RUN = CUT_WORDS * WORD + WORD - 1
SMALLEST = 256
"""Bytes. What is left of a document after the cut is dropped when it is smaller than this."""


def unshared(held_out: Sequence[bytes], readable: Iterable[Content]) -> tuple[list[list[bytes]], int, str]:
    """For each held-out document what is left of it after the cut; how many bytes were cut in all, and where one was found."""
    windows = Windows([Protected("", np.frombuffer(b"\xff".join(held_out), np.uint8))], CUT_WORDS)
    search = Search(windows)
    for name, blocks in readable:
        search.begin(name)
        for block in blocks:
            search.feed(block)
    search.finish()
    shared = windows.covered(0)
    left, cut, at = [], 0, 0
    for text in held_out:
        here = shared[at : at + len(text)]
        parts = list(_parts(text, here)) if here.any() else [text]
        cut += len(text) - sum(map(len, parts))
        left.append(parts)
        at += len(text) + 1
    return left, cut, next(iter(search.found.values()), "")


class Shared:
    """Cuts what is held out from other texts."""

    def __init__(self, held_out: Sequence[bytes]) -> None:
        self._windows = Windows([Protected("", np.frombuffer(b"\xff".join(held_out), np.uint8))], CUT_WORDS)

    def cut_from(self, text: bytes) -> list[bytes]:
        """What is left of `text`."""
        at, _ = self._windows.search(text + b"\xff" * (-len(text) % WORD))
        if not len(at):
            return [text]
        change = np.zeros(len(text) + self._windows.size + 1, np.int32)
        np.add.at(change, at, 1)
        np.add.at(change, at + self._windows.size, -1)
        return list(_parts(text, np.cumsum(change)[: len(text)] > 0))


def _parts(text: bytes, shared: NDArray[np.bool_]) -> Iterator[bytes]:
    """The parts that are not shared, cut at character boundaries, without those below the smallest size."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], shared, [True]]).astype(np.int8)))
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        start = first
        while start < end and text[start] & 0xC0 == 0x80:  # the rest of a character that was cut
            start += 1
        part = text[start:end]
        for back in range(1, min(4, len(part)) + 1):
            lead = part[-back]
            if lead & 0xC0 != 0x80:
                length = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
                part = part if length <= back else part[:-back]
                break
        if len(part) >= SMALLEST:
            yield part
