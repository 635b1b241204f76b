"""Proposers by name. Each module is loaded only when its proposer is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runner.errors import UsageError
from runner.protocols import Proposer
from runner.store.config import with_path
from runner.suggestions import unknown

NAMES = ("tpe", "random", "repeat", "ablate", "scripted:FOLDER", "command:PROGRAM", "llm", "hybrid")
_WITH_ARGUMENT = frozenset(f"{name.partition(':')[0]}:" for name in NAMES if ":" in name)
MODELS = frozenset({"llm", "hybrid"})
"""Proposers that call a language model, and so may cost money."""


def absolute(spec: str) -> str:
    """The same proposer from whatever folder: a resumed run may be gone on with from another one."""
    return with_path(spec, lambda path: str(Path(path).resolve()))


def make_proposer(
    spec: str, *, seed: int, timeout_s: float = 180.0, model: Callable[[], Proposer] | None = None
) -> Proposer:
    """One of NAMES. `timeout_s` is for one answer of a command, `model` makes the researcher behind llm and hybrid.
    Raises UsageError for anything else."""
    name, colon, argument = spec.partition(":")
    if f"{name}:" not in _WITH_ARGUMENT and colon:
        raise UsageError(_unknown(spec))
    if name == "tpe":
        from runner.proposers.tpe import TpeProposer

        return TpeProposer(seed)
    if name == "random":
        from runner.proposers.random_search import RandomProposer

        return RandomProposer(seed)
    if name == "repeat":
        from runner.proposers.repeat import RepeatProposer

        return RepeatProposer()
    if name == "ablate":
        from runner.proposers.ablate import AblateProposer

        return AblateProposer()
    if name == "scripted" and argument:
        from runner.proposers.scripted import ScriptedProposer

        return ScriptedProposer(Path(argument))
    if name == "command" and argument:
        from runner.proposers.command import CommandProposer

        return CommandProposer(argument, timeout_s=timeout_s)
    if name in MODELS and model is not None:
        if name == "llm":
            return model()
        from runner.proposers.hybrid import HybridProposer
        from runner.proposers.tpe import TpeProposer

        return HybridProposer(model(), TpeProposer(seed))
    raise UsageError(_unknown(spec))


def _unknown(spec: str) -> str:
    return unknown("proposer", spec, NAMES)
