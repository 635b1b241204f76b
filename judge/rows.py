"""Packs held-out documents into fixed rows: the same windows in the same order for every candidate.

The rules are in docs/contracts.md ("Rows"): every token of every document is a target exactly once; a target
that is BOS does not count.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """`tokens` is int32[N, T+1]; `document` is int32[N, T]: the document of target (n, t), or -1 for BOS."""

    tokens: NDArray[np.int32]
    document: NDArray[np.int32]

    @property
    def scored(self) -> NDArray[np.bool_]:
        return self.document >= 0


def pack(tokens: NDArray[np.uint16], bos_id: int, seq_len: int) -> Rows:
    """Best-fit decreasing, ties in document order. `tokens` is uint16[M]: each document is BOS, then its tokens."""
    bos = np.flatnonzero(tokens == bos_id)
    ends = np.append(bos[1:], len(tokens))
    pieces = [
        (start, min(start + seq_len, int(end)), number)
        for number, (begin, end) in enumerate(zip(bos + 1, ends, strict=True))
        for start in range(int(begin), int(end), seq_len)
    ]
    pieces.sort(key=lambda piece: piece[0] - piece[1])  # longest first; the sort is stable
    width = seq_len + 1
    rows: list[list[tuple[int, int, int]]] = []
    room: list[tuple[int, int]] = []  # (tokens free, row), sorted
    for piece in pieces:
        cost = piece[1] - piece[0] + 1
        at = bisect.bisect_left(room, (cost, -1))
        if at < len(room):
            free, row = room.pop(at)
        else:
            free, row = width, len(rows)
            rows.append([])
        rows[row].append(piece)
        if free - cost > 1:
            bisect.insort(room, (free - cost, row))
    out = np.full((len(rows), width), bos_id, np.int32)
    document = np.full((len(rows), seq_len), -1, np.int32)
    for row, members in enumerate(rows):
        at = 1
        for start, end, number in members:
            out[row, at : at + end - start] = tokens[start:end]
            document[row, at - 1 : at - 1 + end - start] = number
            at += end - start + 1
    return Rows(out, document)
