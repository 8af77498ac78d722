"""A model of what bundles score: additive effects with a prior, and what bundles near each other share beside that.

A Gaussian process whose covariance is that of a linear model with normal weights plus a squared exponential of the
distance between vectors (Rasmussen and Williams 2006, chapter 2, https://gaussianprocess.org/gpml). It is exact, and
costs what its observations cost: the search gives it a bounded number.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .features import Vector

LEVEL = 3.0     # standard deviation of the score of a bundle without tricks, in logits: any


@dataclass(frozen=True)
class Observation:
    """A score of a bundle, in logits, and the standard deviation of its noise."""

    vector: Vector
    score: float
    noise: float


class EffectModel:
    """Learns from observations and predicts bundles.

    Args:
        mean: Of the effect of each column, [D].
        variance: Of the effect of each column, [D].
        residual: Standard deviation of what is not additive.
        length: Distance within which that is alike.
    """

    def __init__(self, mean: Vector, variance: Vector, residual: float, length: float):
        self._mean = mean
        self._variance = variance
        self._residual = residual ** 2
        self._length = 2 * length ** 2
        self._seen: Vector = np.zeros((0, len(mean)))
        self._squares: Vector = np.zeros(0)         # of the length of each of these
        self._inverse: Vector = np.zeros((0, 0))    # of the Cholesky factor of the observations' covariance
        self._weights: Vector = np.zeros(0)

    def learn(self, observations: list[Observation]) -> None:
        """Forget what was known and learn from these."""
        self._seen = np.array([one.vector for one in observations]).reshape(len(observations), len(self._mean))
        self._squares = (self._seen ** 2).sum(1)
        scores = np.array([one.score for one in observations])
        noise = np.array([one.noise for one in observations]) ** 2
        covariance = self._shared(self._seen) + np.diag(noise)
        self._inverse = np.linalg.inv(np.linalg.cholesky(covariance))
        self._weights = self._inverse.T @ (self._inverse @ (scores - self._seen @ self._mean))

    def predict(self, vectors: Vector) -> tuple[Vector, Vector]:
        """Return mean and standard deviation of the true scores of bundles, [N] and [N]."""
        shared = self._shared(vectors)
        mean = vectors @ self._mean + shared @ self._weights
        own = (vectors ** 2) @ self._variance + self._residual + LEVEL ** 2
        explained = self._inverse @ shared.T
        return mean, np.sqrt(np.maximum(own - (explained ** 2).sum(0), 1e-12))

    def effects(self) -> tuple[Vector, Vector]:
        """Return mean and standard deviation of each column's effect, [D] and [D]."""
        shared = self._variance[:, None] * self._seen.T
        explained = self._inverse @ shared.T
        return (self._mean + shared @ self._weights,
                np.sqrt(np.maximum(self._variance - (explained ** 2).sum(0), 1e-12)))

    def _shared(self, vectors: Vector) -> Vector:
        """Return the covariance of the scores of bundles, [N, D], with those that were seen, [N, M]."""
        squares = (vectors ** 2).sum(1)[:, None] + self._squares[None] - 2 * vectors @ self._seen.T
        near = self._residual * np.exp(-np.maximum(squares, 0) / self._length)
        covariance: Vector = LEVEL ** 2 + (vectors * self._variance) @ self._seen.T + near
        return covariance


def expected_improvement(mean: Vector, sd: Vector, best: float) -> Vector:
    """Return by how much bundles are expected to be better than `best`, counting worse as nothing.

    Paper: Jones et al. 1998, https://doi.org/10.1023/A:1008306431147, equation 15.
    """
    gap = (mean - best) / sd
    density = np.exp(-gap ** 2 / 2) / math.sqrt(2 * math.pi)
    improvement: Vector = sd * (gap * normal_cdf(gap) + density)
    return improvement


def normal_cdf(gap: Vector) -> Vector:
    """Return the normal distribution function, elementwise."""
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in np.atleast_1d(gap)])
