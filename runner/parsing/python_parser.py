"""The facts of a script, from its syntax tree. Runs in the parser's child process only.

A constant is tunable when a comment behind it says how; its author knows what it may be, and a guessed range wastes trainings:

    EMBED_LR = 1.0  # tune: log 0.1 4
    DEPTH = 4       # tune: int 2 8
    WARMDOWN = 0.5  # tune: float 0 0.9
    BATCH = 8       # tune: cat 4 8 16
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import asdict

from runner.parsing.facts import (
    LARGEST,
    MAX_CHOICES,
    MAX_CONSTANTS,
    MAX_IMPORTS,
    MAX_NAME_CHARS,
    Constant,
    Facts,
    Rejection,
    Value,
)
from runner.parsing.fingerprint import digests, walk

BYTES_A_NODE = 8
"""An ordinary script has about five bytes a node, comments included; the shipped train.py has 5.0."""
_MAX_COMMENT, _MAX_TEXT = 1000, 200
_TUNE = re.compile(r"#[ \t]*tune:[ \t]*(log|float|int|cat)[ \t]+(\S.*)")
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_BLANKS = re.compile(rb" {3,}|\t{3,}|\n{3,}")


def facts(text: str) -> Facts:
    """The facts of `text`. Raises MemoryError for a tree that is too large."""
    source = text.encode("utf-8", errors="replace")
    lines = source.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(lines).readline)
    except (SyntaxError, OSError):  # OSError: a codec that is not loaded, where no file can be opened
        encoding = "unknown"
    if encoding not in {"utf-8", "utf-8-sig"}:  # what is a comment here could be code there
        return Facts(Rejection.NOT_UTF8, "the script declares another encoding than UTF-8")
    mark = "\ufeff"
    try:
        tree = ast.parse(text.removeprefix(mark))
    except (SyntaxError, ValueError, RecursionError) as error:
        line, said = getattr(error, "lineno", None), getattr(error, "msg", "cannot be parsed")
        return Facts(Rejection.SYNTAX_ERROR, f"line {line}: {said}"[:300])
    nodes, imports = 0, set[str]()
    for node in walk(tree):
        nodes += 1
        if isinstance(node, ast.Import):
            imports |= {alias.name.partition(".")[0][:MAX_NAME_CHARS] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            imports.add(node.module.partition(".")[0][:MAX_NAME_CHARS])
    return Facts(
        **digests(tree)._asdict(),
        nodes=nodes + max(0, len(_BLANKS.sub(b"  ", lines)) - BYTES_A_NODE * nodes),
        imports=tuple(sorted(imports)[:MAX_IMPORTS]),
        constants=tuple(_tunable(tree, source, 3 if text.startswith(mark) else 0))[:MAX_CONSTANTS],
    )


def facts_reply(text: str) -> dict[str, object]:
    """The same as JSON values."""
    return asdict(facts(text))


def signatures(text: str) -> str:
    """A module as its users see it: its docstring, and of each public function the signature and the docstring."""
    tree = ast.parse(text)
    functions = [
        f"def {node.name}({ast.unparse(node.args)}):\n    {ast.get_docstring(node) or ''}"
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    return "\n\n".join([ast.get_docstring(tree) or "", *functions])


# -- tunable constants -----------------------------------------------------------------------------------------------
def _tunable(tree: ast.Module, source: bytes, offset: int) -> Iterator[Constant]:
    """Every tunable constant, in order; of a name that is assigned twice, nothing. `offset`: bytes before the first line."""
    ends = (found.end() for found in re.finditer(rb"\r\n|\r|\n", source))
    starts = [offset, *ends, len(source) + 1]
    assigned: dict[str, int] = {}
    statements = [node for node in tree.body if isinstance(node, ast.Assign)]
    for node in statements:
        for target in node.targets:
            if isinstance(target, ast.Name):
                assigned[target.id] = assigned.get(target.id, 0) + 1
    for node in statements:
        target = node.targets[0]
        if len(node.targets) != 1 or not isinstance(target, ast.Name) or node.col_offset != 0:
            continue
        if not _NAME.fullmatch(target.id) or len(target.id) > MAX_NAME_CHARS or assigned[target.id] > 1:
            continue
        value = _literal(node.value)
        last, end = node.end_lineno or 0, node.end_col_offset or 0
        comment = source[starts[last - 1] + end : starts[last]].strip(b" \t\f\r\n")
        if value is None or not comment.startswith(b"#") or len(comment) > _MAX_COMMENT:
            continue
        span = (
            starts[node.value.lineno - 1] + node.value.col_offset,
            starts[(node.value.end_lineno or 0) - 1] + (node.value.end_col_offset or 0),
        )
        constant = _constant(target.id, value, comment.decode("utf-8", errors="replace"), span)
        if constant is not None and _text_literal(source[slice(*span)]) == value:
            yield constant


def _constant(name: str, value: Value, comment: str, span: tuple[int, int]) -> Constant | None:
    found = _TUNE.search(comment)
    if found is None:
        return None
    kind, words = found.group(1), found.group(2).split()
    if kind == "cat":
        choices = [word if (read := _text_literal(word.encode())) is None else read for word in words]
        if len(choices) > MAX_CHOICES or max(map(len, words)) > _MAX_TEXT:
            return None
        return Constant(name, value, "cat", choices=tuple(choices), start=span[0], end=span[1])
    try:
        low, high = float(words[0]), float(words[1])
    except (ValueError, IndexError):
        return None
    if not (low < high and abs(low) <= LARGEST and abs(high) <= LARGEST) or isinstance(value, str | bool):
        return None
    if kind == "log" and low < 1 / LARGEST:
        return None
    return Constant(name, value, kind, low, high, (), *span)  # type: ignore[arg-type]


def _literal(node: ast.expr) -> Value | None:
    """A number, text or bool, with its sign; None for everything else and for what no range could hold."""
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign, node = -1 if isinstance(node.op, ast.USub) else 1, node.operand
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, str | bool):
        return value if sign == 1 and len(str(value)) <= _MAX_TEXT else None
    if isinstance(value, int) and value < 1 << 62:
        return sign * value
    return sign * value if isinstance(value, float) and value <= LARGEST else None


def _text_literal(text: bytes) -> Value | None:
    try:
        return _literal(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError):
        return None
