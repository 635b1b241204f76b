"""The rule of adoption: adopt a candidate, discard it, or run it or the best script once more.

Adopting is a bet on what the search builds on, not a claim: it is right when the expected true difference is negative. Another run
takes the place of the last candidate of the run, so it is worth it where it is expected to improve the decision by more than that one
would bring.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from runner.protocols import REASON_NOISE_TOO_LARGE, REASON_SIMPLER
from runner.scoring.gain_prior import GainPrior, Posterior
from runner.scoring.kalman_filter import Belief
from runner.scoring.noise_posterior import Runs

REASON_EXPECTED = "expected to be better"
REASON_NOT_EXPECTED = "not expected to be better"
_LEAST = 0.12
"""Share of the error of its difference that a candidate must be expected to be better by: less is no reason to move."""
_PRICE = 0.8
"""Share of a fresh candidate's value that another run must bring: a fresh candidate also costs a proposal."""
_CLEAR = 2.0
"""Standard errors to either side; where together they span the best score itself, nothing can be told apart."""
_PROBABLY = 0.75
"""Below this probability of being better, a simpler script is adopted for being simpler."""
_AHEAD = (1, 2, 3, 5)
"""Numbers of further runs whose value is looked at: one alone often changes no decision although several would."""


class Step(StrEnum):
    ADOPT = "adopt"
    DISCARD = "discard"
    RUN_CANDIDATE = "run_candidate"
    RUN_BEST = "run_best"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A candidate's true score minus the best script's (bits per byte): measured with its standard error, and as believed under
    the prior for gains. `better` is the probability that it is better."""

    difference: float
    error: float
    mean: float
    variance: float
    better: float


@dataclass(frozen=True, slots=True)
class Choice:
    """`seed` is what the run of RUN_CANDIDATE or RUN_BEST gets, `reason` why a candidate is adopted or discarded."""

    step: Step
    estimate: Estimate
    seed: int | None = None
    reason: str = ""


def choose(
    belief: Belief,
    prior: GainPrior,
    runs: Runs,
    *,
    best_score: float,
    best_seeds: Collection[int],
    best_may_run: bool,
    fresh_seeds: Iterable[int],
    usual_seed: int,
    runs_left: int,
    trainings_left: int,
    simpler_after: int | None,
) -> Choice:
    """`best_score` (bits per byte) and `best_seeds` are what the best script scored and ran with (`best_may_run`: it may run
    again), `fresh_seeds` those that nothing ran with (at least five), `usual_seed` the one of a new candidate's first run.
    `runs_left` limits the candidate's further runs, `trainings_left` all those of the search. `simpler_after` so many runs, a simpler candidate that is as good is adopted;
    None for one that is not simpler."""
    difference, variance = belief.difference(runs)
    posterior = prior.posterior(difference, math.sqrt(variance))
    estimate = Estimate(difference, math.sqrt(variance), posterior.mean, posterior.variance, posterior.better)
    runs_left = min(runs_left, trainings_left)
    if runs_left > 0:
        fresh = list(fresh_seeds)
        value, step, seed = _best_run(
            belief, posterior, runs, best_seeds, fresh, runs_left, best_may_run=best_may_run
        )
        usual_error = 1.0 / math.sqrt(belief.information([usual_seed]))
        if value > 1e-6 * usual_error and value > _PRICE * prior.value_of_fresh(usual_error, trainings_left):
            return Choice(step, estimate, seed)
        few = simpler_after is not None and len(runs) < simpler_after
        if few and difference <= estimate.error and estimate.better < _PROBABLY:
            return Choice(Step.RUN_CANDIDATE, estimate, fresh[0])
    simpler = simpler_after is not None and len(runs) >= simpler_after
    step, reason = _decided(estimate, best_score, simpler=simpler)
    return Choice(step, estimate, reason=reason)


def _decided(estimate: Estimate, best_score: float, *, simpler: bool) -> tuple[Step, str]:
    """Once no other run is worth it."""
    if 2 * _CLEAR * estimate.error >= best_score:
        return Step.DISCARD, REASON_NOISE_TOO_LARGE
    if simpler and estimate.difference <= 0 and estimate.better < _PROBABLY:
        return Step.ADOPT, REASON_SIMPLER
    if estimate.mean < -_LEAST * estimate.error:
        return Step.ADOPT, REASON_EXPECTED
    return Step.DISCARD, REASON_NOT_EXPECTED


def _best_run(
    belief: Belief,
    posterior: Posterior,
    runs: Runs,
    best_seeds: Collection[int],
    fresh: list[int],
    runs_left: int,
    *,
    best_may_run: bool,
) -> tuple[float, Step, int]:
    """The run that is worth most (bits per byte a run), and what it is worth."""
    had = [seed for seed, _ in runs]
    known = belief.information(had)
    unused = [
        seed for seed in best_seeds if seed not in had
    ]  # the best script's share of these is known already
    ahead = [*unused, *fresh]
    options = [
        (posterior.value_of(1.0 / (belief.information([*had, *ahead[:count]]) - known)) / count, count)
        for count in _AHEAD
        if count <= runs_left
    ]
    value, step, seed = max(options)[0], Step.RUN_CANDIDATE, ahead[0]
    for other in [*(seed for seed in had if seed not in best_seeds), fresh[0]] if best_may_run else ():
        more = belief.after_best_ran(other).information(had) - known
        if more > 1e-9 * known:
            worth = posterior.value_of(1.0 / more)
            if worth > value:
                value, step, seed = worth, Step.RUN_BEST, other
    return value, step, seed
