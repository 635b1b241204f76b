"""Checks that a sort compares as jax.numpy does: a strict weak order for all values.

XLA's CPU sort passes the comparator to std::sort or std::stable_sort. With a comparator that contradicts itself these read and
write outside of their buffer (20 equal values and the comparator `true`: a segmentation fault). So the region must be one that
jax itself writes (jax/_src/lax/lax.py `_sort_lt_comparator`; the decomposition of chlo.top_k): keys from first to last, each
compared in the total order of its type; a float may be made canonical first (one zero, one NaN).
"""

from __future__ import annotations

from typing import Any

from jaxlib.mlir import ir

_NAN = {  # the bits of the canonical NaN
    "f8E4M3FN": "0x7F",
    "f8E5M2": "0x7E",
    "f16": "0x7E00",
    "bf16": "0x7FC0",
    "f32": "0x7FC00000",
    "f64": "0x7FF8000000000000",
}
_COMPLEX = {"complex<f32>": "f32", "complex<f64>": "f64"}
_MAX_OPS_PER_KEY = 32
"""jax writes at most 24 (for a complex key)."""


class _Numbered:
    """Numbers expressions: equal ones get the same number, so that comparing two takes one step, however large they are."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], int] = {}

    def __call__(self, *expression: Any) -> int:
        return self._known.setdefault(expression, len(self._known))


def is_total_order(sort: Any) -> bool:
    """Whether the comparator of a `stablehlo.sort` is one that jax writes, with any number of its first operands as keys."""
    number = _Numbered()
    block = sort.regions[0].blocks[0]
    arguments = list(block.arguments)
    given = _given(block, arguments, number)
    if given is None:
        return False
    kinds = [str(argument.type.element_type) for argument in arguments[::2]]
    pairs = [(number("argument", 2 * n), number("argument", 2 * n + 1), kind) for n, kind in enumerate(kinds)]
    return any(
        given == _expected(pairs[:keys], direction, canonical, number)
        for canonical in (True, False)
        for direction in ("LT", "GT")
        for keys in range(1, len(pairs) + 1)
    )


def _given(block: Any, arguments: list[Any], number: _Numbered) -> int | None:
    """The number of the expression that the region returns; None if it contains anything that jax's comparators do not."""
    known = {argument: number("argument", n) for n, argument in enumerate(arguments)}
    for count, item in enumerate(block):
        op = item.operation
        if count > _MAX_OPS_PER_KEY * len(arguments) or op.regions:
            return None
        operands = [known[value] if value in known else _constant(value, number) for value in op.operands]
        if None in operands:
            return None
        if op.name == "stablehlo.return":
            return operands[0] if len(operands) == 1 else None
        if len(op.results) != 1:
            return None
        names = sorted(op.attributes)
        if op.name == "stablehlo.compare" and str(op.operands[0].type.element_type) not in _NAN:
            # for integers the backends ignore compare_type: the order is total either way
            names = [name for name in names if name != "compare_type"]
        texts = (str(op.attributes[name]) for name in names)
        known[op.results[0]] = number(op.name, *texts, *operands)
    return None


def _constant(value: Any, number: _Numbered) -> int | None:
    """The number of a constant from outside the region; None if `value` is no constant."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.name != "stablehlo.constant":
        return None
    return number("stablehlo.constant", str(owner.attributes["value"]))


def _expected(
    pairs: list[tuple[int, int, str]], direction: str, canonical: bool, number: _Numbered
) -> int | None:
    """The number of jax's comparator for these keys (left, right, element type), the first key first. `direction` is LT or GT."""

    def compare(how: str, order: str, *operands: int) -> int:
        words = [f"#stablehlo<comparison_type {order}>"] if order else []
        words.append(f"#stablehlo<comparison_direction {how}>")
        return number("stablehlo.compare", *words, *operands)

    def constant(text: str, kind: str) -> int:
        return number("stablehlo.constant", f"dense<{text}> : tensor<{kind}>")

    def key(value: int, kind: str) -> int:
        if not canonical or kind not in _NAN:
            return value
        zero = constant("0.000000e+00", kind)
        one_zero = number("stablehlo.select", compare("EQ", "FLOAT", value, zero), zero, value)
        return number(
            "stablehlo.select", compare("NE", "FLOAT", value, value), constant(_NAN[kind], kind), one_zero
        )

    keys: list[tuple[int, int, str]] = []
    for left, right, kind in pairs:
        part = _COMPLEX.get(kind)
        for name in ("real", "imag") if part else ("",):
            sides = [number(f"stablehlo.{name}", side) if part else side for side in (left, right)]
            keys.append((key(sides[0], part or kind), key(sides[1], part or kind), part or kind))
    result: int | None = None
    for left, right, kind in reversed(keys):
        order = "TOTALORDER" if kind in _NAN else ""
        first = compare(direction, order, left, right)
        if result is None:
            result = first
        else:
            tied = number("stablehlo.and", compare("EQ", order, left, right), result)
            result = number("stablehlo.or", first, tied)
    return result
