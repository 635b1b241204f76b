"""What a model answered, read: a header, edits or a whole file, and notes. Nothing in it is ever executed here."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from runner.proposers.edits import BadEdit, apply, find_blocks
from runner.proposers.model import Completion
from runner.protocols import Edit
from sandbox.text import one_line, sanitise

CATEGORIES = (
    "architecture", "attention", "optimizer", "schedule", "batch", "regularisation", "initialisation",
    "precision", "throughput", "simplification", "constants", "other",
)  # fmt: skip
RISKS = ("low", "medium", "high")
_HEADER = re.compile(
    r"[\s*#>-]*(TITLE|HYPOTHESIS|CATEGORY|EXPECTED_GAIN|RISK)[*\s]*:[*\s]*(.*)", re.IGNORECASE
)
_NOTES = re.compile(r"[\s*#]*NOTES[*\s]*:[*\s]*(.*)")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})\s*([\w+-]*)\s*")
_CONTRACT = ("export_model", "save_params")
"""Calls without which a script has no score; a fenced answer that lost them is a fragment, not a whole file."""


class BadAnswer(Exception):
    """Why there is no proposal in an answer. `repairable`: saying so to its author may help."""

    def __init__(self, reason: str, *, repairable: bool = True) -> None:
        super().__init__(reason)
        self.repairable = repairable


def brief(reason: str) -> str:
    """The sentence of a reason, without the lines that its author is shown."""
    return reason.partition(" The nearest lines")[0].partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Read:
    """An answer that can be tried. `edits` is empty for a whole file."""

    source: str
    edits: Sequence[Edit]
    title: str
    hypothesis: str
    category: str
    expected_gain: float | None
    risk: str
    notes: str | None


def read(completion: Completion, parent: str) -> Read:
    """The proposal in an answer about the script `parent`. Raises BadAnswer."""
    if completion.finish == "length":
        raise BadAnswer("the answer was cut off at the limit of output tokens", repairable=False)
    if completion.finish in {"content_filter", "refusal"}:
        raise BadAnswer("the model refused to answer", repairable=False)
    if not completion.text.strip():
        raise BadAnswer("the answer is empty", repairable=False)
    return read_text(completion.text, parent)


def read_text(text: str, parent: str) -> Read:
    """The same of an answer that is complete. Raises BadAnswer."""
    text = text.encode("utf-8", errors="replace").decode().replace("\r\n", "\n")
    try:
        edits, others = find_blocks(text)
        fences, others = _fences(others)
        source = apply(parent, edits) if edits else _whole(fences, parent)
    except BadEdit as error:
        raise BadAnswer(str(error)) from error
    header, notes = _header(others)
    category = header.get("category", "").lower()
    return Read(
        source=source,
        edits=tuple(edits),
        title=one_line(header.get("title", ""), max_chars=120) or "untitled",
        hypothesis=one_line(header.get("hypothesis", ""), max_chars=600),
        category=category if category in CATEGORIES else "other",
        expected_gain=_number(header.get("expected_gain", "")),
        risk=risk if (risk := header.get("risk", "").lower()) in RISKS else "",
        notes=notes,
    )


def _fences(lines: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Fenced code as (language, text), and the lines outside. What stands after NOTES is left alone."""
    fences: list[tuple[str, str]] = []
    others: list[str] = []
    inside: list[str] = []
    mark = language = ""
    for index, line in enumerate(lines):
        found = _FENCE.fullmatch(line)
        if not mark and _NOTES.fullmatch(line):
            others.extend(lines[index:])
            return fences, others
        if not mark and found:
            mark, language, inside = found.group(1), found.group(2), []
        elif mark and found and not found.group(2) and found.group(1).startswith(mark):
            fences.append((language, "\n".join(inside) + "\n"))
            mark = ""
        else:
            (inside if mark else others).append(line)
    if mark:
        raise BadEdit("a code fence is not closed")
    return fences, others


def _whole(fences: Sequence[tuple[str, str]], parent: str) -> str:
    code = [text for language, text in fences if language.lower() in {"", "python", "py"} and text.strip()]
    if not code:
        raise BadEdit("there is neither a SEARCH/REPLACE block nor a whole train.py in a code fence")
    if len(code) > 1:
        raise BadEdit("there are several code fences and no SEARCH/REPLACE block: which one is train.py?")
    lost = [name for name in _CONTRACT if name in parent and name not in code[0]]
    if lost:
        raise BadEdit(
            f"the fenced code does not call {lost[0]}, so it is a fragment: use SEARCH/REPLACE blocks"
        )
    if code[0].rstrip() == parent.rstrip():
        raise BadEdit("the answer changes nothing")
    return code[0]


def _header(lines: Sequence[str]) -> tuple[dict[str, str], str | None]:
    header: dict[str, str] = {}
    for index, line in enumerate(lines):
        if notes := _NOTES.fullmatch(line):
            return header, sanitise("\n".join([notes.group(1), *lines[index + 1 :]])).strip()
        if found := _HEADER.fullmatch(line):
            header.setdefault(found.group(1).lower(), found.group(2).strip())
    return header, None


def _number(text: str) -> float | None:
    found = re.search(r"[-+]?\d*\.?\d+(e[-+]?\d+)?", text, re.IGNORECASE)
    if not found:
        return None
    value = abs(float(found.group(0)))
    return value if math.isfinite(value) and value < 100 else None
