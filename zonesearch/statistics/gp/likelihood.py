"""The posterior density of the hyperparameters: the likelihood of the data times lognormal priors.

The hyperparameters are parametrised as ``theta``, shape (n_axes + 3,): the logarithms of the length-scales, of the two
amplitudes and of the noise. The constant mean is profiled out by generalised least squares. Repeats of a point enter
through their mean, their count and their sum of squares, which gives the exact likelihood of all single values
(Rasmussen & Williams 2006, section 5.4; Binois, Gramacy & Ludkovski 2018 for replicates).

A point estimate hides how little a few values say about length-scales, so posterior draws are available as well, to
average over as Snoek, Larochelle & Adams (2012) do: importance resampling from the Laplace approximation (a Markov
chain restarted for every suggestion is slower and less even).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack
from scipy.optimize import minimize

from zonesearch.statistics.gp.kernel import Hyper, Pairs

__all__ = ["JITTER", "Data", "Likelihood", "Prior"]

Array = npt.NDArray[np.float64]

JITTER = 1e-9
_BOUNDS = {"scale": (math.log(0.03), math.log(30.0)), "amplitude": (-7.0, 5.0), "noise": (-13.0, 2.0)}
_STEP = 0.05  # standard deviations of the prior, for the second derivatives
_LEAST_BEND = 0.7  # lower bound of the second derivative: that of the prior alone is 1
_PROPOSED = 16  # number of proposals from which the draws are taken


@dataclass(frozen=True)
class Data:
    """The data, standardised.

    Args:
        points: points in the unit cube, shape (n, n_axes), all different.
        means: mean over the repeats of each point, shape (n,).
        counts: number of repeats, shape (n,).
        squares: sum of squared deviations of single values from their point's mean, over all points.
        choices: which axes are choices, shape (n_axes,).
        barred: points that may not be the best, whatever their value (a constraint is violated), shape (n,); None if
            all may.
    """

    points: Array
    means: Array
    counts: Array
    squares: float
    choices: npt.NDArray[np.bool_]
    barred: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.means)

    @property
    def eligible(self) -> npt.NDArray[np.bool_]:
        """Which points may be the best, shape (n,); all of them if none may."""
        if self.barred is None or self.barred.all():
            return np.ones(len(self), dtype=bool)
        return ~self.barred

    def subset(self, places: npt.NDArray[np.intp]) -> Data:
        """A subset of the points, with their share of the sum of squares."""
        counts = self.counts[places]
        free = float(np.sum(self.counts)) - len(self)
        share = (float(np.sum(counts)) - len(counts)) / free if free > 0 else 0.0
        return replace(
            self,
            points=self.points[places],
            means=self.means[places],
            counts=counts,
            squares=self.squares * share,
            barred=None if self.barred is None else self.barred[places],
        )


@dataclass(frozen=True)
class Prior:
    """Lognormal priors: medians and standard deviations of the logarithm.

    Args:
        scale: median length-scale for one axis, in sides of the cube; times the root of the number of axes (Hvarfner,
            Hellsten & Nardi 2024).
        noise: median variance of a single value, in units of the standardised values.
    """

    scale: float = 0.35
    scale_sd: float = 0.9
    amplitude: float = 1.0
    amplitude_sd: float = 1.0
    noise: float = 0.05
    noise_sd: float = 1.5


@dataclass(frozen=True)
class Likelihood:
    """The posterior density of the hyperparameters given ``data`` and ``prior``."""

    data: Data
    prior: Prior

    @cached_property
    def centre(self) -> Array:
        """The medians of the prior, as theta."""
        prior, n_axes = self.prior, self._n_axes
        medians = [prior.scale * math.sqrt(n_axes)] * n_axes + [prior.amplitude / 2] * 2 + [prior.noise]
        return np.log(medians)

    @cached_property
    def spread(self) -> Array:
        """The standard deviations of the prior."""
        prior = self.prior
        return np.array([prior.scale_sd] * self._n_axes + [prior.amplitude_sd] * 2 + [prior.noise_sd])

    @cached_property
    def bounds(self) -> Array:
        """Lowest and highest theta, shape (n_axes + 3, 2)."""
        return np.array([_BOUNDS["scale"]] * self._n_axes + [_BOUNDS["amplitude"]] * 2 + [_BOUNDS["noise"]])

    @property
    def _n_axes(self) -> int:
        return int(self.data.points.shape[1])

    @cached_property
    def _pairs(self) -> Pairs:
        return Pairs(self.data.points, self.data.choices)

    @cached_property
    def _right(self) -> Array:
        return np.stack([np.ones(len(self.data)), self.data.means], axis=1)

    def hyper(self, theta: Array) -> Hyper:
        """Theta as hyperparameters of the process."""
        n = self._n_axes
        return Hyper(np.exp(theta[:n]), *(float(np.exp(t)) for t in theta[n:]))

    def loss(self, theta: Array) -> tuple[float, Array]:
        """The negative logarithm of the posterior density up to a constant, and its gradient."""
        data, n_axes, n = self.data, self._n_axes, len(self.data)
        n_free = float(np.sum(data.counts)) - n  # repeats beyond the first: degrees of freedom
        places = self._pairs.places
        scales = np.exp(theta[:n_axes])
        joint, single, noise = np.exp(theta[n_axes:])
        kernel, slope, alone, falls = self._pairs.parts(scales)
        K = np.zeros((n, n))  # its lower triangle
        K.ravel()[places] = joint * kernel + single * alone
        K.ravel()[:: n + 1] = joint + single + noise / data.counts + JITTER
        L, info = lapack.dpotrf(K, lower=1)
        if info:
            return 1e10, np.zeros_like(theta)
        solved, _ = lapack.dpotrs(L, self._right, lower=1)
        inverse, _ = lapack.dpotri(L, lower=1)
        mean = float(solved[:, 0] @ data.means) / float(solved[:, 0].sum())
        alpha = solved[:, 1] - mean * solved[:, 0]
        value = 0.5 * float((data.means - mean) @ alpha) + float(np.log(np.diag(L)).sum())
        value += 0.5 * (n_free * theta[-1] + data.squares / noise)
        W = (inverse - np.outer(alpha, alpha)).ravel()
        at_pairs, on_diagonal = W[places], W[:: n + 1]  # each pair counts twice, which cancels the factor of one half
        total = float(on_diagonal.sum())
        gradient = np.empty_like(theta)
        gradient[:n_axes] = joint * self._pairs.fall(at_pairs * slope, scales) + single * (falls @ at_pairs)
        gradient[n_axes] = joint * (float(at_pairs @ kernel) + 0.5 * total)
        gradient[n_axes + 1] = single * (float(at_pairs @ alone) + 0.5 * total)
        gradient[-1] = 0.5 * noise * float(np.sum(on_diagonal / data.counts)) + 0.5 * (n_free - data.squares / noise)
        off = (theta - self.centre) / self.spread
        return value + 0.5 * float(off @ off), gradient + off / self.spread

    @cached_property
    def most_probable(self) -> Array:
        """The theta of highest density."""
        return self.climbed(self.centre)

    def climbed(self, start: Array, tolerance: float = 2.2e-9) -> Array:
        """The local maximum reached from ``start``; stops when a step gains less than the fraction ``tolerance`` of the
        log-density.
        """
        options = {"maxiter": 25, "maxfun": 35, "ftol": tolerance}
        found = minimize(self.loss, start, jac=True, method="L-BFGS-B", bounds=self.bounds.tolist(), options=options)  # type: ignore[call-overload]
        best: Array = found.x
        return best

    def draws(self, n: int, rng: np.random.Generator) -> list[Array]:
        """``n`` approximate draws of theta from the posterior; some may coincide."""
        low, high = self.bounds.T
        middle = self.most_probable
        height, slope = self.loss(middle)
        bend = np.empty((len(middle), len(middle)))
        for i in range(len(middle)):
            step = np.zeros_like(middle)
            step[i] = _STEP * self.spread[i]
            bend[i] = (self.loss(middle + step)[1] - slope) * self.spread / _STEP
        roots, directions = np.linalg.eigh(0.5 * (bend + bend.T))
        wide = 1.0 / np.sqrt(np.maximum(roots, _LEAST_BEND))
        away = rng.normal(size=(_PROPOSED // 2, len(middle)))
        away = np.vstack([away, -away])  # antithetic pairs, so that their mean is right
        proposed = np.clip(middle + (away * wide) @ directions.T * self.spread, low, high)
        logs = np.array([height - self.loss(theta)[0] for theta in proposed]) + 0.5 * np.sum(away**2, axis=1)
        weights = np.exp(logs - logs.max())
        weights = np.minimum(weights, weights.mean() * math.sqrt(len(weights)))  # truncated weights (Ionides 2008)
        ends = (rng.random() + np.arange(n)) / n * weights.sum()
        chosen = np.minimum(np.searchsorted(np.cumsum(weights), ends), len(weights) - 1)
        return [proposed[i] for i in chosen]
