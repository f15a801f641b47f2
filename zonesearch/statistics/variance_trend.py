"""Variances that follow a trend: few repeats of many cells say together what those of one cell cannot.

Two or three values say little about their own variance, and one variance for all cells is wrong where noise grows as
values get worse. So each cell's true variance is taken as drawn around a trend, sigma^2(x) times a scaled inverse
chi-square with ``prior_degrees`` degrees of freedom; then a measured variance with d degrees divided by the trend
follows F(d, prior_degrees), and the best guess of a cell's own is the weighted mean of both (moderated variances:
Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3(1):3; with a trend and robust: Phipson et al. 2016, Ann. Appl. Stat.
10:946). The trend, for the logarithm of the variance a line with bends, and the prior degrees are the most probable
ones by that F-likelihood, whose heavy tail keeps single wild cells from bending it; a variance of exactly zero is no
trouble to it.

Single values show noise only by what neighbours do not explain. Such residuals hold curvature of the surface as well,
which few of them do much and most do little: their scale is that of a Cauchy distribution, which hardly sees the few.
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
_KNOTS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # quantiles of x where the line may bend, from the best cells on
_BEND_SD = 0.7  # of a change of slope
_NORMAL_BY_CAUCHY = 0.6120031  # the most probable scale of a Cauchy distribution for standard normal values
_CORRELATED = 3.0  # so many second differences hold about the information of one free value
_OUTLIERS = 0.02  # measured variances above the F quantile of this upper share count as lying on it
_LEAST = 1e-6  # of the mean variance: what is less counts as so much
_FEW = 16  # cells: fewer are not halved
_MOST = 600  # cells that a trend is fitted to: the better half of them as they are, the rest thinned


@dataclass(frozen=True)
class Slope:
    """Prior belief about the trend: normal, in units of log-variance per unit of x.

    Beyond the worst cell that was measured the trend rises by no more than ``beyond``, and never falls.
    """

    mean: float = 0.0
    sd: float = 1.0
    beyond: float = 0.0


@dataclass(frozen=True)
class Moderated:
    """A trend of variances, and how far single cells stray from it.

    Args:
        knots: values of x, rising from the best cells to the worst, at least two; between them the logarithm of the
            variance is a line.
        logarithms: of the variance of a single value at the knots.
        prior_degrees: how many degrees of freedom the trend is worth for a single cell.
        degrees: degrees of freedom behind the trend itself.
        beyond: the most by which the logarithm rises per unit of x behind the last knot; before the first it is flat.
    """

    knots: tuple[float, ...]
    logarithms: tuple[float, ...]
    prior_degrees: float
    degrees: float
    beyond: float = 0.0

    def variance(self, x: Array) -> Array:
        """Of a single value at ``x``, as the trend has it; same shape."""
        knots, logarithms = np.array(self.knots), np.array(self.logarithms)
        slope = float(np.clip((logarithms[-1] - logarithms[-2]) / (knots[-1] - knots[-2]), 0.0, self.beyond))
        logarithm = np.interp(x, knots, logarithms) + slope * np.maximum(np.asarray(x) - knots[-1], 0.0)
        variance: Array = np.exp(np.clip(logarithm, -700.0, 700.0))
        return variance

    def moderated(self, x: Array, variances: Array, degrees: Array) -> tuple[Array, Array]:
        """Of cells with measured ``variances``: the best guess of each, and its degrees of freedom; shape (n,) each.

        The trend counts for no more degrees than stand behind it.
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
    """The weight of each knot at ``x``, which lie within the knots: shape (n, n_knots)."""
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
    # How far cells stray from the trend is asked of the better half: zones lie there, and the bad ones stray more.
    better = slice(max(_FEW, len(x) // 2))
    found: list[tuple[float, Array]] = []
    for d0 in grid:
        beta = _newton(hats, variances, degrees, d0, beta, contrast, expected)
        value = _log_likelihood((hats @ beta)[better], variances[better], degrees[better], d0)
        value -= 0.5 * (math.log(d0 / _USUAL_DEGREES) / _DEGREES_SD) ** 2
        found.append((value, beta))
    values = np.array([value for value, _ in found])
    weights = np.exp(values - values.max())
    # Quantiles of Student's t go about with 1/d, so that of an uncertain d0 the mean of 1/d0 counts.
    prior_degrees = float(weights.sum() / (weights @ (1 / np.array(grid))))
    logarithms = found[int(np.argmax(values))][1]
    return Moderated(tuple(knots.tolist()), tuple(logarithms.tolist()), prior_degrees, total, slope.beyond)


def _log_likelihood(log_trend: Array, variances: Array, degrees: Array, d0: float) -> float:
    """Of F(d, d0) for variance over trend, without what depends on neither trend nor d0."""
    ends, place = np.unique(degrees, return_inverse=True)
    gammas = np.array([math.lgamma((d + d0) / 2) - math.lgamma(d0 / 2) for d in ends.tolist()])
    shape = gammas[place] - degrees / 2 * math.log(d0)
    ratio = degrees * variances * np.exp(-log_trend) / d0
    return float(np.sum(shape - degrees / 2 * log_trend - (degrees + d0) / 2 * np.log1p(ratio)))


def _newton(
    hats: Array, variances: Array, degrees: Array, d0: float, beta: Array, contrast: Array, expected: Array
) -> Array:
    """The most probable logarithms at the knots: the likelihood is log-concave in them, so that damped steps arrive."""
    precision = contrast.T @ contrast + 1e-9 * np.eye(len(beta))
    for _ in range(30):
        ratio = degrees * variances * np.exp(-np.clip(hats @ beta, -700, 700)) / d0
        share = ratio / (1 + ratio)
        gradient = hats.T @ ((degrees + d0) / 2 * share - degrees / 2) - contrast.T @ (contrast @ beta - expected)
        curvature = (degrees + d0) / 2 * share / (1 + ratio)
        # Not less than a part of Fisher's expected one, where the observed is small far from the optimum.
        curvature = np.maximum(curvature, 0.25 * degrees * d0 / (degrees + d0 + 2))
        step = np.linalg.solve((hats.T * curvature) @ hats + precision, gradient)
        beta = beta + np.clip(step, -3.0, 3.0)
        if float(np.max(np.abs(step))) < 1e-3:
            break
    return beta
