"""The common seeds of a run: every script meets the same ones in the same order, so differences can be taken seed by seed."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Collection

from runner.store.records import Experiment

AHEAD = 5
"""How many unused seeds a decision looks at."""


@functools.lru_cache(maxsize=65536)
def common_seed(run_seed: int, index: int) -> int:
    """Chosen by the host, never by the candidate: 31 bits that follow from the run's seed."""
    digest = hashlib.sha256(f"{run_seed}/{index}".encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFFFFFF


def first_unused(run_seed: int, used: Collection[int], *, after: int = 0) -> int:
    """Index of the first common seed that nothing ran with. Those before `after` are known to be used for good."""
    return next(index for index in itertools.count(after) if common_seed(run_seed, index) not in used)


def usual_seed(run_seed: int, best: Experiment) -> int:
    """Of a new candidate's first run: the newest that the best script ran with, so that fresh ones come into use as the run goes on
    and the search does not learn one seed."""
    counted = best.counted
    return max(counted, key=lambda a: a.order).seed if counted else common_seed(run_seed, 0)
