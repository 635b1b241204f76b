"""The noise that is shown and that claims rest on: how much scores of one script vary from run to run, pooled over all that ran again.

The estimate that adoption rests on, of sigma and of what scripts share under a seed, is in `noise_posterior`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
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


@dataclass(frozen=True, slots=True)
class Repeats:
    """The runs of one script: `squares` is the sum of their scores' squared deviations from the mean, `freedom` one less than runs."""

    runs: Sequence[tuple[int, float]]
    squares: float
    freedom: int
    spread: float
    """Standard deviation of the scores; infinite where it is not known."""

    @classmethod
    def of(cls, runs: Sequence[tuple[int, float]]) -> Repeats:
        scores = [score for _, score in runs]
        if len(scores) < 2:
            return cls(runs, 0.0, 0, math.inf)
        mean, freedom = math.fsum(scores) / len(scores), len(scores) - 1
        squares = math.fsum((score - mean) ** 2 for score in scores)
        return cls(runs, squares, freedom, math.sqrt(squares / freedom))


def repeats(experiment: Experiment) -> Repeats:
    return Repeats.of(runs(experiment))


def pooled(groups: Iterable[Sequence[float]]) -> Noise | None:
    """Training noise from the scores of every script that ran at least twice; None when none did."""
    return _pooled([Repeats.of([(0, score) for score in scores]) for scores in groups])


def _pooled(groups: Iterable[Repeats]) -> Noise | None:
    squares, freedom = 0.0, 0
    for group in groups:
        squares += group.squares
        freedom += group.freedom
    return Noise(math.sqrt(squares / freedom), freedom) if freedom else None


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
    experiments: Iterable[Experiment], *, of: Callable[[Experiment], Repeats] = repeats
) -> Noise | None:
    """Training noise, pooled over all that ran more than once. `of` is `repeats`, or remembers what it found."""
    return _floor([of(experiment) for experiment in experiments if len(experiment.attempts) > 1])


def _floor(groups: Sequence[Repeats]) -> Noise | None:
    """Runs of several scripts under one seed share a part of the noise, so the degrees of freedom are at most one less than there
    were seeds."""
    found = _pooled(groups)
    seeds = len({seed for group in groups if group.freedom for seed, _ in group.runs})
    return found and Noise(found.sigma, min(found.freedom, max(seeds - 1, 1)))


STEADY = 0.2
"""A script whose runs spread by less than this share of the baseline's spread hardly heeds its seed: it lends nobody its spread."""


def claim_noise(
    experiments: Sequence[Experiment],
    earlier: Iterable[Sequence[tuple[int, float]]] = (),
    *,
    of: Callable[[Experiment], Repeats] = repeats,
) -> Noise | None:
    """The noise that a claim is held against: at least that of the baseline, the first of `experiments`, which no proposal can make
    smaller. `earlier` are the runs of scripts of other searches."""
    groups = [*map(Repeats.of, earlier), *(of(e) for e in experiments if len(e.attempts) > 1)]
    own = of(experiments[0])
    if not own.freedom:
        return _floor(groups)
    found = _floor([group for group in groups if group.spread >= STEADY * own.spread])
    return found and Noise(max(found.sigma, own.spread), found.freedom)


class RememberedNoise:
    """Both of these, computed again where a script ran again, and from its runs alone. An experiment that has changed is another
    object, so nothing here is ever out of date."""

    def __init__(self, earlier: Sequence[Sequence[tuple[int, float]]] = ()) -> None:
        self._earlier = earlier
        self._repeats: dict[tuple[str, int], tuple[Experiment, Repeats]] = {}
        self._floor: tuple[list[Experiment], Noise | None] = ([], None)
        self._claims: tuple[tuple[Experiment, list[Experiment]] | None, Noise | None] = (None, None)

    def floor(self, repeated: list[Experiment]) -> Noise | None:
        if self._floor[0] != repeated:
            self._floor = (repeated, noise_floor(repeated, of=self._of))
        return self._floor[1]

    def of_claims(self, baseline: Experiment, repeated: list[Experiment]) -> Noise | None:
        """`repeated` is what ran more than once."""
        if self._claims[0] != (baseline, repeated):
            others = (experiment for experiment in repeated if experiment.number > 0)
            found = claim_noise([baseline, *others], self._earlier, of=self._of)
            self._claims = ((baseline, repeated), found)
        return self._claims[1]

    def _of(self, experiment: Experiment) -> Repeats:
        known = self._repeats.get((experiment.run, experiment.number))
        if known is None or known[0] is not experiment:
            known = (experiment, repeats(experiment))
            self._repeats[experiment.run, experiment.number] = known
        return known[1]
