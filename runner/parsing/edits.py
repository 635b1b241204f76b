"""SEARCH/REPLACE blocks: whole lines, each found exactly once, all of them or none. Runs in the parser's child process only.

Line numbers and unified diffs are what models get wrong most often; plain text around code rather than JSON keeps the
code good (both after aider's published edit-format benchmarks). Everything here is linear in the text times the blocks.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

from runner.parsing.facts import MAX_EDITS, MAX_PATTERN_CHARS, BadEdit
from runner.protocols import Edit

_SEARCH = re.compile(r"<{5,9} ?SEARCH[ \t\r]*")
_DIVIDER = re.compile(r"={5,9}[ \t\r]*")
_REPLACE = re.compile(r">{5,9} ?REPLACE[ \t\r]*")
_ELISION = re.compile(
    r"(#[ \t]*)?\.\.\.[ \t]*\(?(the )?(rest|existing|unchanged|same|remaining|other)\b.*", re.IGNORECASE
)
_NEAR_LINES = 2
_MAX_NEAR_LINES, _MAX_NEAR_CHARS = 60, 200
"""What an author is shown of the nearest lines: so many, each cut to so many characters."""
_COMMON = 20
"""A line that occurs more often says nothing about where a block belongs."""
_ALIKE = 0.4
"""The share of words by which two lines are taken for versions of one another."""


def find_blocks(text: str) -> tuple[list[Edit], list[str]]:
    """The blocks of an answer and its other lines. Raises BadEdit for a block that is not closed."""
    edits: list[Edit] = []
    others: list[str] = []
    search: list[str] = []
    replace: list[str] = []
    state = "outside"
    for line in text.split("\n"):
        if len(line) > MAX_PATTERN_CHARS:
            {"outside": others, "search": search, "replace": replace}[state].append(line)
        elif state == "outside" and _SEARCH.fullmatch(line):
            state, search, replace = "search", [], []
        elif state == "outside" and _REPLACE.fullmatch(line):
            raise BadEdit("a REPLACE marker without its SEARCH")
        elif state == "search" and _DIVIDER.fullmatch(line):
            state = "replace"
        elif state == "replace" and _REPLACE.fullmatch(line):
            edits.append(Edit("\n".join(search), "\n".join(replace)))
            state = "outside"
            if len(edits) > MAX_EDITS:
                raise BadEdit(f"there are more than {MAX_EDITS} blocks: send the whole train.py instead")
        elif state != "outside" and (_SEARCH.fullmatch(line) or _REPLACE.fullmatch(line)):
            raise BadEdit(f"block {len(edits) + 1} is not closed before the next marker")
        else:
            {"outside": others, "search": search, "replace": replace}[state].append(line)
    if state != "outside":
        raise BadEdit(f"block {len(edits) + 1} is not closed: it needs ======= and >>>>>>> REPLACE")
    return edits, others


def apply(source: str, edits: Sequence[Edit]) -> str:
    """`source` with every block applied. Raises BadEdit, and then nothing was applied."""
    lines = source.split("\n")  # not splitlines: a form feed is no new line in Python
    bare = "\n" + "\n".join(line.rstrip() for line in lines) + "\n"
    places: list[tuple[int, int, list[str]]] = []
    for number, edit in enumerate(edits, 1):
        wanted = [line.rstrip() for line in edit.search.split("\n")]
        if not any(wanted):
            raise BadEdit(f"block {number} has an empty SEARCH: give the lines next to it")
        if any(_ELISION.fullmatch(line.strip()[:MAX_PATTERN_CHARS]) for line in edit.replace.split("\n")):
            raise BadEdit(
                f"block {number} leaves code out with an ellipsis: write every line of the replacement"
            )
        found = _places(bare, wanted)
        if not found:
            raise BadEdit(f"block {number}: no such lines in train.py.{_nearest(lines, wanted)}")
        if len(found) > 1:
            where = ", ".join(str(at + 1) for at in found[:5])
            times = f"{len(found)} times" if len(found) <= _COMMON else f"more than {_COMMON} times"
            raise BadEdit(f"block {number}: its SEARCH is found {times} (lines {where}): add lines around it")
        places.append((found[0], found[0] + len(wanted), edit.replace.split("\n") if edit.replace else []))
    places.sort(key=lambda place: place[0])
    for (_, end, _), (start, _, _) in itertools.pairwise(places):
        if start < end:
            raise BadEdit(f"two blocks change the same line {start + 1}: join them into one")
    for start, end, replacement in reversed(places):
        lines[start:end] = replacement
    result = "\n".join(lines)
    if result.rstrip() == source.rstrip():
        raise BadEdit("the blocks change nothing")
    return result


def _places(bare: str, wanted: Sequence[str]) -> list[int]:
    """The lines at which the wanted ones begin, no more than a few of them. `bare` begins and ends with a line feed."""
    target = "\n" + "\n".join(wanted) + "\n"
    found: list[int] = []
    at = bare.find(target)
    while at >= 0 and len(found) <= _COMMON:
        found.append(bare.count("\n", 0, at))
        at = bare.find(target, at + 1)
    return found


def _nearest(lines: Sequence[str], wanted: Sequence[str]) -> str:
    """The lines that were probably meant, as a sentence of their own: where most of the wanted lines stand in order, or
    else where the line stands that shares most words with one of them. Words and whole lines are counted, no letters."""
    where: dict[str, list[int]] = {}
    for at, line in enumerate(lines):
        where.setdefault(line.strip(), []).append(at)
    votes: Counter[int] = Counter()
    for index, line in enumerate(wanted):
        spots = where.get(line.strip(), []) if line.strip() else []
        votes.update(at - index for at in spots[:_COMMON] if len(spots) <= _COMMON)
    best = min(votes, key=lambda at: (-votes[at], at), default=None)
    if best is None:
        best = _alike(lines, wanted)
    if best is None:
        return ""
    start = max(best - _NEAR_LINES, 0)
    end = min(max(best, 0) + len(wanted) + _NEAR_LINES, start + _MAX_NEAR_LINES)
    return " The nearest lines are:\n" + "\n".join(line[:_MAX_NEAR_CHARS] for line in lines[start:end])


def _alike(lines: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Where the wanted lines would begin if the one with most words stood where most of its words do."""
    index = max(range(len(wanted)), key=lambda number: len(_words(wanted[number])))
    words = _words(wanted[index])
    best, share = None, _ALIKE
    for at, line in enumerate(lines):
        there = _words(line)
        alike = 2 * len(words & there) / (len(words) + len(there)) if there else 0.0
        if alike > share:
            best, share = at - index, alike
    return best


def _words(line: str) -> frozenset[str]:
    """Names and numbers, and pairs of neighbouring letters of the first hundred characters: a changed number leaves most."""
    text = "".join(line[:_MAX_NEAR_CHARS].split())
    return frozenset(text[at : at + 2] for at in range(len(text) - 1))
