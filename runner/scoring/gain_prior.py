"""What the next change of the script is expected to do to its score, learned from the changes tried so far.

The true difference (negative is better) is a mixture: a gain, exponentially distributed; nothing much, normal; a loss,
exponential; and a little that is uniform in the logarithm of its size, so that no surprise is impossible. Early
changes win more than late ones: the scale of a gain falls as LATE + (1 - LATE) / (1 + k / HALVED) with the number k of changes
tried.
Weights and scales are maximum a posteriori estimates (expectation maximisation, Dempster, Laird & Rubin 1977) from every
candidate's estimated difference, each with its own error; old ones count less. A candidate's posterior under this prior is
shrunk by as much as the history says, so the best script is not the luckiest one (winner's curse).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_erf = np.vectorize(math.erf, otypes=[float])

# Before anything is known, in units of sigma (one run's noise). By eye from the public log of karpathy/autoresearch: of
# 125 changes about a fifth won something, a quarter did nothing, the rest lost several times the noise.
WEIGHTS = np.array([0.15, 0.20, 0.60, 0.05])
SCALES = np.array([1.0, 0.3, 4.0])
WEIGHT_COUNTS, SCALE_COUNTS = 32.0, 12.0
"""How many candidates the values above count as."""
HALVED, LATE = 20.0, 0.3
HALF_LIFE = 100.0
"""Candidates after which one counts half."""
LARGEST = 32.0
"""In sigma: what is larger is not reckoned with when a fresh candidate is valued."""
REMEMBERED = 400
"""Candidates that are learned from: older ones would count little."""
_ITERATIONS = 8
_CELLS, _SMALLEST = 34, 1 / 16
"""Cells of the grid on each side: their borders grow by the square root of two from `_SMALLEST` sigma on."""
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_NODE_WEIGHTS = _NODE_WEIGHTS / _NODE_WEIGHTS.sum()


def _phi(x: Vector) -> Vector:
    return np.asarray(0.5 * (1.0 + _erf(x / math.sqrt(2.0))))


@dataclass(frozen=True, slots=True)
class Posterior:
    """Of one candidate's true difference: probabilities on a grid. Bits per byte."""

    at: Vector
    weight: Vector

    @property
    def mean(self) -> float:
        return float(self.weight @ self.at)

    @property
    def variance(self) -> float:
        return float(self.weight @ (self.at - self.mean) ** 2)

    @property
    def better(self) -> float:
        """Probability that the candidate is better than the best script."""
        return min(float(self.weight[self.at < 0].sum()), 1.0)

    def value_of(self, variance: float) -> float:
        """By how much (bits per byte) one more estimate of the difference, with this variance, raises the expected gain of the
        decision: the knowledge gradient (Frazier, Powell & Dayanik 2008)."""
        likely = self.weight > 1e-5
        at, weight = self.at[likely], self.weight[likely] / self.weight[likely].sum()
        error = math.sqrt(variance)
        seen = (at[:, None] + error * _NODES).ravel()
        chance = (weight[:, None] * _NODE_WEIGHTS).ravel()
        likelihood = weight * np.exp(-0.5 * ((seen[:, None] - at) / error) ** 2) + 1e-300
        means = (likelihood @ at) / likelihood.sum(1)
        return float(chance @ np.maximum(0.0, -means)) - max(0.0, -self.mean)


