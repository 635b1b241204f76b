"""What a model answered, read: a header, edits or a whole file, and notes. Runs in the parser's child process only.

What a model wrote while thinking is never taken for its answer. Open models mark it inside the text, and servers that know
the marks cut the opening one off (vLLM and llama.cpp put it into the prompt), so everything before a closing mark without
its opening one is thinking too, and everything behind an opening one that is never closed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from runner.parsing.edits import apply, find_blocks
from runner.parsing.facts import (
    CATEGORIES,
    MAX_ANSWER_CHARS,
    MAX_ANSWER_LINES,
    MAX_NOTES_CHARS,
    MAX_PATTERN_CHARS,
    RISKS,
    BadAnswer,
    BadEdit,
)
from sandbox.sanitise import one_line, sanitise

_WORD = r"(?:think|thinking|thought|thoughts|reasoning|reason|reflection|scratchpad|analysis)"
_MARK = re.compile(
    rf"<[ \t]{{0,3}}(?P<a>/?)[ \t]{{0,3}}(?:[a-z]{{1,12}}:)?{_WORD}(?:[ \t][^<>\n]{{0,80}})?>"  # <think> <seed:think>
    r"|\[(?P<b>/?)THINK\]"  # Mistral
    rf"|◁(?P<c>/?){_WORD}▷"  # Kimi
    rf"|<\|(?P<d>/|end_of_|END_|)(?:begin_of_|START_|){_WORD}\|>"  # OpenThinker, Cohere
    r"|<\|channel\|>(?P<e>final)[^<\n]{0,80}<\|message\|>"  # harmony (gpt-oss)
    r"|<\|channel\|>(?P<f>analysis|commentary)[^<\n]{0,80}<\|message\|>"
    r"|<unused9(?P<g>[45])>",  # Gemma
    re.IGNORECASE,
)
_HARMONY = re.compile(r"<\|(?:start\|>assistant|end\|>|return\|>)")
_HEADER = re.compile(
    r"[\s*#>-]*(TITLE|HYPOTHESIS|CATEGORY|EXPECTED_GAIN|RISK)[*\s]*:[*\s]*([^*\s].*)?", re.IGNORECASE
)
_NOTES = re.compile(r"[\s*#]*NOTES[*\s]*:[*\s]*([^*\s].*)?")
_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*([\w+-]*)")
_NUMBER = re.compile(r"[-+]?(?:\d{1,20}(?:\.\d{0,30})?|\.\d{1,30})(?:e[-+]?\d{1,4})?", re.IGNORECASE)
_CONTRACT = ("export_model", "save_params")
"""Calls without which a script has no score; a fenced answer that lost them is a fragment, not a whole file."""


def read(text: str, parent: str) -> dict[str, object]:
    """The proposal in an answer about the script `parent`, as JSON values. Raises BadAnswer."""
    if len(text) > MAX_ANSWER_CHARS:
        raise BadAnswer(f"the answer is longer than {MAX_ANSWER_CHARS} characters", repairable=False)
    text = text.encode("utf-8", errors="replace").decode().replace("\r\n", "\n")
    if text.count("\n") >= MAX_ANSWER_LINES:
        raise BadAnswer(f"the answer has more than {MAX_ANSWER_LINES} lines", repairable=False)
    said = without_thinking(text)
    if not said.strip():
        raise BadAnswer("the answer is empty" if said == text else "the answer holds nothing but thinking")
    try:
        edits, others = find_blocks(said)
        fences, others = _fences(others)
        source = apply(parent, edits) if edits else _whole(fences, parent)
    except BadEdit as error:
        raise BadAnswer(str(error)) from error
    header, notes = _header(others)
    category, risk = header.get("category", "").lower(), header.get("risk", "").lower()
    return {
        "source": source,
        "edits": [[edit.search, edit.replace] for edit in edits],
        "title": one_line(header.get("title", ""), max_chars=120),
        "hypothesis": one_line(header.get("hypothesis", ""), max_chars=600),
        "category": category if category in CATEGORIES else "other",
        "expected_gain": _number(header.get("expected_gain", "")),
        "risk": risk if risk in RISKS else "",
        "notes": notes,
    }


def without_thinking(text: str) -> str:
    """`text` without what stands between marks of thinking, before a closing mark, or behind an opening one."""
    if text.lstrip()[:8].lower() == "analysis" and "assistantfinal" in text:  # harmony without its marks
        text = text.rpartition("assistantfinal")[2]
    kept: list[str] = []
    at, thinking = 0, False
    for mark in _MARK.finditer(text):
        if _closes(mark):
            if not thinking:
                kept.clear()
        elif not thinking:
            kept.append(text[at : mark.start()])
        thinking = not _closes(mark)
        at = mark.end()
    if not thinking:
        kept.append(text[at:])
    return _HARMONY.sub("", "".join(kept))


def _closes(mark: re.Match[str]) -> bool:
    groups = mark.groupdict()
    return bool(groups["a"] or groups["b"] or groups["c"] or groups["d"] or groups["e"] or groups["g"] == "5")


def _fences(lines: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Fenced code as (language, text), and the lines outside. What stands after NOTES is left alone."""
    fences: list[tuple[str, str]] = []
    others: list[str] = []
    inside: list[str] = []
    mark = language = ""
    for index, line in enumerate(lines):
        found = _FENCE.fullmatch(line.strip()) if len(line) <= MAX_PATTERN_CHARS else None
        if not mark and _NOTES.fullmatch(line[:MAX_PATTERN_CHARS]):
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
        if notes := _NOTES.fullmatch(line[:MAX_PATTERN_CHARS]):
            text = "\n".join([notes.group(1) or "", *lines[index + 1 :]])
            return header, sanitise(text[:MAX_NOTES_CHARS]).strip()
        if found := _HEADER.fullmatch(line[:MAX_PATTERN_CHARS]):
            header.setdefault(found.group(1).lower(), (found.group(2) or "").strip())
    return header, None


def _number(text: str) -> float | None:
    found = _NUMBER.search(text)
    if not found:
        return None
    value = abs(float(found.group(0)))
    return value if math.isfinite(value) and value < 100 else None
