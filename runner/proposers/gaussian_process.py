"""A Gaussian process over points of the unit cube (Rasmussen & Williams 2006): Matern 5/2, one length scale a coordinate, constant mean.

Length scales are maximum a posteriori: before anything is seen, each is half the cube's diagonal (after Hvarfner, Hellsten & Nardi
2024), so that a few dozen points say something in twenty dimensions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_LENGTH, _LOG_SD = 0.5, 1.0
"""Of a length scale before anything is seen: times the square root of the number of coordinates, and the standard deviation of
its logarithm."""
_STARTS, _STEP, _SWEEPS = (-0.7, 0.0, 0.7), 0.9, 2
"""Of the search for length scales, in logarithms: where all begin, and how far one is moved at a time."""
_NOISES, _LEAST, _MOST = (1e-4, 1e-2), 1e-5, 0.3
"""Variance of a value's own noise in units of the process's variance: what is tried where it is not known, and the limits of one that
is."""
_erfc = np.vectorize(math.erfc, otypes=[float])


@dataclass(frozen=True, slots=True)
class Process:
    """What is known after `points`, float64[n, d], had values with mean 0 and standard deviation 1."""

    points: Array
    weights: Array
    """1 / length scale squared, float64[d]."""
    factor: Array
    """Cholesky factor of the points' covariance matrix in units of `variance`."""
    mean: float
    residual: Array
    variance: float

    @classmethod
    def of(cls, points: Array, values: Array, squares: Array, weights: Array, noise: float) -> Process:
        """`squares` are the points' squared distances by coordinate, float64[d, n, n]."""
        count = len(points)
        factor: Array = np.linalg.cholesky(_matern(squares, weights) + noise * np.eye(count))
        one, seen = np.linalg.solve(factor, np.stack([np.ones(count), values], axis=1)).T
        mean = float(one @ seen / (one @ one))
        residual = seen - mean * one
        return cls(points, weights, factor, mean, residual, max(float(residual @ residual) / count, 1e-12))

    @property
    def log_likelihood(self) -> float:
        """Up to a constant, for the best variance."""
        return -0.5 * len(self.points) * math.log(self.variance) - float(np.log(np.diag(self.factor)).sum())

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation at each of `points`, float64[m, d]."""
        squares = np.moveaxis((self.points[:, None, :] - points[None]) ** 2, 2, 0)
        solved = np.linalg.solve(self.factor, _matern(squares, self.weights))
        left = np.maximum(1.0 - (solved * solved).sum(axis=0), 1e-9)
        return self.mean + solved.T @ self.residual, np.sqrt(self.variance * left)


def fitted(
    points: Array, values: Array, rng: np.random.Generator, noise_variance: float | None = None
) -> Process:
    """The process of `values`, float64[n], at `points`, float64[n, d]. `noise_variance` is that of one value, which the process
    is not to follow; None where it is not known. Length scales are learned one coordinate after the other, in random order."""
    dimensions = points.shape[1]
    shares = _NOISES if noise_variance is None else (min(max(noise_variance, _LEAST), _MOST),)
    expected = math.log(math.sqrt(dimensions) * _LENGTH)
    squares = np.moveaxis((points[:, None, :] - points[None]) ** 2, 2, 0)

    def tried(log_lengths: Array, noise: float) -> tuple[float, Process]:
        process = Process.of(points, values, squares, np.exp(-2.0 * log_lengths), noise)
        prior = -0.5 * float((((log_lengths - expected) / _LOG_SD) ** 2).sum())
        return process.log_likelihood + prior, process

    starts = [(np.full(dimensions, expected + start), share) for start in _STARTS for share in shares]
    lengths, noise = max(starts, key=lambda start: tried(*start)[0])
    best = tried(lengths, noise)
    for _ in range(_SWEEPS):
        for coordinate in rng.permutation(dimensions):
            for step in (-_STEP, _STEP):
                moved = lengths.copy()
                moved[coordinate] += step
                found = tried(moved, noise)
                if found[0] > best[0]:
                    best, lengths = found, moved
    return best[1]


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """By how much a point is expected to be below `best`, where it is (Jones, Schonlau & Welch 1998)."""
    z = (best - mean) / deviation
    below = 0.5 * _erfc(-z / math.sqrt(2.0))
    return np.asarray(deviation * (z * below + np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)))


def _matern(squares: Array, weights: Array) -> Array:
    """Matern 5/2 of squared distances by coordinate, float64[d, ...]."""
    r = math.sqrt(5.0) * np.sqrt(np.maximum(np.tensordot(weights, squares, 1), 1e-20))
    return np.asarray((1.0 + r + r * r / 3.0) * np.exp(-r))
