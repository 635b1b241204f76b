"""Which script is the best one: what the search builds on, and what `best` shows.

It is the newest kept one: each was adopted because it was expected to be better than the one before, or as good and simpler.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.store.ledger_queries import Queries
from runner.store.records import Experiment

KEPT = "keep"


def best(experiments: Sequence[Experiment]) -> Experiment:
    """Of `experiments`, in order; at least the baseline is kept."""
    return next(e for e in reversed(experiments) if e.status == KEPT)


def best_of(ledger: Queries, run: str) -> Experiment | None:
    """Without reading the others; None before the baseline has a score."""
    return ledger.newest(run, KEPT)
