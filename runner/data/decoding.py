"""Bytes to text: UTF-8, or UTF-16 and UTF-32 where a byte order mark says so; any line end becomes a line feed."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOKED_AT = 65536
_MOST_BAD = 0.01
_SURROGATE = re.compile("[\ud800-\udfff]")


class NotText(Exception):
    """The content is binary, or text in another encoding: `binary` says which."""

    def __init__(self, *, binary: bool) -> None:
        super().__init__()
        self.binary = binary


def decoded(blocks: Iterator[bytes], replaced: Callable[[int], None]) -> Iterator[str]:
    """The text in chunks. What is not valid becomes U+FFFD, and `replaced` is called with how many of them. Raises NotText when the
    beginning has a null byte, or is so full of invalid bytes that it must be another encoding."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= _LOOKED_AT:
            break
    encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
    single = encoding.startswith("utf-8")
    if single and b"\0" in head[:_LOOKED_AT]:
        raise NotText(binary=True)
    decoder = io.IncrementalNewlineDecoder(
        codecs.getincrementaldecoder(encoding)("surrogateescape" if single else "replace"), translate=True
    )
    text, bad = well_formed(decoder.decode(head))
    if bad > _MOST_BAD * len(head):
        raise NotText(binary=False)
    replaced(bad)
    yield text
    for block in blocks:
        text, bad = well_formed(decoder.decode(block))
        replaced(bad)
        yield text
    text, bad = well_formed(decoder.decode(b"", final=True))
    replaced(bad)
    yield text


def well_formed(text: str) -> tuple[str, int]:
    """`text` with U+FFFD for every lone surrogate, and how many there were."""
    if text.isascii():
        return text, 0
    return _SURROGATE.subn("\ufffd", text)


def lines(chunks: Iterator[str], longest: int) -> Iterator[str | None]:
    """Lines without their ends; None for one of more than `longest` characters."""
    rest, over = "", False
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        for line in whole:
            yield None if over or len(line) > longest else line
            over = False
        if len(rest) > longest:
            rest, over = "", True
    if rest or over:
        yield None if over else rest
