"""The name that was probably meant, for the sentence about an unknown one."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """ "; did you mean NAME?" for the name that is nearly `word`; empty where none is."""
    import difflib

    near = difflib.get_close_matches(word.lower(), list(names), 1)
    return f"; did you mean {near[0]}?" if near else ""


def unknown(what: str, word: str, names: Iterable[str]) -> str:
    """The sentence: there is no such thing, which ones there are, and which was probably meant."""
    known = list(names)
    return f"there is no {what} {word[:80]!r}, only {', '.join(known)}{did_you_mean(word, known)}"
