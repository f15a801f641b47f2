"""Parabolic: fit a parabola to the points around the best one, weighted by their noise, and try its maximum.

Successive parabolic interpolation puts a parabola *through* three points, whose maximum may be anywhere if values are
noisy. Least squares over five points averages some of the noise. If the parabola has no maximum inside the bracket, or
it is known, the golden section of the larger side is tried, as in Brent's method (1973).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zonesearch.core.axes import Axis, Number
from zonesearch.search.lines.line import GOLDEN, Line, check_points
from zonesearch.search.lines.method import LinePoint

__all__ = ["Parabolic"]

_FITTED = 5
_APART = 0.03  # of the interval: a maximum this near to a known point tells nothing new


@dataclass(frozen=True)
class Parabolic:
    """``parabolic(9)``: until ``points`` values are known (including earlier ones) or the line is settled."""

    points: int = 9

    def __post_init__(self) -> None:
        check_points(self.points, "parabolic")

    def propose(self, axis: Axis, low: Number, high: Number, known: Sequence[LinePoint]) -> tuple[Number, ...]:
        """Both golden points of an unknown interval; then the parabola's maximum, or a golden section."""
        line = Line(axis, low, high, known)
        if line.settled(self.points):
            return ()
        if line.alike:
            return line.widest()
        if not known:
            return line.fresh((GOLDEN, 1 - GOLDEN))
        top = _top(line)
        return (line.fresh([top], 1) if top is not None else ()) or line.golden()

    def at_most(self) -> int:
        """All points, if none is known."""
        return self.points


def _top(line: Line) -> float | None:
    """The maximum of the fitted parabola, if it is inside the bracket and away from all known points."""
    if line.best is None:
        return None
    below, middle, above = line.bracket
    alive = [(place, point) for place, point in line.points if math.isfinite(point.mean)]
    near = sorted(alive, key=lambda pair: abs(pair[0] - middle))[:_FITTED]
    if len(near) < 3:
        return None
    places = np.array([place for place, _ in near]) - middle
    means = np.array([point.mean for _, point in near])
    errors = np.array([point.se for _, point in near])
    # Unknown noise gives equal weights; a very precise point must not dominate the fit.
    weights = 1 / np.maximum(errors, max(float(np.median(errors)), 1e-12))
    design = np.vander(places, 3) * weights[:, None]
    (bend, slope, _), _, rank, _ = np.linalg.lstsq(design, (means - means.max()) * weights, rcond=None)
    if rank < 3 or bend >= 0:
        return None
    top = float(middle - slope / (2 * bend))
    if not below < top < above or min(abs(top - place) for place, _ in line.points) < _APART:
        return None
    return top
