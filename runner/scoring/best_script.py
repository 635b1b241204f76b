"""Which script is the best one: what the search builds on, and what `best` shows.

It is the one that was kept last: each was adopted because it was expected to be better than the one before, or as good and simpler.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from runner.protocols import Decision
from runner.store.ledger_queries import Queries
from runner.store.records import Experiment


def best(experiments: Sequence[Experiment]) -> Experiment:
    """Of `experiments` in the order of their decisions, as `ExperimentIndex.kept` has them; at least the baseline is kept."""
    return next(e for e in reversed(experiments) if e.kept)


def decided(experiment: Experiment) -> int:
    """A key that sorts by the order of decisions; 0 before there is one."""
    return experiment.decision or 0


def with_the_best_before(experiments: Sequence[Experiment]) -> Iterator[tuple[Experiment, Experiment]]:
    """Each of `experiments` that was trained, in order, with what was the best script then; those before the first are left out."""
    kept = sorted((e for e in experiments if e.kept and e.counted), key=decided)
    places = [e.decided_after or 0 for e in kept]
    for experiment in experiments:
        if experiment.attempts and (place := bisect_left(places, experiment.attempts[0].order)):
            yield experiment, kept[place - 1]


def best_of(ledger: Queries, run: str) -> Experiment | None:
    """Without reading the others; None before the baseline has a score."""
    return ledger.last_decided(run, Decision.KEEP)
