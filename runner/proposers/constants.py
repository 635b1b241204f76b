"""The module-level constants of a script that say how they may be tuned, and how to change them in place.

    EMBED_LR = 1.0  # tune: log 0.1 4
    DEPTH = 4       # tune: int 2 8
    WARMDOWN = 0.5  # tune: float 0 0.9
    BATCH = 8       # tune: cat 4 8 16

A constant without such a comment is left alone: its author knows what it may be, and a guessed range wastes nights.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import libcst as cst

Value = int | float | str | bool
_TUNE = re.compile(r"#\s*tune:\s*(log|float|int|cat)\s+(.+)")
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Constant:
    """`choices` for cat; `low` and `high` for the others."""

    name: str
    value: Value
    kind: Literal["log", "float", "int", "cat"]
    low: float = 0.0
    high: float = 0.0
    choices: Sequence[Value] = ()


def find(source: str) -> list[Constant]:
    """Every tunable constant, in order. Raises libcst.ParserSyntaxError."""
    found = []
    for line in cst.parse_module(source).body:
        if not (isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1):
            continue
        statement, comment = line.body[0], line.trailing_whitespace.comment
        if not isinstance(statement, cst.Assign) or comment is None or len(statement.targets) != 1:
            continue
        target = statement.targets[0].target
        if not isinstance(target, cst.Name) or not _NAME.fullmatch(target.value):
            continue
        value = _literal(cst.Module([]).code_for_node(statement.value))
        if value is not None and (constant := _tunable(target.value, value, comment.value)):
            found.append(constant)
    return found


def replace(source: str, values: Mapping[str, Value]) -> str:
    """`source` with these module-level constants changed; comments and formatting stay."""
    return cst.parse_module(source).visit(_Replace(values)).code


class _Replace(cst.CSTTransformer):
    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values
        self._depth = 0

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> None:
        self._depth += 1

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.BaseSuite:
        self._depth -= 1
        return updated_node

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
        target = updated_node.targets[0].target
        if self._depth == 0 and isinstance(target, cst.Name) and target.value in self._values:
            return updated_node.with_changes(value=cst.parse_expression(_text(self._values[target.value])))
        return updated_node


def _tunable(name: str, value: Value, comment: str) -> Constant | None:
    found = _TUNE.search(comment)
    if found is None:
        return None
    kind, words = found.group(1), found.group(2).split()
    if kind == "cat":
        choices = [choice if (choice := _literal(word)) is not None else word for word in words]
        return Constant(name, value, "cat", choices=choices)
    try:
        low, high = float(words[0]), float(words[1])
    except (ValueError, IndexError):
        return None
    if not low < high or (kind == "log" and low <= 0) or isinstance(value, str | bool):
        return None
    return Constant(name, value, kind, low=low, high=high)  # type: ignore[arg-type]


def _literal(text: str) -> Value | None:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return value if isinstance(value, int | float | str | bool) else None


def _text(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) and not value.is_integer() else repr(value)
