"""Gaussian process: the known values along the interval, with their noise, tell where a better one may be.

The other methods assume a single peak and use the points around the best one. A process uses all points at once, so
that noise averages out over neighbours, a second peak is noticed, and stopping is a statement about the whole interval.
It maximises expected improvement over the best *posterior* mean (the luckiest observation is not an incumbent on a
noisy function: Gramacy & Lee 2011). Ten points say little about length-scale, height and noise, so several draws of the
hyperparameters are used (Snoek, Larochelle & Adams 2012). It is the process of the surrogate on a cube of one axis;
standard errors enter as numbers of repeats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from zonesearch.core.axes import Axis, Number
from zonesearch.search.lines.line import Line, check_points, least
from zonesearch.search.lines.method import LinePoint
from zonesearch.statistics.gp.process import Data, Prior, fit_draws
from zonesearch.statistics.gp.stack import Stack

__all__ = ["Belief", "Gp", "believe"]

Array = npt.NDArray[np.float64]

_FIRST = (1 / 6, 1 / 2, 5 / 6)
_PLACES = np.linspace(0, 1, 97)
_QUANTILE = 1.96  # two-sided, 95 %

_DRAWS = 16
_KNOWN_NOISE = 0.4  # of the logarithm of the noise variance, if standard errors tell its size
_CLIFF = 3.0  # values that fall by more than this multiple of the drop to the median count as equally bad


@dataclass(frozen=True)
class Gp:
    """``gp(9)``: until ``points`` values are known (including earlier ones) or no place can be significantly better."""

    points: int = 9

    def __post_init__(self) -> None:
        check_points(self.points, "gp")

    def propose(self, axis: Axis, low: Number, high: Number, known: Sequence[LinePoint]) -> tuple[Number, ...]:
        """Three spread-out values at first; then the one with the largest expected improvement."""
        line = Line(axis, low, high, known)
        if len(known) >= self.points:
            return ()
        if not known:
            return line.fresh(_FIRST)
        if len(known) < len(_FIRST) or line.best is None:
            return line.widest()
        belief = believe(line, _PLACES)
        if len(known) >= least(self.points) and belief.settled:
            return ()
        return line.fresh(_PLACES[np.argsort(-belief.improvements, kind="stable")], 1)

    def best(self, axis: Axis, low: Number, high: Number, known: Sequence[LinePoint]) -> Number:
        """The known value with the highest posterior mean, since the best of many observations is a lucky one."""
        line = Line(axis, low, high, known)
        means = believe(line, np.array([place for place, _ in line.points])).means
        alive = [i for i, (_, point) in enumerate(line.points) if math.isfinite(point.mean)]
        return line.points[max(alive, key=lambda i: float(means[i]))][1].value

    def at_most(self) -> int:
        """All points, if none is known."""
        return self.points


@dataclass(frozen=True)
class Belief:
    """The posterior, in units of accuracy.

    Args:
        means, deviations: of the function at each requested place, without noise.
        improvements: expected improvements there over the best posterior mean at known points.
        best: that posterior mean.
        noise: measured standard error of a point's mean; 0 if it was not measured.
    """

    means: Array
    deviations: Array
    improvements: Array
    best: float
    noise: float

    @property
    def settled(self) -> bool:
        """Whether no place is plausibly better than the best known one by more than the noise of a point."""
        return float(np.max(self.means + _QUANTILE * self.deviations)) - self.best <= _QUANTILE * self.noise


def believe(line: Line, places: Array) -> Belief:
    """The posterior at ``places``, shape (m,), given the known points of ``line``, at least one of them with a value.

    A point without a value, or far below the others, counts as bad without saying how bad, since a cliff would distort
    the fit where it matters.
    """
    known = np.array([place for place, _ in line.points])
    values = np.array([point.mean for _, point in line.points])
    alive = np.isfinite(values)
    top, median = float(np.max(values[alive])), float(np.median(values[alive]))
    floor = float(np.min(values[alive]))
    if top > median:
        floor = max(floor, top - _CLIFF * (top - median))
    values = np.where(alive, np.maximum(values, floor), floor)
    unit = float(np.std(values)) or 1.0
    level = float(np.mean(values))
    errors = np.array([point.se if math.isfinite(point.se) else 0.0 for _, point in line.points])
    measured = errors[errors > 0]
    usual = float(np.median(measured)) if len(measured) else 0.0
    counts = np.where(errors > 0, (usual / np.where(errors > 0, errors, 1.0)) ** 2, 1.0)
    data = Data(known[:, None], (values - level) / unit, np.clip(counts, 1e-4, 1e4), 0.0, np.array([False]))
    _, drawn = fit_draws(data, _prior(usual / unit), _DRAWS, np.random.default_rng(0))

    stack = Stack(drawn)
    incumbents = stack.at_points(data.points)[0].max(axis=1)
    means, deviations = stack.at_points(places[:, None])
    improvements = np.mean(_expected_improvement(means - incumbents[:, None], deviations), axis=0)
    mean = np.mean(means, axis=0)
    deviation = np.sqrt(np.maximum(np.mean(deviations**2 + means**2, axis=0) - mean**2, 0.0))
    return Belief(
        means=level + unit * mean,
        deviations=unit * deviation,
        improvements=unit * improvements,
        best=level + unit * float(np.mean(incumbents)),
        noise=float(np.median(errors)),
    )


def _prior(noise: float) -> Prior:
    """A length-scale of a third of the interval, the height of the data, little noise beyond the measured one."""
    if noise > 0:
        return Prior(scale=0.35, scale_sd=0.7, amplitude_sd=1.2, noise=max(noise**2, 1e-5), noise_sd=_KNOWN_NOISE)
    return Prior(scale=0.35, scale_sd=0.7, amplitude_sd=1.2, noise=1e-3, noise_sd=2.0)


def _expected_improvement(gain: Array, deviation: Array) -> Array:
    z = gain / deviation
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    improvement: Array = gain * ndtr(z) + deviation * density
    return improvement
