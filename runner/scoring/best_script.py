"""Which script is the best one: what the search builds on, and what `best` shows.

It is the newest kept one: each was adopted because it was expected to be better than the one before, or as good and simpler.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.protocols import Decision
from runner.store.ledger_queries import Queries
from runner.store.records import Experiment


def best(experiments: Sequence[Experiment]) -> Experiment:
    """Of `experiments`, in order; at least the baseline is kept."""
    return next(e for e in reversed(experiments) if e.kept)


def with_the_best_before(experiments: Sequence[Experiment]) -> Iterator[tuple[Experiment, Experiment]]:
    """Each of `experiments`, in order, with what was the best script when it was first trained; those before the first are left
    out."""
    then = None
    for experiment in experiments:
        if then is not None:
            yield experiment, then
        if experiment.kept and experiment.counted:
            then = experiment


def best_of(ledger: Queries, run: str) -> Experiment | None:
    """Without reading the others; None before the baseline has a score."""
    return ledger.newest(run, Decision.KEEP)