class GainPrior:
    def __init__(
        self, sigma: float, differences: Sequence[float], errors: Sequence[float], *, before: int = 0
    ) -> None:
        """`differences` of all candidates decided so far but the first `before`, in order, and their standard errors; `sigma` gives
        the scale."""
        self._edges = _edges(sigma)
        self._width, self._middle = np.diff(self._edges), (self._edges[1:] + self._edges[:-1]) / 2
        self._weights, self._scales, self._first_scales = WEIGHTS, SCALES * sigma, SCALES * sigma
        self._sigma, self._tried = sigma, before + len(differences)
        if differences:
            self._learn(sigma, differences[-REMEMBERED:], errors[-REMEMBERED:], self._tried)
        self._mass = self._masses(self._weights, 0)[0]

    def posterior(self, difference: float, error: float) -> Posterior:
        at = difference + error * np.linspace(-6.0, 6.0, 81)
        weight = self._density(self._mass, at) * np.exp(-0.5 * ((at - difference) / error) ** 2)
        if not weight.sum() > 0:  # beyond the grid
            weight = np.exp(-0.5 * ((at - difference) / error) ** 2)
        return Posterior(at, weight / weight.sum())

    def value_of_fresh(self, error: float, ahead: int = 0) -> float:
        """Expected gain (bits per byte) of the candidate that comes after `ahead` others, if it runs once and its difference has
        this error. Gains count as no rarer than before anything was seen: a run without one does not tell what comes.
        Surprises beyond LARGEST sigma are left out: their size has no bound, so neither has their mean."""
        weights = np.maximum(self._weights, WEIGHTS * np.array([1.0, 0.0, 0.0, 0.0]))
        mass, usual = self._masses(weights, ahead)
        likely = usual > 1e-5
        seen = (self._middle[likely][:, None] + error * _NODES).ravel()
        chance = (usual[likely][:, None] * _NODE_WEIGHTS).ravel()
        z = np.linspace(-4.5, 4.5, 31)
        near = seen[:, None] + error * z
        weight = self._density(mass, near) * np.exp(-0.5 * z**2) + 1e-300
        means = (weight * near).sum(1) / weight.sum(1)
        return float(chance @ np.maximum(0.0, -means))

    def _masses(self, weights: Vector, ahead: int) -> tuple[Vector, Vector]:
        """Probability of each cell for the candidate after `ahead` others: of all, and without surprises beyond LARGEST sigma."""
        gains, others = self._cells(self._decline(np.array([float(self._tried + ahead)])))
        surprise = weights[3] * others[2]
        mass = weights[0] * gains[0] + weights[1:3] @ others[:2] + surprise
        usual = mass - np.where(np.abs(self._middle) > LARGEST * self._sigma, surprise, 0.0)
        return mass / mass.sum(), usual / usual.sum()

    def _density(self, mass: Vector, at: Vector) -> Vector:
        index = np.clip(np.searchsorted(self._edges, at, side="right") - 1, 0, len(mass) - 1)
        inside = (at >= self._edges[0]) & (at < self._edges[-1])
        return np.where(inside, mass[index] / self._width[index], 0.0)

    @staticmethod
    def _decline(tried: Vector) -> Vector:
        return np.asarray(LATE + (1.0 - LATE) / (1.0 + tried / HALVED))

    def _cells(self, decline: Vector) -> tuple[Vector, Vector]:
        """Probability of each cell: float64[k, cells] of a gain with each decline, float64[3, cells] of the others."""
        gain, nothing, loss = self._scales
        gains = np.exp(np.minimum(self._edges, 0.0) / (gain * decline[:, None]))
        others = [_phi(self._edges / nothing), 1.0 - np.exp(-np.maximum(self._edges, 0.0) / loss)]
        uniform = np.full(len(self._middle), 1.0 / len(self._middle))
        return np.maximum(np.diff(gains, axis=1), 1e-14), np.maximum(
            np.stack([*(np.diff(other) for other in others), uniform]), 1e-14
        )

    def _learn(self, sigma: float, differences: Sequence[float], errors: Sequence[float], tried: int) -> None:
        """From the newest of `tried` candidates."""
        order = np.arange(float(tried - len(differences)), float(tried))
        decline, age = self._decline(order), order[-1] - order
        likelihood = np.array([_likelihood(sigma, *pair) for pair in zip(differences, errors, strict=True)])
        recent, size = 0.5 ** (age / HALF_LIFE), np.abs(self._middle)
        for _ in range(_ITERATIONS):
            gains, others = self._cells(decline)
            gains *= likelihood
            of_gain = self._weights[0] * gains.sum(1)
            of_others = self._weights[1:] * (likelihood @ others.T)
            share = recent / (of_gain + of_others.sum(1))
            counts = np.array([share @ of_gain, *(share @ of_others)])
            # of all candidates together; einsum, because BLAS would use threads for this size, which cost more than they bring
            cells = np.einsum("k,kc->c", share, likelihood)
            sums = np.array(
                [
                    self._weights[0] * float(np.einsum("k,kc->c", share / decline, gains) @ size),
                    self._weights[1] * float((others[0] * size**2) @ cells),
                    self._weights[2] * float((others[1] * size) @ cells),
                ]
            )
            sums += SCALE_COUNTS * self._first_scales ** np.array([1, 2, 1])
            means = sums / (counts[:3] + SCALE_COUNTS)
            weights = counts + WEIGHT_COUNTS * WEIGHTS
            self._weights = weights / weights.sum()
            self._scales = np.array([means[0], math.sqrt(means[1]), means[2]])


@functools.lru_cache(maxsize=4 * REMEMBERED)
def _likelihood(sigma: float, difference: float, error: float) -> Vector:
    """Of each cell of the grid: the probability density of an estimate, given that the true difference lies there. What is as good as
    impossible is no smaller than can be multiplied without denormal numbers, which are slow."""
    edges = _edges(sigma)
    return np.maximum(np.diff(_phi((edges - difference) / error)) / np.diff(edges), 1e-200)


def _edges(sigma: float) -> Vector:
    borders = sigma * _SMALLEST * 2.0 ** (np.arange(_CELLS) / 2)
    return np.concatenate([-borders[::-1], [0.0], borders])
