"""Short strings cut from long texts, without regular expressions."""

from __future__ import annotations

from sandbox.sanitise import one_line

_MAX_CHARS = 1000


def title_after(mark: str, text: str) -> str:
    """What follows `mark` at the beginning of a line, in one line; empty where no line begins so."""
    at = 0 if text.startswith(mark) else text.find("\n" + mark) + 1
    if not text.startswith(mark, at):
        return ""
    return one_line(text[at + len(mark) : at + len(mark) + _MAX_CHARS].partition("\n")[0])


def brief(reason: str) -> str:
    """The sentence of a reason, without the lines that its author is shown."""
    return reason.partition(" The nearest lines")[0].partition("\n")[0]
