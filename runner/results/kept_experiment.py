"""Finds a kept experiment by its number, its image tag, or as the best one."""

from __future__ import annotations

from runner.errors import NothingEvaluated, UsageError
from runner.store.ledger import Ledger
from runner.store.records import Experiment


def find(ledger: Ledger, name: str, run: str | None = None) -> Experiment:
    """The kept experiment that `name` means: a number of the run, a tag of any run, or "best". Raises UsageError,
    NothingEvaluated."""
    if ":" in name:
        every = [e for item in ledger.runs() for e in ledger.experiments(item.id)]
        found = [e for e in every if e.tag == name and e.status == "keep"]
        if not found:
            raise UsageError(
                f"no kept experiment of this workspace has the tag {name}; `autoresearch ls --json` shows tags"
            )
        return found[-1]
    current = ledger.run(run)
    if name == "best":
        kept = [e for e in ledger.experiments(current.id) if e.status == "keep"]
        if not kept:
            raise NothingEvaluated(f"run {current.id} has kept nothing yet")
        return kept[-1]
    if not (name.isascii() and name.isdigit()):
        raise UsageError(f"{name!r} is neither an experiment's number, nor a tag, nor best")
    experiment = ledger.experiment(current.id, int(name))
    if experiment.status != "keep":
        raise UsageError(f"experiment {name} was not kept ({experiment.status}); `autoresearch ls` lists all")
    return experiment
