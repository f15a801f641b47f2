"""A Gaussian process with a noise term: the posterior of a noisy function on the unit cube.

Matern-5/2 kernel with one length-scale per axis; values of a choice axis are either equal or not. Length-scales,
amplitude and noise are the most probable ones, or draws, under lognormal priors
(:mod:`zonesearch.statistics.gp.likelihood`); the constant mean is estimated by generalised least squares (Rasmussen &
Williams 2006, chapter 2).

Implemented here because with this likelihood and analytic gradients an exact process on a few hundred points is fitted
in milliseconds, where a general library takes seconds.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, solve_triangular

from zonesearch.statistics.gp.kernel import Hyper
from zonesearch.statistics.gp.likelihood import JITTER, Data, Likelihood, Prior

__all__ = ["Data", "Posterior", "Prior", "fit", "fit_draws", "top_points"]

_CHUNK = 2000  # query points per block: one matrix of all query points by all known points could exhaust memory

Array = npt.NDArray[np.float64]

_KEPT = 8  # posteriors
_FITTED: dict[Any, Posterior] = {}

_FIT_POINTS = 64  # most points used for fitting hyperparameters; the posterior uses all of them


def fit(data: Data, prior: Prior) -> Posterior:
    """The posterior at the most probable hyperparameters. The last few are cached, since several suggestions made while
    trainings are running share the same data.
    """
    arrays = (data.points, data.means, data.counts, data.choices, data.barred)
    key = (prior, data.squares, *(None if array is None else array.tobytes() for array in arrays))
    found = _FITTED.get(key)
    if found is None:
        likelihood = Likelihood(_for_fit(data), prior)
        found = _FITTED[key] = Posterior.at(data, likelihood.hyper(likelihood.most_probable))
        while len(_FITTED) > _KEPT:
            with suppress(KeyError, StopIteration, RuntimeError):  # another thread finished first
                del _FITTED[next(iter(_FITTED))]
    return found


def fit_draws(data: Data, prior: Prior, n: int, rng: np.random.Generator) -> tuple[Posterior, list[Posterior]]:
    """The posterior at the most probable hyperparameters, and the posteriors at ``n`` draws of them."""
    likelihood = Likelihood(_for_fit(data), prior)
    drawn = [likelihood.hyper(theta) for theta in likelihood.draws(n, rng)]
    return Posterior.at(data, likelihood.hyper(likelihood.most_probable)), [Posterior.at(data, h) for h in drawn]


def _for_fit(data: Data, most: int = _FIT_POINTS) -> Data:
    """The points used for fitting, limited in number: a third are the best, the rest spread over all by rank."""
    if len(data) <= most:
        return data
    order = np.argsort(-data.means, kind="stable")
    n_best = most // 3
    spread = np.linspace(n_best, len(data) - 1, most - n_best).round().astype(np.intp)
    return data.subset(order[np.unique(np.concatenate([np.arange(n_best), spread]))])


@dataclass(frozen=True)
class Posterior:
    """The posterior of the function; created by :meth:`at`."""

    data: Data
    hyper: Hyper
    mean: float
    alpha: Array
    factor: Array

    @classmethod
    def at(cls, data: Data, hyper: Hyper) -> Posterior:
        """The posterior of ``data`` at given hyperparameters."""
        K = hyper.kernel(data.points, data.points, data.choices)
        K[np.diag_indices(len(data))] += hyper.noise / data.counts + JITTER * max(1.0, hyper.variance)
        L = np.asarray(np.linalg.cholesky(K), dtype=np.float64)
        ones = cho_solve((L, True), np.ones(len(data)))
        mean = float(ones @ data.means) / float(ones.sum())
        return cls(data, hyper, mean, cho_solve((L, True), data.means - mean), L)

    def with_scales(self, factor: float) -> Posterior:
        """The posterior with length-scales multiplied by ``factor``."""
        return (
            self if factor == 1.0 else Posterior.at(self.data, replace(self.hyper, scales=self.hyper.scales * factor))
        )

    def distance(self, a: Array, b: Array) -> Array:
        """Distances in length-scales, shapes (n, n_axes), (m, n_axes) -> (n, m)."""
        scales, choices = self.hyper.scales, self.data.choices
        apart = (np.atleast_2d(a)[:, None] - np.atleast_2d(b)) / scales
        apart[..., choices] = np.where(apart[..., choices] == 0, 0.0, 1.0 / scales[choices])
        distance: Array = np.sqrt(np.einsum("ijk,ijk->ij", apart, apart))
        return distance

    def kernel(self, a: Array, b: Array) -> Array:
        """Prior covariance of the function at points ``a`` and ``b``, shape (n_a, n_b)."""
        return self.hyper.kernel(np.atleast_2d(a), np.atleast_2d(b), self.data.choices)

    def at_points(self, points: Array) -> tuple[Array, Array]:
        """Posterior mean and standard deviation of the function (without noise) at points, shape (m,) each."""
        if len(points) > _CHUNK:
            found = [self.at_points(points[i : i + _CHUNK]) for i in range(0, len(points), _CHUNK)]
            return np.concatenate([means for means, _ in found]), np.concatenate([sds for _, sds in found])
        cross = self.kernel(self.data.points, points)
        means = self.mean + cross.T @ self.alpha
        reduced = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        variances = self.hyper.variance - np.einsum("ij,ij->j", reduced, reduced)
        return means, np.sqrt(np.maximum(variances, 1e-12))

    def means(self, points: Array) -> Array:
        """The first of :meth:`at_points`, which takes less than both."""
        parts = [points[i : i + _CHUNK] for i in range(0, len(points), _CHUNK)] or [points]
        return np.concatenate([self.mean + self.kernel(self.data.points, part).T @ self.alpha for part in parts])

    def covariance(self, points: Array) -> tuple[Array, Array]:
        """Posterior mean, shape (m,), and covariance of the function, shape (m, m)."""
        cross = self.kernel(self.data.points, points)
        reduced = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        return self.mean + cross.T @ self.alpha, self.kernel(points, points) - reduced.T @ reduced

    def worse(self, place: Array, points: Array) -> Array:
        """By how many standard deviations the function at ``points`` is worse than at ``place``, shape (m,)."""
        if len(points) > _CHUNK:
            return np.concatenate([self.worse(place, points[i : i + _CHUNK]) for i in range(0, len(points), _CHUNK)])
        both = np.vstack([place[None], points])
        cross = self.kernel(self.data.points, both)
        means = self.mean + cross.T @ self.alpha
        reduced = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        variances = self.hyper.variance - np.einsum("ij,ij->j", reduced, reduced)
        shared = self.kernel(place, points)[0] - reduced[:, 0] @ reduced[:, 1:]
        spread = variances[1:] + variances[0] - 2 * shared
        worse: Array = (means[0] - means[1:]) / np.sqrt(np.maximum(spread, 1e-12))
        return worse

    def believing(self, points: Array) -> Posterior:
        """The posterior if the trainings at ``points`` returned their expected values (Kriging believer, Ginsbourger
        2010).

        A training at a known point counts as another repeat of it.
        """
        if not len(points):
            return self
        known, expected = self.data, self.at_points(points)[0]
        means, counts = known.means.copy(), known.counts.copy()
        places: dict[tuple[float, ...], int] = {tuple(point): i for i, point in enumerate(known.points.tolist())}
        new: list[int] = []
        for i, point in enumerate(points.tolist()):
            place = places.setdefault(tuple(point), len(means) + len(new))
            if place == len(means) + len(new):
                new.append(i)
            elif place < len(means):
                means[place] += (expected[i] - means[place]) / (counts[place] + 1)
                counts[place] += 1
        data = replace(
            known,
            points=np.vstack([known.points, points[new]]),
            means=np.concatenate([means, expected[new]]),
            counts=np.concatenate([counts, np.ones(len(new))]),
            barred=None if known.barred is None else np.append(known.barred, np.zeros(len(new), dtype=bool)),
        )
        return Posterior.at(data, self.hyper)


def top_points(posterior: Posterior, n: int, apart: float) -> Array:
    """Trained points by descending posterior mean, none closer than ``apart`` length-scales to a better one; of points
    with the same mean, those near the middle of the cube first.
    """
    points = posterior.data.points[posterior.data.eligible]
    means, _ = posterior.at_points(points)
    to_middle = np.sum((points - 0.5) ** 2, axis=1)
    order = np.lexsort((to_middle, -np.round(means, 9)))
    kept: list[int] = []
    near = posterior.distance(points, points) <= apart
    for i in order:
        if not near[i, kept].any():
            kept.append(int(i))
            if len(kept) == n:
                break
    return points[kept]
