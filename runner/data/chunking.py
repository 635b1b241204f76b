"""Long documents in pieces, so that splits of the right size exist and no document dominates one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

WHOLE = 16384
"""Characters. A document up to this length stays whole."""
PIECE = 4096
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


def pieces(chunks: Iterable[str]) -> Iterator[str]:
    """Of about 4,000 to 8,000 characters, cut after a blank line, else after a line, else after a word; joined again they
    are the document."""
    rest, at, long = "", 0, False
    for chunk in chunks:
        rest, at = rest[at:] + chunk, 0
        long = long or len(rest) > WHOLE
        while long and len(rest) - at > 2 * PIECE:
            end = _boundary(rest, at)
            yield rest[at:end]
            at = end
    if at < len(rest):
        yield rest[at:]


def _boundary(text: str, start: int) -> int:
    first, last = start + PIECE, start + 2 * PIECE
    if found := _BLANK_LINE.search(text, first, last):
        return found.end()
    for mark in ("\n", ". ", " "):
        if (at := text.rfind(mark, first, last)) >= 0:
            return at + len(mark)
    return last
