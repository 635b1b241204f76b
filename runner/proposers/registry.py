"""Proposers by name. Each module is loaded only when its proposer is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runner.errors import UsageError
from runner.protocols import Proposer
from runner.store.config import with_path
from runner.store.config_checks import problem

MODELS = frozenset({"llm", "hybrid"})
"""Proposers that call a language model, and so may cost money."""


def absolute(spec: str) -> str:
    """The same proposer from whatever folder: a resumed run may be gone on with from another one."""
    return with_path(spec, lambda path: str(Path(path).resolve()))


def make_proposer(
    spec: str, *, seed: int, timeout_s: float = 180.0, model: Callable[[], Proposer] | None = None
) -> Proposer:
    """One of config_checks.PROPOSERS. `timeout_s` is for one answer of a command, `model` makes the researcher behind llm and hybrid.
    Raises UsageError for anything else."""
    if why := problem("proposer", spec):
        raise UsageError(why)
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
    if name == "ablate":
        from runner.proposers.ablate import AblateProposer

        return AblateProposer()
    if name == "scripted":
        from runner.proposers.scripted import ScriptedProposer

        return ScriptedProposer(Path(argument))
    if name == "command":
        from runner.proposers.command import CommandProposer

        return CommandProposer(argument, timeout_s=timeout_s)
    if name in MODELS and model is not None:
        if name == "llm":
            return model()
        from runner.proposers.hybrid import HybridProposer
        from runner.proposers.tpe import TpeProposer

        return HybridProposer(model(), TpeProposer(seed))
    raise UsageError(f"the proposer {spec} needs a language model")
