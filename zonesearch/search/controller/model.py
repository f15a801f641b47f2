"""The posterior of the trainings so far under the learned prior, and how far that prior can be trusted.

A task's values have unknown units. So centre and unit of the task are integrated out: on a grid of both, values are
standardised and compressed as elsewhere (:mod:`zonesearch.statistics.gp.targets`), and every grid point is weighted by
the likelihood of the measurements. The covariance does not depend on them, so one factorisation serves the whole grid.

The same likelihood is computed for processes without knowledge of networks. If these predicted the values better, the
prior is not trusted. A likelihood is the product of the predictive densities of each value given those before it, so
this compares how well each predicted the results so far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, solve_triangular

from zonesearch.search.controller.prior import LearnedPrior, Seen
from zonesearch.statistics.gp.likelihood import Data
from zonesearch.statistics.gp.targets import Scale

__all__ = ["LOST", "RESIDUAL", "Beliefs", "Informed", "Values", "believe", "matern", "standardised"]

Array = npt.NDArray[np.float64]

LOST = -3.5
"""The standardised value of a failed training, which is also the lowest possible value."""
RESIDUAL = 0.06
"""Variance specific to a task, in addition to the learned kernel."""
_NOISE = 0.6  # of the expected variance between seeds, part of which is what the prior cannot tell settings apart by
_UNITS = np.exp(np.linspace(math.log(0.12), math.log(8.0), 15))  # of a task, in spreads of its values
_BEST = np.linspace(-1.5, 3.0, 19)  # possible positions of the best value, in units from the centre
_PLAIN = tuple((scale, noise) for scale in (0.15, 0.4, 1.0) for noise in (0.02, 0.3))
_DOUBT = 0.3  # prior probability that the learned prior is uninformative about this surface


@dataclass(frozen=True)
class Values:
    """The results of trainings, one row each.

    Args:
        points: points in the unit cube, shape (n, n_axes).
        scores: shape (n,), larger is better; NaN if ``fixed`` is used instead.
        fixed: standardised values known directly (of failed or running trainings); else NaN.
        choices: which axes are choices.
    """

    points: Array
    scores: Array
    fixed: Array
    choices: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.scores)

    def with_fixed(self, point: Array, value: float) -> Values:
        """These values plus one point whose standardised value is taken as known."""
        return Values(
            np.vstack([self.points, point[None]]),
            np.append(self.scores, math.nan),
            np.append(self.fixed, value),
            self.choices,
        )


def matern(a: Array, b: Array, scale: float, choices: npt.NDArray[np.bool_]) -> Array:
    """Matern-5/2 on the cube with one length-scale, (n, n_axes), (m, n_axes) -> (n, m)."""
    apart = a[:, None] - b
    apart[..., choices] = np.where(np.abs(apart[..., choices]) > 1e-9, 1.0, 0.0)
    r = math.sqrt(5.0) * np.sqrt((apart**2).sum(2)) / (scale * math.sqrt(a.shape[1]))
    kernel: Array = (1 + r + r * r / 3) * np.exp(-r)
    return kernel


@dataclass(frozen=True)
class Informed:
    """A posterior under the learned prior for one kind of optimizer.

    Args:
        prior, see: the network, and its predictions at points of the cube.
        values: the results so far.
        seen: predictions at the known points.
        factor: factor of their covariance; ``alpha``: its solution for the standardised values minus their mean.
        log_evidence: log evidence of the values.
        scale: the most probable centre and unit of the task.
        optimizer: -1 or 1.
        data: the points as zones want them.
    """

    prior: LearnedPrior
    see: Any
    values: Values
    seen: Seen
    factor: Array
    alpha: Array
    log_evidence: float
    scale: Scale
    optimizer: float
    data: Data

    def _cross(self, seen: Seen, points: Array) -> Array:
        residual = matern(self.values.points, points, 0.4, self.values.choices)
        return self.prior.kernel(self.seen, seen) + RESIDUAL * residual

    def _variance(self, seen: Seen) -> Array:
        return self.prior.variance(seen) + RESIDUAL

    def at_points(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the standardised surface, shape (n,) each."""
        mean, sd, _ = self.with_noise(points)
        return mean, sd

    def means(self, points: Array) -> Array:
        """The first of these."""
        seen: Seen = self.see(points)
        return seen.mean + self._cross(seen, points).T @ self.alpha if len(self.values) else seen.mean

    def with_noise(self, points: Array) -> tuple[Array, Array, Array]:
        """The same, and the variance of a single training."""
        seen = self.see(points)
        if not len(self.values):
            return seen.mean, np.sqrt(self._variance(seen)), _NOISE * seen.noise
        cross = self._cross(seen, points)
        reduced = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        variance = self._variance(seen) - np.einsum("ij,ij->j", reduced, reduced)
        return seen.mean + cross.T @ self.alpha, np.sqrt(np.maximum(variance, 1e-9)), _NOISE * seen.noise

    def worse(self, place: Array, points: Array) -> Array:
        """By how many standard deviations the surface at ``points`` is worse than at ``place``."""
        both = np.vstack([place[None], points])
        seen = self.see(both)
        cross = self._cross(seen, both)
        mean = seen.mean + cross.T @ self.alpha
        reduced = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        variance = self._variance(seen) - np.einsum("ij,ij->j", reduced, reduced)
        shared = (
            self.prior.kernel(seen[:1], seen[1:])[0] + RESIDUAL * matern(both[:1], points, 0.4, self.values.choices)[0]
        )
        shared = shared - reduced[:, 0] @ reduced[:, 1:]
        spread = np.maximum(variance[1:] + variance[0] - 2 * shared, 1e-12)
        apart: Array = (mean[0] - mean[1:]) / np.sqrt(spread)
        return apart

    def distance(self, a: Array, b: Array) -> Array:
        """Distances in length-scales of the cube, (n, n_axes), (m, n_axes) -> (n, m)."""
        apart = np.atleast_2d(a)[:, None] - np.atleast_2d(b)
        choices = self.values.choices
        apart[..., choices] = np.where(np.abs(apart[..., choices]) > 1e-9, 1.0, 0.0)
        distance: Array = np.sqrt((apart**2).sum(2)) / (0.3 * math.sqrt(apart.shape[2]))
        return distance


