"""Gaussian process: what is known along the interval, with its noise, says where a better value may still be.

The other methods believe that the interval has one peak and look at the points around the best one. A process looks
at all of them at once, so that noise averages out over neighbours, a second peak is seen, and the end is a statement
about the whole interval. Matern-5/2 with expected improvement over the best *posterior* mean (the luckiest observation
is no incumbent on a noisy function: Gramacy & Lee 2011). With ten points the data say little about length-scale,
height and noise, so no single setting is picked: all of a grid take part, weighed by their likelihood (Rasmussen &
Williams 2006, chapter 5; averaging over settings as in Snoek, Larochelle & Adams 2012).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from zonesearch.core.axes import Axis, Number
from zonesearch.search.lines.line import LEAST, Line, check_points
from zonesearch.search.lines.method import LinePoint

__all__ = ["Belief", "Gp", "believe"]

Array = npt.NDArray[np.float64]

_FIRST = (1 / 6, 1 / 2, 5 / 6)
_PLACES = np.linspace(0, 1, 97)
_QUANTILE = 1.96  # two-sided, 95 %

_LENGTHS = np.geomspace(0.08, 2.0, 7)  # in intervals
_HEIGHTS = np.array([0.2, 1.0, 5.0])  # variance of the function, where that of the known means is 1
_NOISES = np.array([1e-6, 1e-3, 0.03, 0.3])  # variance on top of what the standard errors say, likewise
_CONSTANT = 4.0  # variance of the mean level
_CLIFF = 3.0  # values lower than so many times the drop to the median are all as bad


@dataclass(frozen=True)
class Gp:
    """``gp(9)``: until ``points`` values are known (those from before included) or no better one can be told apart."""

    points: int = 9

    def __post_init__(self) -> None:
        check_points(self.points, "gp")

    def propose(self, axis: Axis, low: Number, high: Number, known: Sequence[LinePoint]) -> tuple[Number, ...]:
        """Three spread values at first; then the one with the largest expected improvement."""
        line = Line(axis, low, high, known)
        if len(known) >= self.points:
            return ()
        if not known:
            return line.fresh(_FIRST)
        if len(known) < len(_FIRST) or line.best is None:
            return _widest(line)
        belief = believe(line, _PLACES)
        if len(known) >= LEAST and belief.settled:
            return ()
        return line.fresh(_PLACES[np.argsort(-belief.improvements, kind="stable")], 1)

    def at_most(self) -> int:
        """All points, when none is known before."""
        return self.points


@dataclass(frozen=True)
class Belief:
    """What the process says, in units of accuracy.

    Args:
        means, deviations: of the function at each place asked about, without noise.
        improvements: expected improvements there over the best posterior mean at a known point.
        best: that posterior mean.
        noise: standard error of a point's mean as measured, 0 when it was not.
    """

    means: Array
    deviations: Array
    improvements: Array
    best: float
    noise: float

    @property
    def settled(self) -> bool:
        """Whether no place can plausibly be better than the best known one by more than the noise of a point."""
        return float(np.max(self.means + _QUANTILE * self.deviations)) - self.best <= _QUANTILE * self.noise


def believe(line: Line, places: Array) -> Belief:
    """The posterior at ``places``, shape (m,), given the known points of ``line``, at least one of them with a value.

    A point without a value, and one that fell off a cliff, counts as bad and not as how bad: a cliff would bend the
    curve where it matters.
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
    y = (values - level) / unit
    variances = (errors / unit) ** 2

    lengths, heights, noises = (a.ravel() for a in np.meshgrid(_LENGTHS, _HEIGHTS, _NOISES, indexing="ij"))
    spread = _covariance(known, known, lengths, heights)
    K = spread + (variances + noises[:, None])[:, :, None] * np.eye(len(known))
    L = np.linalg.cholesky(K)
    white = np.linalg.solve(L, np.broadcast_to(y[:, None], (len(lengths), len(y), 1)))[..., 0]
    log_likelihood = -0.5 * np.sum(white**2, axis=1) - np.sum(np.log(np.diagonal(L, axis1=1, axis2=2)), axis=1)
    weights = log_likelihood + _log_prior(lengths, heights, noises, measured=bool(np.any(errors > 0)))
    weights = np.exp(weights - weights.max())
    weights /= weights.sum()

    keep = weights > 1e-4  # the rest would cost more than it says
    weights, lengths, heights, noises, L, white = (a[keep] for a in (weights, lengths, heights, noises, L, white))
    weights /= weights.sum()
    both = np.concatenate([places, known])
    reduced = np.linalg.solve(L, _covariance(known, both, lengths, heights))
    means = np.einsum("kn,knm->km", white, reduced)
    left = (_CONSTANT + heights)[:, None] - np.sum(reduced**2, axis=1)
    deviations = np.sqrt(np.maximum(left, 1e-12))
    incumbents = means[:, len(places) :].max(axis=1)
    means, deviations = means[:, : len(places)], deviations[:, : len(places)]
    mean = weights @ means
    improvements = weights @ _expected_improvement(means - incumbents[:, None], deviations)
    deviation = np.sqrt(np.maximum(weights @ (deviations**2 + means**2) - mean**2, 0.0))
    return Belief(
        means=level + unit * mean,
        deviations=unit * deviation,
        improvements=unit * improvements,
        best=level + unit * float(weights @ incumbents),
        noise=float(np.median(errors)),
    )


def _widest(line: Line) -> tuple[Number, ...]:
    """The middle of the widest gap that has a value of its own."""
    places = [0.0, *(place for place, _ in line.points), 1.0]
    gaps = sorted(pairwise(places), key=lambda gap: gap[0] - gap[1])
    return line.fresh([(a + b) / 2 for a, b in gaps], 1)


def _covariance(a: Array, b: Array, lengths: Array, heights: Array) -> Array:
    """Matern-5/2 and a constant, for every setting, shape (n_settings, n_a, n_b)."""
    r = math.sqrt(5.0) * np.abs(a[:, None] - b[None, :]) / lengths[:, None, None]
    covariance: Array = _CONSTANT + heights[:, None, None] * (1 + r + r**2 / 3) * np.exp(-r)
    return covariance


def _log_prior(lengths: Array, heights: Array, noises: Array, *, measured: bool) -> Array:
    """Lognormal: a length of a third of the interval, the height of the data, little noise beyond what was measured."""
    expected = 1e-4 if measured else 0.01
    prior: Array = -0.5 * (
        (np.log(lengths / 0.35) / 0.7) ** 2 + (np.log(heights) / 1.2) ** 2 + (np.log(noises / expected) / 3.0) ** 2
    )
    return prior


def _expected_improvement(gain: Array, deviation: Array) -> Array:
    z = gain / deviation
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    improvement: Array = gain * ndtr(z) + deviation * density
    return improvement
