"""An additive Gaussian process: the loss as a sum of one smooth function of each constant (Duvenaud et al. 2011).

Arrays only. A row of `places` is a script, a column a constant: 0 to 1 within its range, or the number of a choice; NaN where the script
has no such constant. With about as many experiments as constants, what matters is to find the few that make a difference. So
every function has a variance of its own, found by maximising the marginal likelihood with the fixed point of Zhou et al. (2019,
"MM algorithms for variance components models"), under a prior that most are small.

One more component is shared by all constants: the sum of squared distances from the first script. It learns how much a change costs on
average, because the first values are plausible ones, and so keeps untried ones from looking as good as they are unknown.

A score that is not shown (ended early, failed, far worse) is one above a limit: it is replaced by what the model expects, but at least by
the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LENGTH = 0.4
"""Of the squared-exponential kernels, as a share of a constant's range."""
_ROUNDS = 30
_IMPUTED_EVERY = 10
_MOST_IMPUTED = 3.0
"""A score that is not shown counts as so many limits at most."""
_PRIOR_WEIGHT, _PRIOR_MODE = 0.5, 0.3
"""Inverse-gamma, for the variance of a function: its shape, and the mode of the sum over all functions as a share of the scores' variance."""
_JITTER = 1e-9


@dataclass(frozen=True, slots=True)
class AdditiveModel:
    """Fitted; see `fit`. Scores are relative to the best script's, divided by `scale`."""

    places: Array
    smooth: NDArray[np.bool_]
    best: int
    variances: Array
    weights: Array
    """The inverse covariance times the scores."""
    inverse: Array
    scale: float

    @classmethod
    def fit(
        cls, places: Array, smooth: NDArray[np.bool_], scores: Array, best: int, limit: float, noise: float
    ) -> AdditiveModel:
        """`scores` of n scripts, infinite where only known to be above `limit`; `best` is the present best script, row 0 the first.
        `smooth` says which constants are numbers; the others are choices without an order. `noise` is the standard deviation of
        a score."""
        hidden = ~np.isfinite(scores)
        limit -= scores[best]
        y = np.where(hidden, limit, scores - scores[best])
        scale = max(float(y.std()), noise, _JITTER)
        y, limit = y / scale, limit / scale
        n, d = places.shape
        own = np.isnan(places).T[:, :, None] * np.eye(n)
        distances = _distance(places, places[0], smooth)
        kernels = np.stack(
            [
                *(correlation(column, column, each) for column, each in zip(places.T, smooth, strict=True)),
                np.outer(distances, distances),
                np.ones((n, n)),
                np.eye(n),
            ]
        )
        kernels[:d] += own  # what is not known is as if it were another value each time
        flat = kernels.reshape(len(kernels), -1)
        variances = np.array([4 * _PRIOR_MODE / d] * d + [1.0, 1.0, 0.3])
        inverse = _inverse(variances, kernels)
        for number in range(1, _ROUNDS + 1):
            a = inverse @ y
            gain, cost = (kernels @ a) @ a, flat @ inverse.ravel()
            gain[:d] += 2 * _PRIOR_WEIGHT * (_PRIOR_MODE / d) / variances[:d] ** 2
            cost[:d] += 2 * _PRIOR_WEIGHT / variances[:d]
            variances = np.maximum(variances * np.sqrt(gain / cost), 1e-8)
            variances[-1] = max(variances[-1], (noise / scale) ** 2)
            inverse = _inverse(variances, kernels)
            if number % _IMPUTED_EVERY == 0 and hidden.any():
                expected = y - variances[-1] * (inverse @ y)
                y = np.where(hidden, np.clip(expected, limit, _MOST_IMPUTED * limit), y)
        return cls(places, smooth, best, variances, inverse @ y, inverse, scale)

    def difference(self, candidates: Array) -> tuple[Array, Array]:
        """By how much the true score of each candidate is above the best script's: mean and standard deviation. NaN stands for a
        constant that is as in the best script."""
        now = self.places[self.best]
        cross = np.zeros((len(candidates), len(self.places)))
        prior = np.zeros(len(candidates))
        for column, variance in enumerate(self.variances[: len(now)]):
            moved = np.flatnonzero(~np.isnan(candidates[:, column]))
            values, smooth = candidates[moved, column], bool(self.smooth[column])
            before, known = now[column : column + 1], self.places[:, column]
            away = correlation(values, known, smooth) - correlation(before, known, smooth)
            cross[moved] += variance * away
            prior[moved] += 2 * variance * (1 - correlation(values, before, smooth)[:, 0])
        moved_to = np.where(np.isnan(candidates), now, candidates)
        distances = _distance(self.places, self.places[0], self.smooth)
        further = _distance(moved_to, self.places[0], self.smooth) - distances[self.best]
        cross += self.variances[-3] * further[:, None] * distances
        prior += self.variances[-3] * further**2
        mean = cross @ self.weights
        variance = np.maximum(prior - ((cross @ self.inverse) * cross).sum(axis=1), 1e-12)
        return self.scale * mean, self.scale * np.sqrt(variance)


def correlation(a: Array, b: Array, smooth: bool) -> Array:
    """Of one constant's function between the places `a` and `b`; 0 where one of them is not known."""
    apart = a[:, None] - b[None, :]
    found = np.exp(-0.5 * (apart / _LENGTH) ** 2) if smooth else (apart == 0).astype(float)
    return np.nan_to_num(found)


def _distance(places: Array, first: Array, smooth: NDArray[np.bool_]) -> Array:
    """Squared, from the first script; another choice counts like the mean over two places of a range."""
    apart = places - first
    return np.nansum(np.where(smooth, apart**2, np.where(apart == 0, 0.0, 1 / 6)), axis=1)


def _inverse(variances: Array, kernels: Array) -> Array:
    total = np.tensordot(variances, kernels, 1)
    return np.linalg.inv(total + _JITTER * np.eye(len(total)))
