"""A Gaussian process with a noise term: the posterior of a noisy function on the unit cube.

Matern-5/2 kernel with one length-scale per axis; axes of choices count as equal or not. Length-scales, amplitude and
noise are the maximum a posteriori under lognormal priors; the prior of the length-scales grows with the root of the
number of axes, as distances in the cube do (Hvarfner, Hellsten & Nardi 2024). The constant mean is profiled out by
generalised least squares. Points with repeats enter by their mean and their count, and the spread between repeats
enters the likelihood of the noise, which together is the likelihood of all single values (Rasmussen & Williams 2006,
chapters 2 and 5; Binois, Gramacy & Ludkovski 2018 for replicates).

Written here because an exact process of a few hundred points with this likelihood and analytic gradients fits in
milliseconds, where a general library takes seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, lapack, solve_triangular
from scipy.optimize import minimize

from zonesearch.statistics.gp.kernel import Hyper, Pairs

__all__ = ["Data", "Posterior", "Prior", "fit", "leaders"]

Array = npt.NDArray[np.float64]

_JITTER = 1e-9
_FIT_POINTS = 64  # hyperparameters need no more points than this; the posterior uses all of them
_BOUNDS = {"scale": (math.log(0.03), math.log(30.0)), "amplitude": (-7.0, 5.0), "noise": (-13.0, 2.0)}


@dataclass(frozen=True)
class Data:
    """What is known, standardised.

    Args:
        points: of the unit cube, shape (n, n_axes), all different.
        means: over the repeats of each point, shape (n,).
        counts: number of repeats, shape (n,).
        squares: sum of squared deviations of single values from their point's mean, over all points.
        choices: which axes are choices, shape (n_axes,).
    """

    points: Array
    means: Array
    counts: Array
    squares: float
    choices: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.means)

    def subset(self, places: npt.NDArray[np.intp]) -> Data:
        """Some of the points, with their share of the spread between repeats."""
        counts = self.counts[places]
        free = float(np.sum(self.counts)) - len(self)
        share = (float(np.sum(counts)) - len(counts)) / free if free > 0 else 0.0
        return replace(
            self, points=self.points[places], means=self.means[places], counts=counts, squares=self.squares * share
        )


@dataclass(frozen=True)
class Prior:
    """Lognormal priors: medians and standard deviations of the logarithm.

    Args:
        scale: median length-scale for one axis, in sides of the cube; times the root of the number of axes.
        noise: median variance of a single value, in units of the standardised values.
    """

    scale: float = 0.35
    scale_sd: float = 0.9
    amplitude: float = 1.0
    amplitude_sd: float = 1.0
    noise: float = 0.05
    noise_sd: float = 1.5


def fit(data: Data, prior: Prior) -> Posterior:
    """The posterior at the most probable hyperparameters."""
    return Posterior.at(data, _most_probable(_for_fit(data), prior))


def _for_fit(data: Data) -> Data:
    """At most ``_FIT_POINTS`` points: a third the best, the rest spread over all by rank."""
    if len(data) <= _FIT_POINTS:
        return data
    order = np.argsort(-data.means, kind="stable")
    n_best = _FIT_POINTS // 3
    spread = np.linspace(n_best, len(data) - 1, _FIT_POINTS - n_best).round().astype(np.intp)
    return data.subset(order[np.unique(np.concatenate([np.arange(n_best), spread]))])


def _most_probable(data: Data, prior: Prior) -> Hyper:
    n, n_axes = data.points.shape
    pairs = Pairs(data.points, data.choices)
    places = pairs.places
    n_free = float(np.sum(data.counts)) - n  # repeats beyond the first: degrees of freedom of the noise
    medians = [prior.scale * math.sqrt(n_axes)] * n_axes + [prior.amplitude / 2, prior.amplitude / 2, prior.noise]
    centre = np.log(medians)
    spread = np.array([prior.scale_sd] * n_axes + [prior.amplitude_sd] * 2 + [prior.noise_sd])
    K = np.zeros((n, n))  # its lower triangle
    right = np.stack([np.ones(n), data.means], axis=1)

    def loss(theta: Array) -> tuple[float, Array]:
        scales = np.exp(theta[:n_axes])
        joint, single, noise = np.exp(theta[n_axes:])
        kernel, slope, alone, falls = pairs.parts(scales)
        K.ravel()[places] = joint * kernel + single * alone
        K.ravel()[:: n + 1] = joint + single + noise / data.counts + _JITTER
        L, info = lapack.dpotrf(K, lower=1)
        if info:
            return 1e10, np.zeros_like(theta)
        solved, _ = lapack.dpotrs(L, right, lower=1)
        inverse, _ = lapack.dpotri(L, lower=1)
        mean = float(solved[:, 0] @ data.means) / float(solved[:, 0].sum())
        alpha = solved[:, 1] - mean * solved[:, 0]
        value = 0.5 * float((data.means - mean) @ alpha) + float(np.log(np.diag(L)).sum())
        value += 0.5 * (n_free * theta[-1] + data.squares / noise)
        W = (inverse - np.outer(alpha, alpha)).ravel()
        at_pairs, on_diagonal = W[places], W[:: n + 1]  # a pair counts twice, which the half before it takes back
        total = float(on_diagonal.sum())
        gradient = np.empty_like(theta)
        gradient[:n_axes] = joint * pairs.fall(at_pairs * slope, scales) + single * (falls @ at_pairs)
        gradient[n_axes] = joint * (float(at_pairs @ kernel) + 0.5 * total)
        gradient[n_axes + 1] = single * (float(at_pairs @ alone) + 0.5 * total)
        gradient[-1] = 0.5 * noise * float(np.sum(on_diagonal / data.counts)) + 0.5 * (n_free - data.squares / noise)
        off = (theta - centre) / spread
        return value + 0.5 * float(off @ off), gradient + off / spread

    bounds = [_BOUNDS["scale"]] * n_axes + [_BOUNDS["amplitude"]] * 2 + [_BOUNDS["noise"]]
    best = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 25, "maxfun": 35})
    theta = best.x
    return Hyper(np.exp(theta[:n_axes]), *(float(np.exp(t)) for t in theta[n_axes:]))


@dataclass(frozen=True)
class Posterior:
    """The function as far as it is known; made by :meth:`at`."""

    data: Data
    hyper: Hyper
    mean: float
    alpha: Array
    factor: Array

    @classmethod
    def at(cls, data: Data, hyper: Hyper) -> Posterior:
        """The posterior of ``data`` at given hyperparameters."""
        K = hyper.kernel(data.points, data.points, data.choices)
        K[np.diag_indices(len(data))] += hyper.noise / data.counts + _JITTER * max(1.0, hyper.variance)
        L = np.asarray(np.linalg.cholesky(K), dtype=np.float64)
        ones = cho_solve((L, True), np.ones(len(data)))
        mean = float(ones @ data.means) / float(ones.sum())
        return cls(data, hyper, mean, cho_solve((L, True), data.means - mean), L)

    def with_scales(self, factor: float) -> Posterior:
        """The posterior if the length-scales were longer by ``factor``."""
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
        cross = self.kernel(self.data.points, points)
        means = self.mean + cross.T @ self.alpha
        reduced = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        variances = self.hyper.variance - np.einsum("ij,ij->j", reduced, reduced)
        return means, np.sqrt(np.maximum(variances, 1e-12))

    def covariance(self, points: Array) -> tuple[Array, Array]:
        """Posterior mean, shape (m,), and covariance of the function, shape (m, m)."""
        cross = self.kernel(self.data.points, points)
        reduced = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        return self.mean + cross.T @ self.alpha, self.kernel(points, points) - reduced.T @ reduced

    def worse(self, place: Array, points: Array) -> Array:
        """By how many standard deviations the function at ``points`` is worse than at ``place``, shape (m,)."""
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
        """The posterior if the trainings at ``points`` came back as expected (Kriging believer, Ginsbourger 2010)."""
        if not len(points):
            return self
        means, _ = self.at_points(points)
        data = replace(
            self.data,
            points=np.vstack([self.data.points, points]),
            means=np.concatenate([self.data.means, means]),
            counts=np.concatenate([self.data.counts, np.ones(len(points))]),
        )
        return Posterior.at(data, self.hyper)


def leaders(posterior: Posterior, n: int, apart: float) -> Array:
    """Trained points by falling posterior mean, none nearer than ``apart`` length-scales to a better one."""
    points = posterior.data.points
    means, _ = posterior.at_points(points)
    order = np.argsort(-means, kind="stable")
    kept: list[int] = []
    near = posterior.distance(points, points) <= apart
    for i in order:
        if not near[i, kept].any():
            kept.append(int(i))
            if len(kept) == n:
                break
    return points[kept]
