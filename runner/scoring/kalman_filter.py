"""What is believed of the best script's true score and of each common seed's effect: a Gaussian, updated run by run.

A Kalman filter over [t, c_1, ..., c_S]: t is the true score of the best script, c_s the effect of seed s (see
noise_posterior). A candidate's difference to the best script is the generalised least squares estimate from all its runs:
a run with a seed that the best script ran with is compared seed by seed, one with another seed against the mean. Scores are
bits per byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from runner.scoring.noise_posterior import Runs, VarianceComponents

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
        gain, variance = self._gain(seed)
        self._mean = self._mean + gain * (score - float(self._mean[0] + self._mean[self._index[seed]]))
        self._covariance = self._covariance - np.outer(gain, gain) * variance

    def difference(self, runs: Runs) -> tuple[float, float]:
        """A candidate's true score minus the best script's, and the variance of that estimate."""
        _, inverse_ones, information = self._weights([seed for seed, _ in runs])
        return float(inverse_ones @ self._innovation(runs)) / information, 1.0 / information

    def information(self, seeds: Iterable[int]) -> float:
        """1 / variance of the difference of a candidate that ran with `seeds`, whatever it scores."""
        return self._weights(list(seeds))[2]

    def after_best_ran(self, seed: int) -> Belief:
        """As it would be after another run of the best script, but for the means."""
        gain, variance = self._gain(seed)
        later = Belief.__new__(Belief)
        later.noise, later._index, later._mean = self.noise, dict(self._index), self._mean
        later._covariance = self._covariance - np.outer(gain, gain) * variance
        return later

    def conclude(self, runs: Runs, mean: float, variance: float, *, adopted: bool) -> None:
        """A candidate is decided: its true difference is believed to have this mean and variance. What its scores say of the
        seeds and of the best script is taken in; adopted, it becomes the best script."""
        shared, _, _ = self._weights([seed for seed, _ in runs])
        total = self._total(shared, [seed for seed, _ in runs])
        gain = np.linalg.solve(total, shared).T
        innovation = self._innovation(runs) - mean
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

    def _gain(self, seed: int) -> tuple[NDArray[np.float64], float]:
        """Kalman gain and innovation variance of a run of the best script."""
        position = self._position(seed)
        shared = self._covariance[0] + self._covariance[position]
        variance = float(shared[0] + shared[position]) + self.noise.of_run
        return shared / variance, variance

    def _weights(self, seeds: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Covariance of the best script's runs under these seeds with the state, float64[runs, state]; a candidate's runs' generalised
        least squares weights (not normalised), the weights' sum."""
        positions = [self._position(seed) for seed in seeds]
        shared: NDArray[np.float64] = self._covariance[0] + self._covariance[positions]
        weights = np.asarray(
            np.linalg.solve(self._total(shared, seeds), np.ones(len(seeds))), dtype=np.float64
        )
        return shared, weights, float(weights.sum())

    def _total(self, shared: NDArray[np.float64], seeds: Sequence[int]) -> NDArray[np.float64]:
        """Covariance of runs under these seeds among each other."""
        positions = [self._index[seed] for seed in seeds]
        total: NDArray[np.float64] = shared[:, :1] + shared[:, positions]
        return np.asarray(total + self.noise.of_run * np.eye(len(seeds)), dtype=np.float64)

    def _innovation(self, runs: Runs) -> NDArray[np.float64]:
        """Scores, minus what the best script is expected to score under the same seeds."""
        positions = [self._index[seed] for seed, _ in runs]
        scores = np.array([score for _, score in runs])
        return np.asarray(scores - (self._mean[0] + self._mean[positions]), dtype=np.float64)
