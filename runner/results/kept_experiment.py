"""Finds a kept experiment by its number, its image tag, or as the best one."""

from __future__ import annotations

from runner.errors import NothingEvaluated, UsageError
from runner.scoring.best_script import best_of
from runner.store.config import LARGEST_NUMBER
from runner.store.ledger import Ledger
from runner.store.records import Experiment
from runner.suggestions import did_you_mean

_DIGITS = len(str(LARGEST_NUMBER))


def find(ledger: Ledger, name: str, run: str | None = None) -> Experiment:
    """The kept experiment that `name` means: a number of the run, a tag of any run, or "best". Raises UsageError,
    NothingEvaluated."""
    if ":" in name:
        found = ledger.tagged(name)
        if found is None:
            raise UsageError(
                f"no kept experiment of this workspace has the tag {name}; `autoresearch ls --json` shows tags"
            )
        return found
    current = ledger.run(run)
    if name == "best":
        best = best_of(ledger, current.id)
        if best is None:
            raise NothingEvaluated(f"run {current.id} has kept nothing yet")
        return best
    if not (name.isascii() and name.isdigit()):
        meant = did_you_mean(name, ["best"])
        raise UsageError(f"{name[:80]!r} is neither an experiment's number, nor a tag, nor best{meant}")
    if len(name) > _DIGITS or int(name) > LARGEST_NUMBER:
        raise UsageError(f"{name[:80]} is no experiment's number: it is above {LARGEST_NUMBER}")
    experiment = ledger.experiment(current.id, int(name))
    if not experiment.kept:
        raise UsageError(f"experiment {name} was not kept ({experiment.status}); `autoresearch ls` lists all")
    return experiment
