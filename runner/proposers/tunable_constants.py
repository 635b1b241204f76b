"""The tunable constants of a script (docs/proposers.md says how one is marked), and how to change them in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.parsing.facts import Constant, Value


def replace(source: str, constants: Sequence[Constant], values: Mapping[str, Value]) -> str:
    """`source`, whose constants these are, with other values; comments and formatting stay."""
    text = source.encode("utf-8", errors="replace")
    for constant in sorted(constants, key=lambda constant: -constant.start):
        if constant.name in values:
            text = text[: constant.start] + _text(values[constant.name]).encode() + text[constant.end :]
    return text.decode("utf-8", errors="replace")


def _text(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) and not value.is_integer() else repr(value)
