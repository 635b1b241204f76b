"""SEARCH/REPLACE blocks: whole lines, each found exactly once, all of them or none.

Line numbers and unified diffs are what models get wrong most often; plain text around code rather than JSON keeps the
code good (both after aider's published edit-format benchmarks).
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Sequence

from runner.protocols import Edit

_SEARCH = re.compile(r"<{5,9} ?SEARCH\s*")
_DIVIDER = re.compile(r"={5,9}\s*")
_REPLACE = re.compile(r">{5,9} ?REPLACE\s*")
_ELISION = re.compile(
    r"\s*(#\s*)?\.\.\.\s*\(?(the )?(rest|existing|unchanged|same|remaining|other)\b.*", re.IGNORECASE
)
_NEAR_LINES = 2


class BadEdit(Exception):
    """Why the blocks cannot be applied, in words for their author."""


def find_blocks(text: str) -> tuple[list[Edit], list[str]]:
    """The blocks of an answer and its other lines. Raises BadEdit for a block that is not closed."""
    edits: list[Edit] = []
    others: list[str] = []
    search: list[str] = []
    replace: list[str] = []
    state = "outside"
    for line in text.split("\n"):
        if state == "outside" and _SEARCH.fullmatch(line):
            state, search, replace = "search", [], []
        elif state == "outside" and _REPLACE.fullmatch(line):
            raise BadEdit("a REPLACE marker without its SEARCH")
        elif state == "search" and _DIVIDER.fullmatch(line):
            state = "replace"
        elif state == "replace" and _REPLACE.fullmatch(line):
            edits.append(Edit("\n".join(search), "\n".join(replace)))
            state = "outside"
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
    bare = [line.rstrip() for line in lines]
    places: list[tuple[int, int, list[str]]] = []
    for number, edit in enumerate(edits, 1):
        wanted = [line.rstrip() for line in edit.search.split("\n")]
        if not any(wanted):
            raise BadEdit(f"block {number} has an empty SEARCH: give the lines it stands beside")
        if any(_ELISION.fullmatch(line) for line in edit.replace.split("\n")):
            raise BadEdit(
                f"block {number} leaves code out with an ellipsis: write every line of the replacement"
            )
        found = [at for at in range(len(bare) - len(wanted) + 1) if bare[at : at + len(wanted)] == wanted]
        if not found:
            raise BadEdit(f"block {number}: no such lines in train.py.{_nearest(lines, wanted)}")
        if len(found) > 1:
            where = ", ".join(str(at + 1) for at in found[:5])
            raise BadEdit(
                f"block {number}: its SEARCH is found {len(found)} times (lines {where}): add lines around it"
            )
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


def _nearest(lines: Sequence[str], wanted: Sequence[str]) -> str:
    """The lines that were probably meant, as a sentence of their own."""
    target = "\n".join(line.strip() for line in wanted)
    best, best_ratio = 0, 0.0
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(target)
    for at in range(max(len(lines) - len(wanted) + 1, 1)):
        matcher.set_seq1("\n".join(line.strip() for line in lines[at : at + len(wanted)]))
        if matcher.real_quick_ratio() > best_ratio and matcher.quick_ratio() > best_ratio:
            ratio = matcher.ratio()
            if ratio > best_ratio:
                best, best_ratio = at, ratio
    if best_ratio < 0.4:
        return ""
    start, end = max(best - _NEAR_LINES, 0), best + len(wanted) + _NEAR_LINES
    return " The nearest lines are:\n" + "\n".join(lines[start:end])
