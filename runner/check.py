"""The check before minutes are spent: is this a new script that could run at all?

`fingerprint` is the hash of the normalised syntax tree: comments, docstrings, formatting and the value of a seed do not
count, so a change of nothing but the seed is a duplicate.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

MAX_BYTES = 200_000
IMAGE_PACKAGES = frozenset(
    {"jax", "jaxlib", "flax", "optax", "numpy", "scipy", "safetensors", "ml_dtypes", "trainer_jax"}
)
_SEED_CALLS = frozenset({"key", "PRNGKey", "default_rng", "seed", "manual_seed"})


class Rejection(StrEnum):
    NOT_UTF8 = "not_utf8"
    TOO_LARGE = "too_large"
    SYNTAX_ERROR = "syntax_error"
    UNKNOWN_IMPORT = "unknown_import"
    DUPLICATE = "duplicate"
    SEED_ONLY = "seed_only"


@dataclass(frozen=True, slots=True)
class Checked:
    """`rejection` is None for a script that may train; `detail` is for the proposer. `nodes` measures complexity."""

    rejection: Rejection | None
    detail: str = ""
    fingerprint: str = ""
    nodes: int = 0


def check(source: bytes, *, seen: Collection[str] = (), parent: str | None = None) -> Checked:
    """`seen` holds the fingerprints of earlier attempts, `parent` the text that was rewritten."""
    if len(source) > MAX_BYTES:
        return Checked(Rejection.TOO_LARGE, f"{len(source)} bytes; at most {MAX_BYTES}")
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        return Checked(Rejection.NOT_UTF8, f"not UTF-8 at byte {error.start}")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        return Checked(Rejection.SYNTAX_ERROR, f"line {line}: {getattr(error, 'msg', 'cannot be parsed')}")
    nodes = sum(1 for _ in ast.walk(tree))
    if unknown := sorted(_imports(tree) - IMAGE_PACKAGES - set(sys.stdlib_module_names)):
        return Checked(
            Rejection.UNKNOWN_IMPORT, f"the image has no package {', '.join(unknown)}", nodes=nodes
        )
    mark = _fingerprint(tree)
    if mark in seen:
        same_text = parent is not None and _exact(ast.parse(text)) == _exact(ast.parse(parent))
        seed_only = parent is not None and not same_text and mark == fingerprint(parent)
        reason = Rejection.SEED_ONLY if seed_only else Rejection.DUPLICATE
        return Checked(reason, "this was tried before", mark, nodes)
    return Checked(None, fingerprint=mark, nodes=nodes)


def fingerprint(text: str) -> str:
    """SHA-256 (hex) of the normalised syntax tree. Raises SyntaxError."""
    return _fingerprint(ast.parse(text))


def constants_only(source: str, parent: str) -> bool:
    """Whether nothing but the values of module-level NAMES = literal differs. Both must parse."""
    trees = [ast.parse(text) for text in (source, parent)]
    same = _exact(trees[0]) == _exact(trees[1])
    for tree in trees:
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                try:
                    ast.literal_eval(node.value)
                except (ValueError, TypeError):
                    continue
                if node.targets[0].id.isupper():
                    node.value = ast.Constant(0)
    return not same and _exact(trees[0]) == _exact(trees[1])


def _fingerprint(tree: ast.Module) -> str:
    return _exact(_SeedsAside().visit(tree))


def _exact(tree: ast.AST) -> str:
    return hashlib.sha256(ast.dump(_DocstringsAside().visit(tree)).encode()).hexdigest()


def _imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


class _DocstringsAside(ast.NodeTransformer):
    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                item
                for item in body
                if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
            ]
        return node


class _SeedsAside(ast.NodeTransformer):
    """Numbers that are seeds become zero: assigned to a name with "seed" in it, or given to a generator."""

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if any("seed" in ast.unparse(target).lower() for target in node.targets):
            node.value = _zero(node.value)
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _SEED_CALLS:
            node.args = [_zero(argument) for argument in node.args]
        self.generic_visit(node)
        return node


def _zero(value: ast.expr) -> ast.expr:
    """A literal, or a literal added to something, without the literal."""
    if isinstance(value, ast.Constant) and isinstance(value.value, int | float):
        return ast.Constant(0)
    if isinstance(value, ast.BinOp) and isinstance(value.right, ast.Constant):
        return _zero(value.left)
    if isinstance(value, ast.BinOp) and isinstance(value.left, ast.Constant):
        return _zero(value.right)
    return value
