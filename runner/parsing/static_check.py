"""The check before minutes are spent: is this a new script that could run at all?

It compares facts that the parser found (`runner.parsing`); nothing here parses a text.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass

from runner.parsing.client import Parser
from runner.parsing.duplicates import duplicate
from runner.parsing.facts import MAX_SOURCE_BYTES, Facts, Rejection

IMAGE_PACKAGES = frozenset(
    {"jax", "jaxlib", "flax", "optax", "numpy", "scipy", "safetensors", "ml_dtypes", "trainer_jax"}
)


@dataclass(frozen=True, slots=True)
class Checked:
    """`rejection` is None for a script that may train; `detail` is for the proposer."""

    rejection: Rejection | None
    detail: str
    facts: Facts


def check(
    source: bytes, parser: Parser, *, seen: Collection[str] = (), parent: Facts | None = None
) -> Checked:
    """`seen` holds the fingerprints of earlier attempts, `parent` is what was rewritten."""
    facts = _facts(source, parser)
    if facts.rejection is not None:
        return Checked(facts.rejection, facts.detail, facts)
    if unknown := sorted(set(facts.imports) - IMAGE_PACKAGES - set(sys.stdlib_module_names)):
        names = ", ".join(unknown[:5])
        return Checked(Rejection.UNKNOWN_IMPORT, f"the image has no package {names}", facts)
    if reason := duplicate(facts, seen, parent):
        return Checked(reason, "this was tried before", facts)
    return Checked(None, "", facts)


def constants_only(facts: Facts, parent: Facts) -> bool:
    """Whether nothing but the values of module-level NAMES = literal differs."""
    return facts.exact != parent.exact and facts.same_code_as(parent)


def _facts(source: bytes, parser: Parser) -> Facts:
    if len(source) > MAX_SOURCE_BYTES:
        return Facts(Rejection.TOO_LARGE, f"{len(source)} bytes; at most {MAX_SOURCE_BYTES}")
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        return Facts(Rejection.NOT_UTF8, f"not UTF-8 at byte {error.start}")
    return parser.facts(text)
