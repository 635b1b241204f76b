"""What is believed of the best script's true score and of each common seed's effect: a Gaussian, updated run by run.

A Kalman filter over [t, c_1, ..., c_S]: t is the true score of the best script, c_s the effect of seed s (see
variance_components). A candidate's difference to the best script is the generalised least squares estimate from all its runs:
a run with a seed that the best script ran with is compared seed by seed, one with another seed against the mean. Scores are
bits per byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from runner.scoring.variance_components import Runs, VarianceComponents

_UNKNOWN = 1e4
"""Variance of the best script's score before it ran, in units of sigma squared."""


class Belief:
    def __init__(self, noise: VarianceComponents, score: float) -> None:
        """Before the baseline ran. `score` is any score near it."""
        self.noise = noise
        self._mean = np.array([score])
        self._covariance = np.array([[_UNKNOWN * noise.sigma**2 + 1e-2]])
        self._index: dict[int, int] = {}

    @property
    def score(self) -> float:
        """Expected true score of the best script."""
        return float(self._mean[0])

    def observe_best(self, seed: int, score: float) -> None:
        """The best script ran."""
        gain, variance, row = self._gain(seed)
        self._mean = self._mean + gain * (score - float(row @ self._mean))
        self._covariance = self._covariance - np.outer(gain, gain) * variance

    def difference(self, runs: Runs) -> tuple[float, float]:
        """A candidate's true score minus the best script's, and the variance of that estimate."""
        rows, inverse_ones, information = self._weights([seed for seed, _ in runs])
        scores = np.array([score for _, score in runs])
        return float(inverse_ones @ (scores - rows @ self._mean)) / information, 1.0 / information

    def information(self, seeds: Iterable[int]) -> float:
        """1 / variance of the difference of a candidate that ran with `seeds`, whatever it scores."""
        return self._weights(list(seeds))[2]

    def after_best_ran(self, seed: int) -> Belief:
        """As it would be after another run of the best script, but for the means."""
        gain, variance, _ = self._gain(seed)
        later = Belief.__new__(Belief)
        later.noise, later._index, later._mean = self.noise, dict(self._index), self._mean
        later._covariance = self._covariance - np.outer(gain, gain) * variance
        return later

    def conclude(self, runs: Runs, mean: float, variance: float, *, adopted: bool) -> None:
        """A candidate is decided: its true difference is believed to have this mean and variance. What its scores say of the
        seeds and of the best script is taken in; adopted, it becomes the best script."""
        rows, _, _ = self._weights([seed for seed, _ in runs])
        total = rows @ self._covariance @ rows.T + self.noise.of_run * np.eye(len(runs))
        gain = np.linalg.solve(total, rows @ self._covariance).T
        innovation = np.array([score for _, score in runs]) - rows @ self._mean - mean
        of_difference = gain.sum(1)
        self._mean = self._mean + gain @ innovation
        self._covariance = (
            self._covariance - gain @ total @ gain.T + np.outer(of_difference, of_difference) * variance
        )
        if adopted:
            shared = -of_difference * variance  # covariance of the state with the difference
            self._mean[0] += mean
            self._covariance[0, :] += shared
            self._covariance[:, 0] += shared
            self._covariance[0, 0] += variance

    def _position(self, seed: int) -> int:
        if seed not in self._index:
            size = len(self._mean)
            grown = np.zeros((size + 1, size + 1))
            grown[:size, :size] = self._covariance
            grown[size, size] = self.noise.of_seed + 1e-18
            self._covariance, self._mean = grown, np.append(self._mean, 0.0)
            self._index[seed] = size
        return self._index[seed]

    def _gain(self, seed: int) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
        """Kalman gain, innovation variance and observation row of a run of the best script."""
        position = self._position(seed)
        row = np.zeros(len(self._mean))
        row[0] = row[position] = 1.0
        variance = float(row @ self._covariance @ row) + self.noise.of_run
        return self._covariance @ row / variance, variance, row

    def _weights(self, seeds: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Observation rows of a candidate's runs, their generalised least squares weights (not normalised), the weights' sum."""
        positions = [self._position(seed) for seed in seeds]
        rows = np.zeros((len(seeds), len(self._mean)))
        rows[:, 0] = 1.0
        rows[np.arange(len(seeds)), positions] = 1.0
        total = rows @ self._covariance @ rows.T + self.noise.of_run * np.eye(len(seeds))
        weights = np.linalg.solve(total, np.ones(len(seeds)))
        return rows, weights, float(weights.sum())
