"""Whether a script was tried before: its fingerprint is compared with those of earlier experiments.

A fingerprint (`runner.parsing.fingerprint`) leaves out comments, docstrings, formatting and the seed.
"""

from __future__ import annotations

from collections.abc import Collection

from runner.parsing.facts import Facts, Rejection


def duplicate(facts: Facts, seen: Collection[str], parent: Facts | None) -> Rejection | None:
    """Why not to train it: it is in `seen`, or differs from its parent in nothing but the seed. None for a new one."""
    if facts.fingerprint not in seen:
        return None
    if parent is not None and facts.exact != parent.exact and facts.fingerprint == parent.fingerprint:
        return Rejection.SEED_ONLY
    return Rejection.DUPLICATE
