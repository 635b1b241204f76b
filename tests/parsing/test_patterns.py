"""Every regular expression of the runner and of what makes text harmless takes time in proportion to what it reads.

Each is tried on texts made from its own letters: the shortest text that matches it, cut off at every place, then one of its
letters over and over, then one that fits nowhere. A pattern with two neighbouring `\\s*` is a thousand times slower on these.
"""

from __future__ import annotations

import ast
import importlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "runner" / "tasks" / "shipped"
"""Files of tasks, which run in their containers."""
MODULES = sorted(
    path
    for package in ("runner", "sandbox")
    for path in (ROOT / package).rglob("*.py")
    if not path.is_relative_to(SHIPPED)
)
SMALL, LARGE = 1_500, 6_000
NOISE_S = 0.03
"""CPU seconds below which a clock says nothing."""
OURS = {
    "runner.durations": "options of the user",
    "runner.images.build": "the lock file of this package",
    "sandbox.prerequisites": "versions that the engine and the driver name",
}
"""Modules whose patterns read nothing that a candidate, a model or a proposer wrote."""
RATIO = 9.0
"""Four times the text takes four times as long where time is in proportion, sixteen times where it is quadratic."""


def used(path: Path, name: str) -> bool:
    """Whether the module looks for the pattern everywhere in a text, not only in a whole line."""
    return re.search(rf"\b{name}\.(search|sub|finditer|findall|split)\b", path.read_text()) is not None


def patterns() -> Iterator[tuple[str, re.Pattern[Any], bool]]:
    for path in MODULES:
        if path.name == "__main__.py":
            continue
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name in OURS:
            continue
        for key, value in vars(importlib.import_module(name)).items():
            if isinstance(value, re.Pattern):
                yield f"{name}.{key}", value, used(path, key)
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            inline = ast.unparse(node.func.value) == "re" and node.func.attr != "compile"
            if inline and isinstance(node.args[0], ast.Constant):
                yield f"{name}:{node.lineno}", re.compile(node.args[0].value), True


PATTERNS = {name: (pattern, anywhere) for name, pattern, anywhere in patterns()}


def letter(item: Any) -> str:
    """One letter that a part of a pattern matches."""
    kind, value = str(item[0]), item[1]
    if kind == "LITERAL":
        return chr(value)
    if kind == "RANGE":
        return chr(value[0])
    if kind == "CATEGORY":
        return {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "1", "CATEGORY_WORD": "a"}.get(str(value), "x")
    return "x"


def walk(tree: Any) -> tuple[str, set[str]]:
    """The shortest text that matches, and the letters that may repeat."""
    text, letters = "", set[str]()
    for kind, value in tree:
        name = str(kind)
        if name == "SUBPATTERN":
            inner, more = walk(value[-1])
        elif name == "BRANCH":
            branches = [walk(branch) for branch in value[1]]
            inner, more = branches[0][0], set().union(*(found for _, found in branches))
        elif name in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            once, more = walk(value[2])
            inner = once * min(value[0], 10)
            more = more | set(once)
        elif name == "IN":
            more = {letter(item) for item in value}
            inner = "x" if str(value[0][0]) == "NEGATE" else letter(value[0])
        elif name == "AT" or name.startswith("ASSERT") or name == "GROUPREF":
            continue
        else:
            inner, more = letter((kind, value)), {letter((kind, value))}
        text += inner
        letters |= more
    return text, letters


def hostile(pattern: re.Pattern[Any], size: int) -> Iterator[str]:
    sample, letters = walk(parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE))
    units = sorted(letters | {" ", "\t", "a", "1"})[:12]
    for cut in sorted({0, *range(1, min(len(sample), 5) + 1), len(sample)}):
        for unit in units:
            yield sample[:cut] + unit * size + "\0"
    if sample:
        yield sample * (size // len(sample)) + "\0"
        yield (sample[:-1] + " ") * (size // len(sample)) + "\0"


def seconds(pattern: re.Pattern[Any], text: str, anywhere: bool) -> float:
    subject: Any = text.encode() if isinstance(pattern.pattern, bytes) else text
    began = time.process_time()
    pattern.fullmatch(subject)
    if anywhere:
        pattern.sub(pattern.pattern[:0], subject)
    return time.process_time() - began


def slow(pattern: re.Pattern[Any], anywhere: bool) -> str | None:
    """A text on which it is, or None."""
    for small, large in zip(hostile(pattern, SMALL), hostile(pattern, LARGE), strict=True):
        took = seconds(pattern, large, anywhere)
        if took > NOISE_S and took > RATIO * max(seconds(pattern, small, anywhere), NOISE_S / RATIO):
            took = min(took, seconds(pattern, large, anywhere))
            if took > RATIO * max(seconds(pattern, small, anywhere), NOISE_S / RATIO):
                return repr(large[:20])
    return None


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_takes_time_in_proportion_to_the_text(name: str) -> None:
    assert slow(*PATTERNS[name]) is None


def test_a_pattern_that_takes_more_is_found_out() -> None:
    assert slow(re.compile(r"\s*(`{3,}|~{3,})\s*([\w+-]*)\s*"), False) is not None


def test_the_patterns_that_read_answers_are_among_them() -> None:
    assert {
        "runner.parsing.answers._FENCE",
        "runner.parsing.edits._ELISION",
        "sandbox.sanitise._ESCAPES",
    } <= set(PATTERNS)
