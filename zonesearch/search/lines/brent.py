"""Brent's method as in scipy (``minimize_scalar(method="bounded")``), one value at a time.

scipy calls a function, but here most values are known and the next one must be trained first. So the whole search is
replayed with the known values, up to the first unknown one, which is wanted next. A nearby known point replaces the
requested one; the more points are allowed, the nearer it must be. If scipy's search has ended and points are left,
golden sections around the best one follow, since with noise or a second peak it may have ended in the wrong place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.optimize import minimize_scalar

from zonesearch.core.axes import Axis, Number
from zonesearch.search.lines.line import Line, check_points
from zonesearch.search.lines.method import LinePoint

__all__ = ["Brent"]

_NEAR = 0.02  # of the interval: with nine points, a known point this near replaces the requested one
_USUAL = 9


class _Wanted(Exception):  # noqa: N818 - no error: it carries the value out of scipy's loop
    def __init__(self, value: Number) -> None:
        self.value = value


@dataclass(frozen=True)
class Brent:
    """``brent(9)``: until ``points`` values are known (including earlier ones) or the line is settled."""

    points: int = 9

    def __post_init__(self) -> None:
        check_points(self.points, "brent")

    def propose(self, axis: Axis, low: Number, high: Number, known: Sequence[LinePoint]) -> tuple[Number, ...]:
        """The first unknown value of scipy's search; then golden sections around the best one."""
        line = Line(axis, low, high, known)
        near_enough = min(_NEAR, _NEAR * _USUAL / self.points)
        if line.settled(self.points):
            return ()
        if line.alike:
            return line.widest()
        means = [point.mean for point in known if math.isfinite(point.mean)]
        worst = min(means, default=0.0) - (max(means, default=0.0) - min(means, default=0.0)) - 1e-6

        def loss(place: float) -> float:
            near = min(line.points, key=lambda pair: abs(pair[0] - place), default=None)
            if near is not None and abs(near[0] - place) <= near_enough:
                return -near[1].mean if math.isfinite(near[1].mean) else -worst
            fresh = line.fresh([place])
            if fresh:
                raise _Wanted(fresh[0])
            value = line.value(place)  # on an integer axis: rounded to a known one
            found = next(point for point in known if abs(line.place(point.value) - line.place(value)) < 1e-6)
            return -found.mean if math.isfinite(found.mean) else -worst

        try:
            minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": near_enough, "maxiter": 50})
        except _Wanted as wanted:
            return (wanted.value,)
        return line.golden()

    def at_most(self) -> int:
        """All points, if none is known."""
        return self.points