@dataclass(frozen=True)
class Beliefs:
    """The posteriors by kind of optimizer, their probabilities, and the trust in the prior.

    Args:
        experts: the posteriors under the learned prior.
        weights: their probabilities, summing to 1.
        trust: the probability that the learned prior predicts this surface better than uninformed processes do.
    """

    experts: tuple[Informed, ...]
    weights: Array
    trust: float

    @property
    def leading(self) -> Informed:
        """The most probable of the posteriors."""
        return self.experts[int(np.argmax(self.weights))]


def _evidence(values: Values, mean: Array, K: Array) -> tuple[float, Array, Array, Scale]:
    """The evidence of the values under a process with this mean and covariance, with centre and unit integrated out.

    Returns:
        the log evidence, the factor of ``K``, its solution for the expected standardised values minus the mean, and the
        most probable centre and unit.
    """
    L: Array = np.asarray(np.linalg.cholesky(K), dtype=np.float64)
    free = np.isfinite(values.scores)
    y = values.scores[free]
    if not len(y):
        z = np.where(free, 0.0, values.fixed)[None]
        jacobian, grid = np.zeros(1), np.array([[0.0, 1.0]])
    else:
        top, spread = float(y.max()), float(np.ptp(y))
        spread = spread if spread > 1e-9 * max(1.0, abs(top)) else 0.1 * max(abs(top), 1e-3)
        units, best = (g.ravel() for g in np.meshgrid(spread * _UNITS, _BEST))
        grid = np.stack([top - units * best, units], axis=1)
        plain = (y[None] - grid[:, :1]) / grid[:, 1:]
        low = plain < -1.0
        depth = np.where(low, np.log(np.maximum(-plain, 1.0)), 0.0)
        z = np.tile(values.fixed, (len(grid), 1))
        z[:, free] = np.maximum(np.where(low, -1.0 - depth, plain), LOST)
        jacobian = -len(y) * np.log(units) - depth.sum(axis=1)
    reduced = solve_triangular(L, (z - mean).T, lower=True, check_finite=False)
    logs = jacobian - 0.5 * np.einsum("ij,ij->j", reduced, reduced)
    weights = np.exp(logs - logs.max())
    total = float(logs.max()) + math.log(float(weights.mean())) - float(np.log(np.diag(L)).sum())
    weights /= weights.sum()
    best_at = int(np.argmax(logs))
    alpha = cho_solve((L, True), weights @ z - mean)
    return total, L, alpha, Scale(float(grid[best_at, 0]), float(grid[best_at, 1]))


def believe(
    sights: Sequence[tuple[LearnedPrior, Any, float, float]],
    values: Values,
    data: Data,
) -> Beliefs:
    """Compute the posteriors under the learned prior.

    Args:
        sights: hypotheses, each a prior, a function from points to its predictions, a kind of optimizer, and its prior
            probability.
        values: the results of trainings.
        data: the points as zones want them.
    """
    experts, logs = [], []
    for prior, looks, optimizer, chance in sights:
        seen = looks(values.points)
        K = prior.kernel(seen, seen) + RESIDUAL * matern(values.points, values.points, 0.4, values.choices)
        K[np.diag_indices(len(K))] += _NOISE * seen.noise + 1e-6
        log, L, alpha, scale = _evidence(values, seen.mean, K) if len(values) else (0.0, K, K, Scale(0.0, 1.0))
        experts.append(Informed(prior, looks, values, seen, L, alpha, log, scale, optimizer, data))
        logs.append(log + math.log(chance))
    believed = float(np.logaddexp.reduce(logs)) + math.log(1 - _DOUBT)
    weights = np.exp(np.array(logs) - max(logs))
    trust = 1.0
    if len(values):
        plain = [_plain_evidence(values, scale, noise) - math.log(len(_PLAIN)) for scale, noise in _PLAIN]
        doubted = float(np.logaddexp.reduce(plain)) + math.log(_DOUBT)
        trust = 1 / (1 + math.exp(min(max(doubted - believed, -700.0), 700.0)))
    return Beliefs(tuple(experts), weights / weights.sum(), trust)


def _plain_evidence(values: Values, scale: float, noise: float) -> float:
    K = matern(values.points, values.points, scale, values.choices) + 0.5
    K[np.diag_indices(len(K))] += noise
    return _evidence(values, np.zeros(len(values)), K)[0]


def standardised(scores: Array, mean: Array, K: Array) -> Array:
    """The expected standardised values of ``scores``, with centre and unit of their task integrated out.

    Args:
        scores: larger is better; NaN for failed trainings.
        mean, K: mean and covariance of their process, including noise.
    """
    values = Values(np.zeros((len(scores), 1)), scores, np.where(np.isfinite(scores), np.nan, LOST), np.zeros(1, bool))
    _, _, alpha, _ = _evidence(values, mean, K)
    return np.asarray(mean + K @ alpha)
