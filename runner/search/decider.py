"""Reads from the ledger's rows what the rule of adoption (`scoring.adopt_or_rerun`) asks for, and asks it after each evaluation.

A pure function of the ledger's rows, so a resumed run decides as an uninterrupted one. It remembers what it computed from
the rows of decided experiments, which do not change. What a decision costs does not grow with the run: it rests on the newest
experiments (a few hundred, or as many as say all that matters).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.scoring.best_script import best
from runner.scoring.scores import ignores_seed, runs, scores
from runner.scoring.simplicity import SIMPLER_RUNS, is_simpler
from runner.search.recent_experiments import recent
from runner.search.seeds import AHEAD, common_seed, first_unused, usual_seed
from runner.search.withdrawal import MAX_FAILURES, failures
from runner.store.experiment_index import ExperimentIndex
from runner.store.records import Attempt, Experiment

if TYPE_CHECKING:
    from runner.scoring.adopt_or_rerun import Choice
    from runner.scoring.gain_prior import GainPrior
    from runner.scoring.kalman_filter import Belief
    from runner.scoring.noise_posterior import Runs, VarianceComponents

STOPPED, STOPPED_ERROR = 4.0, 2.0
"""What a training that was stopped early counts as when gains are learned: a loss of so many sigma, with this error."""
UNKNOWN_VARIANCE = 1.0
"""Of the gain of a script that an older version kept, in squared bits per byte: more than any gain."""
MOST_RUNS = 150
"""Runs that the noise is learned from, the newest: their error (8 % of sigma) is below the rounding of the estimate."""


@dataclass(frozen=True, slots=True)
class Concluded:
    """A decided candidate as later ones see it: its runs, what its true difference was believed to be."""

    runs: Runs
    mean: float
    variance: float
    adopted: bool


class Decider:
    """Of one run, whose seed is `seed`. `retests`: how often a promising script may run again. `earlier` are the runs (seed and
    score) of each script that comparable runs ran more than once."""

    def __init__(self, seed: int, retests: int, earlier: Sequence[Sequence[tuple[int, float]]] = ()) -> None:
        self._seed, self._retests, self._earlier = seed, retests, earlier
        self._used = 0
        """Common seeds before this one are used for good: attempts that ended with a result had them."""
        self._noise_of: tuple[tuple[list[Runs], float], VarianceComponents] | None = None
        self._known: tuple[VarianceComponents, Belief, list[Concluded | tuple[int, float]]] | None = None
        self._prior: tuple[tuple[float, int], GainPrior] | None = None

    def choose(self, experiment: Experiment, index: ExperimentIndex, *, trainings_left: int) -> Choice:
        """`experiment` against the best one. `trainings_left` is how many trainings the search can still make: where there is none it
        is decided by its runs so far."""
        from runner.scoring.adopt_or_rerun import choose

        incumbent, noise = best(index.kept), self._noise(index)
        belief, prior = self._belief(noise, recent(index)), self._gain_prior(noise, index)
        self._used = first_unused(self._seed, index.finished_seeds, after=self._used)
        unused = first_unused(self._seed, index.seeds, after=self._used)
        return choose(
            belief,
            prior,
            runs(experiment),
            best_score=scores(incumbent)[0],
            best_seeds=[seed for seed, _ in runs(incumbent)],
            best_may_run=self._best_may_run(incumbent, experiment),
            fresh_seeds=[common_seed(self._seed, unused + ahead) for ahead in range(AHEAD)],
            usual_seed=usual_seed(self._seed, incumbent),
            runs_left=self._retests - (len(experiment.counted) - 1),
            trainings_left=trainings_left,
            simpler_after=min(SIMPLER_RUNS, 1 + self._retests) if is_simpler(experiment, incumbent) else None,
        )

    def _best_may_run(self, incumbent: Experiment, experiment: Experiment) -> bool:
        """Not if it keeps failing or ignores its seed: another run would tell nothing. At most as often as the candidate may."""
        since = experiment.attempts[0].order
        reruns = sum(a.order > since and not a.lost for a in incumbent.attempts)
        return (
            reruns < max(self._retests, MAX_FAILURES)
            and failures(incumbent) < MAX_FAILURES
            and not ignores_seed(incumbent)
        )

    def first_seed(self, index: ExperimentIndex) -> int:
        """Of a new candidate."""
        return usual_seed(self._seed, best(index.kept))

    def _noise(self, index: ExperimentIndex) -> VarianceComponents:
        from runner.scoring.noise_posterior import estimate

        groups: list[Runs] = []
        left = MOST_RUNS
        for group in itertools.chain(map(runs, reversed(index.repeated)), reversed(self._earlier)):
            if left <= 0:
                break
            groups.insert(0, group)
            left -= len(group)
        key = (groups, scores(best(index.kept))[0])
        if self._noise_of is None or self._noise_of[0] != key:
            self._noise_of = (key, estimate(*key))
        return self._noise_of[1]

    def _belief(self, noise: VarianceComponents, experiments: Sequence[Experiment]) -> Belief:
        from runner.scoring.kalman_filter import Belief

        known, history = self._known, list(_history(experiments))
        if known is None or known[0] != noise or history[: len(known[2])] != known[2]:
            known = (noise, Belief(noise, scores(experiments[0])[0]), [])
        _, belief, seen = known
        for entry in history[len(seen) :]:
            if isinstance(entry, Concluded):
                belief.conclude(entry.runs, entry.mean, entry.variance, adopted=entry.adopted)
            else:
                belief.observe_best(*entry)
        self._known = (noise, belief, history)
        return belief

    def _gain_prior(self, noise: VarianceComponents, index: ExperimentIndex) -> GainPrior:
        from runner.scoring.gain_prior import REMEMBERED, GainPrior

        count, decided = index.compared(REMEMBERED)
        key = (noise.sigma, count)
        if self._prior is None or self._prior[0] != key:
            stopped = (STOPPED * noise.sigma, STOPPED_ERROR * noise.sigma)
            seen = [(e.delta, e.delta_error) if e.delta is not None else stopped for e in decided]
            differences, errors = [d for d, _ in seen], [error or 0.0 for _, error in seen]
            prior = GainPrior(noise.sigma, differences, errors, before=count - len(seen))
            self._prior = (key, prior)
        return self._prior[1]


def _history(experiments: Sequence[Experiment]) -> Iterator[Concluded | tuple[int, float]]:
    """In order: each run of what was the best script then (seed and score), and each decided candidate."""
    current, said = experiments[0], 0
    for experiment, attempt in _in_order(experiments):
        if attempt is not None:
            if experiment is current:
                so_far = runs(current, before=attempt.order + 1)  # one that ignores seeds says one thing once
                yield from so_far[said:]
                said = len(so_far)
        elif experiment.number != experiments[0].number:
            yield from _concluded(experiment)
            if experiment.kept:
                current, said = experiment, len(_runs_then(experiment))


def _in_order(experiments: Sequence[Experiment]) -> list[tuple[Experiment, Attempt | None]]:
    """Attempts as they were begun, and with None in its place each decision."""
    begun = [((a.order, 0), e, a) for e in experiments for a in e.attempts]
    decided = [((e.decided_after or 0, e.decision), e, None) for e in experiments if e.decision]
    return [(e, a) for _, e, a in sorted([*begun, *decided], key=lambda item: item[0])]


def _runs_then(experiment: Experiment) -> Runs:
    """Those that were begun before it was decided."""
    return runs(experiment, before=(experiment.decided_after or 0) + 1)


def _concluded(experiment: Experiment) -> list[Concluded]:
    """Empty for one that had no score. Of one that an older version kept nothing is believed but its scores."""
    found = tuple(_runs_then(experiment))
    if not found:
        return []
    adopted = experiment.kept
    if experiment.expected_delta is None or experiment.expected_error is None:
        return [Concluded(found, experiment.delta or 0.0, UNKNOWN_VARIANCE, adopted)] if adopted else []
    return [Concluded(found, experiment.expected_delta, experiment.expected_error**2, adopted)]
