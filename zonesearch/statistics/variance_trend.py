"""Variances that follow a trend: few repeats of many cells together determine what those of one cell cannot.

Two or three values say little about their own variance, and one variance for all cells is wrong where noise grows as
values get worse. So each cell's true variance is modelled as drawn around a trend, sigma^2(x) times a scaled inverse
chi-square with ``prior_degrees`` degrees of freedom; then a measured variance with d degrees divided by the trend
follows F(d, prior_degrees), and the best estimate for a cell is the weighted mean of both (moderated variances: Smyth
2004, Stat. Appl. Genet. Mol. Biol. 3(1):3; with a trend and robust: Phipson et al. 2016, Ann. Appl. Stat. 10:946). The
trend (piecewise linear in the logarithm of the variance) and the prior degrees maximise that F-likelihood with its
priors; its heavy tail keeps single outliers from bending the trend, and it handles variances of exactly zero.

Without repeats, noise shows only in what neighbours do not explain. Such residuals contain curvature of the surface as
well, large in a few of them and small in most: so a Cauchy scale, which is insensitive to the few, is fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from zonesearch.statistics.distributions import f_quantile

__all__ = ["Moderated", "Slope", "fit_residuals", "fit_variances"]

Array = npt.NDArray[np.float64]

_PRIOR_DEGREES = tuple(float(d) for d in np.geomspace(1.0, 128.0, 8))
_USUAL_DEGREES, _DEGREES_SD = 4.0, 0.7  # lognormal prior of the prior degrees: median, and sd of the logarithm
_KNOTS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # quantiles of x where the line may bend, starting at the best cells
_BEND_SD = 0.7  # of a change of slope
_NORMAL_BY_CAUCHY = 0.6120031  # the most probable scale of a Cauchy distribution for standard normal values
_CORRELATED = 3.0  # number of second differences with about the information of one independent value
_OUTLIERS = 0.02  # measured variances above the F quantile of this upper share count as lying on it
_LEAST = 1e-6  # fraction of the mean variance: a floor for single variances
_FEW = 16  # fewer cells than this are not halved
_MOST = 600  # most cells that a trend is fitted to: the better half of them unchanged, the rest thinned


@dataclass(frozen=True)
class Slope:
    """Prior belief about the trend: normal, in units of log-variance per unit of x.

    Beyond the worst measured cell the slope is at most ``beyond`` and never negative.
    """

    mean: float = 0.0
    sd: float = 1.0
    beyond: float = 0.0


@dataclass(frozen=True)
class Moderated:
    """A trend of variances, and how far single cells deviate from it.

    Args:
        knots: values of x, rising from the best cells to the worst, at least two; the logarithm of the variance is
            linear between them.
        logarithms: logarithm of the variance of a single value at each knot.
        prior_degrees: degrees of freedom with which the trend counts for a single cell.
        degrees: degrees of freedom of the trend itself.
        beyond: maximum slope of the logarithm beyond the last knot; it is flat before the first.
    """

    knots: tuple[float, ...]
    logarithms: tuple[float, ...]
    prior_degrees: float
    degrees: float
    beyond: float = 0.0

    def variance(self, x: Array) -> Array:
        """The trend's variance of a single value at ``x``; same shape."""
        knots, logarithms = np.array(self.knots), np.array(self.logarithms)
        slope = float(np.clip((logarithms[-1] - logarithms[-2]) / (knots[-1] - knots[-2]), 0.0, self.beyond))
        logarithm = np.interp(x, knots, logarithms) + slope * np.maximum(np.asarray(x) - knots[-1], 0.0)
        variance: Array = np.exp(np.clip(logarithm, -700.0, 700.0))
        return variance

    def moderated(self, x: Array, variances: Array, degrees: Array) -> tuple[Array, Array]:
        """For cells with measured ``variances``: the best estimate of each, and its degrees of freedom; shape (n,)
        each.

        The trend counts with no more degrees of freedom than it has itself.
        """
        d0 = self.prior_degrees
        guess = (d0 * self.variance(x) + degrees * variances) / (d0 + degrees)
        return guess, np.minimum(d0, self.degrees) + degrees


def fit_variances(x: Array, variances: Array, degrees: Array, slope: Slope) -> Moderated:
    """The trend of measured ``variances`` with their ``degrees`` (at least 1 each) at ``x``; shape (n,), n >= 1."""
    total = float(degrees.sum())
    x, variances, degrees = _thinned(x, variances, degrees)
    best = _most_probable(x, variances, degrees, slope, _PRIOR_DEGREES)
    for _ in range(2):
        ends, place = np.unique(degrees, return_inverse=True)
        quantiles = [f_quantile(1 - _OUTLIERS, d, best.prior_degrees) for d in ends.tolist()]
        most = best.variance(x) * np.array(quantiles)[place]
        if not (variances > most).any():
            break
        best = _most_probable(x, np.minimum(variances, most), degrees, slope, _PRIOR_DEGREES)
    return replace(best, degrees=total)


def fit_residuals(x: Array, squares: Array, slope: Slope) -> Moderated:
    """The trend of squared residuals of single values, each of which estimates a variance; shape (n,), n >= 1."""
    free = max(1.0, len(x) / _CORRELATED)
    found = _most_probable(*_thinned(x, squares, np.ones(len(x))), slope, (1.0,))
    level = -2 * math.log(_NORMAL_BY_CAUCHY)
    logarithms = tuple(value + level for value in found.logarithms)
    return replace(found, logarithms=logarithms, prior_degrees=min(_USUAL_DEGREES, free), degrees=free)


