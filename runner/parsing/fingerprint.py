"""What makes two scripts the same: digests of the syntax tree. Runs in the parser's child process only.

Comments, docstrings, formatting and the values of seeds do not count in a fingerprint, so a change of nothing but the seed
is a duplicate. Every traversal has its own stack: a sum of 5,000 terms is a tree 5,000 deep, and no reason to die.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

_SEED_CALLS = frozenset({"key", "PRNGKey", "default_rng", "seed", "manual_seed"})
_LITERAL = (
    ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.UnaryOp, ast.USub, ast.UAdd, ast.Load,
)  # fmt: skip
_ZERO = ast.Constant(0)
_END_OF_NODE, _END_OF_LIST = object(), object()


class Digests(NamedTuple):
    """See `runner.parsing.facts.Facts`, which says what each leaves out."""

    fingerprint: str
    exact: str
    skeleton: str


def digests(tree: ast.Module) -> Digests:
    seeds: dict[int, ast.AST] = {}
    for node in walk(tree):
        _set_seeds_aside(node, seeds)
    zeros: dict[int, ast.AST] = {id(value): _ZERO for value in _constants(tree)}
    return Digests(_digest(tree, seeds), _digest(tree, {}), _digest(tree, zeros))


def walk(tree: ast.AST) -> Iterator[ast.AST]:
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(ast.iter_child_nodes(node))


def _digest(tree: ast.AST, instead: dict[int, ast.AST]) -> str:
    """SHA-256 of the tree without docstrings; nodes whose id is in `instead` are taken for what stands there."""
    said = hashlib.sha256()
    todo: list[object] = [tree]
    while todo:
        item = todo.pop()
        if isinstance(item, ast.AST):
            node = instead.get(id(item), item)
            said.update(type(node).__name__.encode() + b"(")
            todo.append(_END_OF_NODE)
            for name in reversed(node._fields):
                value = getattr(node, name, None)
                if name not in {"ctx", "kind", "type_comment"}:
                    todo.append(value)
        elif isinstance(item, list):
            said.update(b"[")
            todo.append(_END_OF_LIST)
            todo.extend(reversed([child for child in item if not _is_text(child)]))
        elif item is _END_OF_NODE or item is _END_OF_LIST:
            said.update(b")" if item is _END_OF_NODE else b"]")
        else:
            said.update(_atom(item))
    return said.hexdigest()


def _is_text(node: object) -> bool:
    """A constant that stands alone as a statement: a docstring, or a comment in its form."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _atom(value: object) -> bytes:
    """A constant or a name: unambiguous, and linear in its length (decimal digits of an int are not)."""
    if isinstance(value, bool) or not isinstance(value, int | str | bytes):
        text = repr(value).encode()
    elif isinstance(value, int):
        text = hex(value).encode()
    else:
        text = value.encode("utf-8", errors="surrogatepass") if isinstance(value, str) else value
    return f"{type(value).__name__} {len(text)} ".encode() + text


def _set_seeds_aside(node: ast.AST, seeds: dict[int, ast.AST]) -> None:
    """Numbers that are seeds become zero: assigned to a name with "seed" in it, or given to a generator."""
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any("seed" in name.lower() for target in targets for name in _names(target)):
            seeds[id(node.value)] = _zero(node.value)
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [*node.args, *(word.value for word in node.keywords)] if name in _SEED_CALLS else []
        given += [word.value for word in node.keywords if "seed" in (word.arg or "").lower()]
        for value in given:
            seeds[id(value)] = _zero(value)


def _names(target: ast.AST) -> Iterator[str]:
    for node in walk(target):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _zero(value: ast.expr) -> ast.expr:
    """A literal, or a literal added to something, without the literal."""
    found = value
    while True:
        if isinstance(found, ast.UnaryOp):
            found = found.operand
        elif isinstance(found, ast.BinOp) and isinstance(found.right, ast.Constant):
            found = found.left
        elif isinstance(found, ast.BinOp) and isinstance(found.left, ast.Constant):
            found = found.right
        elif isinstance(found, ast.Constant) and isinstance(found.value, int | float):
            return _ZERO
        else:
            return found


def _constants(tree: ast.Module) -> Iterator[ast.expr]:
    """The values of module-level NAMES = literal."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            literal = all(isinstance(part, _LITERAL) for part in walk(node.value))
            if literal and node.targets[0].id.isupper():
                yield node.value
