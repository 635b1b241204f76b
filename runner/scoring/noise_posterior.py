"""The noise of a training in two parts: what scripts under one seed have in common, and what belongs to one run alone.

A run of script i with seed s scores y = t_i + c_s + e: the script's true score t, an effect c of the seed that all scripts share,
a rest e. var(c) + var(e) = sigma^2 and var(c) = rho sigma^2. Sigma and rho are estimated by restricted maximum
likelihood (Patterson & Thompson 1971) from every script that ran more than once, on a grid of both, with a
wide prior: the posterior mean of log sigma and of rho. Scores are bits per byte.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Runs = Sequence[tuple[int, float]]
"""Of one script: the seed and the score of each run."""

_RHO = np.array([0.0, 0.3, 0.6, 0.8, 0.92])
_RHO_PRIOR = np.array([0.3, 0.15, 0.2, 0.2, 0.15])
_SHARE_OF_SCORE = 0.002
"""Where sigma is expected before anything ran twice: 0.05 % of the score on a large GPU, several per cent on a busy CPU."""
_LOG_SD = 2.0
_LOG_RANGE, _LOG_STEPS = 8.0, 97
_STEP = 0.1
"""Estimates are rounded to 10 % of sigma and to tenths of rho: a digit more is noise, and what follows need not be computed anew."""


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """`sigma` of one run (bits per byte), `rho` the share of its variance that belongs to the seed."""

    sigma: float
    rho: float

    @property
    def of_seed(self) -> float:
        """Variance of what all scripts have in common under one seed."""
        return self.rho * self.sigma**2

    @property
    def of_run(self) -> float:
        """Variance of what one run has for itself."""
        return (1.0 - self.rho) * self.sigma**2


def estimate(groups: Sequence[Runs], score: float) -> VarianceComponents:
    """From the runs of every script; those with fewer than two say nothing. `score` is any score: it gives the scale."""
    groups = [group for group in groups if len(group) >= 2]
    center = math.log(max(_SHARE_OF_SCORE * score, 1e-9))
    log_sigma = np.linspace(center - _LOG_RANGE, center + _LOG_RANGE, _LOG_STEPS)
    log_posterior = np.log(_RHO_PRIOR)[:, None] - 0.5 * ((log_sigma - center) / _LOG_SD) ** 2
    if groups:
        log_posterior = log_posterior + _restricted_log_likelihood(groups, log_sigma)
    posterior = np.exp(log_posterior - log_posterior.max())
    posterior /= posterior.sum()
    expected_log_sigma, expected_rho = (posterior.sum(0) * log_sigma).sum(), (posterior.sum(1) * _RHO).sum()
    return VarianceComponents(
        math.exp(_STEP * round(expected_log_sigma / _STEP)), float(0.1 * round(expected_rho / 0.1))
    )


def _restricted_log_likelihood(groups: Sequence[Runs], log_sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[rho, sigma], up to a constant. Runs correlate within a seed alone, so the covariance matrix V = (1 - rho) I + rho Z Z' of all
    is inverted seed by seed (Sherman & Morrison 1950), and what is left to solve has one row a script."""
    seeds = sorted({seed for group in groups for seed, _ in group})
    columns = {seed: column for column, seed in enumerate(seeds)}
    shared = np.zeros((len(groups), len(columns)))
    """How often each script ran with each seed."""
    sums, squares = np.zeros(len(columns)), 0.0
    for row, group in enumerate(groups):
        mean = math.fsum(score for _, score in group) / len(
            group
        )  # a script's level is free: nothing is lost
        for seed, score in group:
            shared[row, columns[seed]] += 1.0
            sums[columns[seed]] += score - mean
            squares += (score - mean) ** 2
    runs, of_seed = np.diag(shared.sum(1)), shared.sum(0)
    freedom = int(of_seed.sum()) - len(groups)
    found = np.empty((len(_RHO), len(log_sigma)))
    for index, rho in enumerate(_RHO):
        weight = rho / (1.0 - rho + rho * of_seed)
        # einsum, because BLAS would use threads for this size, and they cost more than they bring
        gram = (runs - np.einsum("as,bs->ab", shared * weight, shared)) / (1.0 - rho)
        target = -(shared @ (weight * sums)) / (1.0 - rho)
        rest = (squares - float(weight @ sums**2)) / (1.0 - rho) - float(
            target @ np.linalg.solve(gram, target)
        )
        of_all = ((of_seed - 1.0) * math.log(1.0 - rho) + np.log(1.0 - rho + rho * of_seed)).sum()
        determinants = 0.5 * (of_all + np.linalg.slogdet(gram)[1])
        found[index] = -determinants - freedom * log_sigma - 0.5 * rest * np.exp(-2 * log_sigma)
    return found
