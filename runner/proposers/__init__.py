"""Proposers by name. Each is loaded only when asked for."""

from __future__ import annotations

from pathlib import Path

from runner.errors import UsageError
from runner.protocols import Proposer

NAMES = ("tpe", "random", "repeat", "scripted:FOLDER")


def make_proposer(spec: str, *, seed: int) -> Proposer:
    """`tpe`, `random`, `repeat` or `scripted:FOLDER`. Raises UsageError for anything else."""
    name, _, argument = spec.partition(":")
    if name == "tpe":
        from runner.proposers.tpe import TpeProposer

        return TpeProposer(seed)
    if name == "random":
        from runner.proposers.random_search import RandomProposer

        return RandomProposer(seed)
    if name == "repeat":
        from runner.proposers.repeat import RepeatProposer

        return RepeatProposer()
    if name == "scripted":
        from runner.proposers.scripted import ScriptedProposer

        return ScriptedProposer(Path(argument))
    raise UsageError(f"there is no proposer {spec!r}; choose one of {', '.join(NAMES)}")