def _thinned(x: Array, variances: Array, degrees: Array) -> tuple[Array, Array, Array]:
    """At most ``_MOST`` cells by rising x."""
    order = np.lexsort((variances, x))
    if len(order) > _MOST:
        half = _MOST // 2
        rest = np.linspace(half, len(order) - 1, _MOST - half).round().astype(np.intp)
        order = order[np.unique(np.concatenate([np.arange(half), rest]))]
    return x[order], variances[order], degrees[order]


def _hats(x: Array, knots: Array) -> Array:
    """The weight of each knot at ``x`` (values within the range of the knots), shape (n, n_knots)."""
    place = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    part = (x - knots[place]) / (knots[place + 1] - knots[place])
    hats = np.zeros((len(x), len(knots)))
    rows = np.arange(len(x))
    hats[rows, place] = 1 - part
    hats[rows, place + 1] = part
    return hats


def _knots(x: Array) -> Array:
    """Where the line may bend: no two closer than a twentieth of the whole range."""
    low, high = float(x.min()), float(x.max())
    if high - low < 1e-9:
        return np.array([low - 0.5, low + 0.5])
    kept = [low]
    for at in np.quantile(x, _KNOTS[1:-1]):
        if at - kept[-1] >= (high - low) / 20 and high - at >= (high - low) / 20:
            kept.append(float(at))
    return np.array([*kept, high])


def _most_probable(x: Array, variances: Array, degrees: Array, slope: Slope, grid: tuple[float, ...]) -> Moderated:
    knots = _knots(x)
    hats = _hats(x, knots)
    total = float(degrees.sum())
    average = float(np.average(variances, weights=degrees))
    if average <= 0.0:
        return Moderated(tuple(knots.tolist()), (-700.0,) * len(knots), grid[-1], total)
    variances = np.maximum(variances, _LEAST * average)
    # The prior: the mean slope and every change of slope are normal. Rows of ``contrast`` are in units of their sd.
    slopes = np.diff(np.eye(len(knots)), axis=0) / np.diff(knots)[:, None]
    wide = np.diff(knots) / (knots[-1] - knots[0])
    contrast = np.vstack([(wide @ slopes)[None] / slope.sd, np.diff(slopes, axis=0) / _BEND_SD])
    expected = np.zeros(len(contrast))
    expected[0] = slope.mean / slope.sd
    beta = math.log(average) + slope.mean * (knots - float(np.average(x, weights=degrees)))
    # How far cells deviate from the trend is estimated from the better half: zones lie there, and worse cells deviate
    # more.
    better = slice(max(_FEW, len(x) // 2))
    found: list[tuple[float, Array]] = []
    for d0 in grid:
        beta = _newton(hats, variances, degrees, d0, beta, contrast, expected)
        value = _log_likelihood((hats @ beta)[better], variances[better], degrees[better], d0)
        value -= 0.5 * (math.log(d0 / _USUAL_DEGREES) / _DEGREES_SD) ** 2
        found.append((value, beta))
    values = np.array([value for value, _ in found])
    weights = np.exp(values - values.max())
    # Quantiles of Student's t vary roughly with 1/d, so for an uncertain d0 the mean of 1/d0 matters.
    prior_degrees = float(weights.sum() / (weights @ (1 / np.array(grid))))
    logarithms = found[int(np.argmax(values))][1]
    return Moderated(tuple(knots.tolist()), tuple(logarithms.tolist()), prior_degrees, total, slope.beyond)


def _log_likelihood(log_trend: Array, variances: Array, degrees: Array, d0: float) -> float:
    """Log-likelihood of F(d, d0) for variance over trend, without terms that depend on neither trend nor d0."""
    ends, place = np.unique(degrees, return_inverse=True)
    gammas = np.array([math.lgamma((d + d0) / 2) - math.lgamma(d0 / 2) for d in ends.tolist()])
    shape = gammas[place] - degrees / 2 * math.log(d0)
    ratio = degrees * variances * np.exp(-log_trend) / d0
    return float(np.sum(shape - degrees / 2 * log_trend - (degrees + d0) / 2 * np.log1p(ratio)))


def _newton(
    hats: Array, variances: Array, degrees: Array, d0: float, beta: Array, contrast: Array, expected: Array
) -> Array:
    """The most probable logarithms at the knots: the likelihood is log-concave in them, so damped steps converge."""
    precision = contrast.T @ contrast + 1e-9 * np.eye(len(beta))
    for _ in range(30):
        ratio = degrees * variances * np.exp(-np.clip(hats @ beta, -700, 700)) / d0
        share = ratio / (1 + ratio)
        gradient = hats.T @ ((degrees + d0) / 2 * share - degrees / 2) - contrast.T @ (contrast @ beta - expected)
        curvature = (degrees + d0) / 2 * share / (1 + ratio)
        # At least a fraction of the expected Fisher information, since the observed one is small far from the optimum.
        curvature = np.maximum(curvature, 0.25 * degrees * d0 / (degrees + d0 + 2))
        step = np.linalg.solve((hats.T * curvature) @ hats + precision, gradient)
        beta = beta + np.clip(step, -3.0, 3.0)
        if float(np.max(np.abs(step))) < 1e-3:
            break
    return beta
