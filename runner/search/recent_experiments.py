"""The part of a long run that decisions rest on, so that what they cost does not grow with it."""

from __future__ import annotations

from runner.store.experiment_index import ExperimentIndex
from runner.store.records import Experiment

BLOCK = 256


def recent(index: ExperimentIndex) -> list[Experiment]:
    """All experiments of a run of fewer than 2 BLOCK. Of a longer one the newest BLOCK or more, after the script that was the best when
    they began, as if the run had begun with it: what hundreds of decisions later is still known of older ones is little beside what
    these say. They begin at a multiple of BLOCK, so that what was computed from them can mostly be gone on with."""
    first = max(len(index) // BLOCK - 1, 0) * BLOCK
    before = [experiment for experiment in index.kept if experiment.number < first]
    return [*before[-1:], *index.since(first)]
