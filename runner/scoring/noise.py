"""How much the scores of one script vary from run to run, pooled over every script that ran more than once: for what is shown, and for
claims. What adoption assumes about noise is in `variance_components`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runner.scoring.quantiles import CLAIM_QUANTILES, REPEAT_QUANTILES, tabled
from runner.scoring.scores import runs
from runner.store.records import Experiment

PRIOR_FREEDOM = 12
"""At most so many degrees of freedom does the noise of earlier runs count in a confirmation: the pairs are to have their say."""


@dataclass(frozen=True, slots=True)
class Noise:
    """`sigma` is the standard deviation (bits per byte) of one run of one script; `freedom` its degrees of freedom."""

    sigma: float
    freedom: int

    @property
    def repeat_quantile(self) -> float:
        """Within how many standard errors a repetition lies (99 %, two-sided)."""
        return tabled(REPEAT_QUANTILES, self.freedom)


def pooled(groups: Sequence[Sequence[float]]) -> Noise | None:
    """Training noise from every script that ran at least twice; None when none did."""
    squares = freedom = 0.0
    for scores in groups:
        if len(scores) >= 2:
            mean = math.fsum(scores) / len(scores)
            squares += math.fsum((score - mean) ** 2 for score in scores)
            freedom += len(scores) - 1
    return Noise(math.sqrt(squares / freedom), int(freedom)) if freedom else None


def smallest_confirmed(noise: Noise, pairs: int) -> float:
    """By how many bits per byte the mean of so many pairs must be better, where they spread as `noise` says."""
    freedom = min(noise.freedom, PRIOR_FREEDOM) + pairs - 1
    return tabled(CLAIM_QUANTILES, freedom) * noise.sigma * math.sqrt(2.0 / pairs)


MOST_EARLIER = 60
"""Runs of earlier searches that the noise is learned from: the newest."""


def repeated_runs(searches: Iterable[Sequence[Experiment]]) -> list[list[tuple[int, float]]]:
    """The runs of each script that ran more than once, of several searches, oldest first."""
    groups = [runs(e) for experiments in searches for e in experiments if len(e.attempts) > 1]
    kept: list[list[tuple[int, float]]] = []
    for group in reversed([group for group in groups if len(group) > 1]):
        if sum(map(len, kept)) + len(group) > MOST_EARLIER:
            break
        kept.insert(0, group)
    return kept


def noise_floor(
    experiments: Iterable[Experiment], earlier: Sequence[Sequence[tuple[int, float]]] = ()
) -> Noise | None:
    """Training noise, pooled over all that ran more than once, in `earlier` searches too. Runs of several scripts under one seed
    share a part of it, so the degrees of freedom are at most one less than there were seeds."""
    groups = [*earlier, *(runs(experiment) for experiment in experiments if len(experiment.attempts) > 1)]
    groups = [group for group in groups if len(group) > 1]
    found = pooled([[score for _, score in group] for group in groups])
    seeds = len({seed for group in groups for seed, _ in group})
    return found and Noise(found.sigma, min(found.freedom, max(seeds - 1, 1)))


STEADY = 0.2
"""A script whose runs spread by less than this share of the baseline's spread hardly heeds its seed: it lends nobody its spread."""


def claim_noise(
    experiments: Sequence[Experiment], earlier: Sequence[Sequence[tuple[int, float]]] = ()
) -> Noise | None:
    """The noise that a claim is held against: at least the baseline's own, which no proposal can make smaller."""
    own = pooled([[score for _, score in runs(experiment)] for experiment in experiments[:1]])
    if own is None:
        return noise_floor(experiments, earlier)
    heeding = [e for e in experiments if len(runs(e)) < 2 or _spread(runs(e)) >= STEADY * own.sigma]
    found = noise_floor(heeding, [group for group in earlier if _spread(group) >= STEADY * own.sigma])
    return own if found is None else Noise(max(found.sigma, own.sigma), found.freedom)


def _spread(group: Sequence[tuple[int, float]]) -> float:
    found = pooled([[score for _, score in group]])
    return found.sigma if found else math.inf
