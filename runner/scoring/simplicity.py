"""Which of two scripts is simpler, and after how many runs that may decide."""

from __future__ import annotations

from runner.store.records import Experiment

SIMPLER_SHARE = 0.05
"""A script with this share fewer syntax-tree nodes is simpler."""
SIMPLER_RUNS = 3
"""After so many runs, one that is as good is adopted for being simpler."""


def is_simpler(experiment: Experiment, incumbent: Experiment) -> bool:
    return experiment.nodes <= (1 - SIMPLER_SHARE) * incumbent.nodes
