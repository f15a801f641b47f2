"""The known points along an interval, at places from 0 (its lower end) to 1 on the axis' own scale.

All line methods work with places and return values, so none has to deal with logarithms, integers or known values. All
of them stop by the same rule (:meth:`Line.settled`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from zonesearch.core.axes import Axis, Number
from zonesearch.search.lines.method import LinePoint

__all__ = ["GOLDEN", "LEAST", "Line", "check_points", "least"]

GOLDEN = (3 - math.sqrt(5)) / 2
"""The smaller part of a unit length under the golden section, 0.382."""

LEAST = 5
"""Fewer known points than this never settle an interval: its ends, its middle and one on either side.

If many points are allowed, half of them are tried before noise may end the search (:func:`least`).
"""

_SAME = 1e-6  # places that differ by less are equal up to rounding
_QUANTILE = 1.96  # two-sided, 95 %


@dataclass(frozen=True)
class Line:
    """The interval from ``low`` to ``high`` of ``axis`` with the points that are ``known`` in it."""

    axis: Axis
    low: Number
    high: Number
    known: Sequence[LinePoint]

    @cached_property
    def points(self) -> tuple[tuple[float, LinePoint], ...]:
        """Place and point of all known points, by increasing place."""
        return tuple(sorted(((self.place(point.value), point) for point in self.known), key=lambda pair: pair[0]))

    def place(self, value: Number) -> float:
        """The place of a value: 0 at the lower end, 1 at the upper one."""
        start, end = self.axis.to_unit(self.low), self.axis.to_unit(self.high)
        return (self.axis.to_unit(value) - start) / (end - start)

    def value(self, place: float) -> Number:
        """The allowed value at ``place``, exact at both ends."""
        if place <= 0:
            return self.low
        if place >= 1:
            return self.high
        start, end = self.axis.to_unit(self.low), self.axis.to_unit(self.high)
        return min(max(self.axis.from_unit(start + (end - start) * place), self.low), self.high)

    def fresh(self, places: Iterable[float], n: int | None = None) -> tuple[Number, ...]:
        """The first ``n`` unknown values at ``places``, each once."""
        found: list[Number] = []
        for place in places:
            if len(found) == n:
                break
            value = self.value(place)
            taken = [*(point.value for point in self.known), *found]
            if not any(value == other or abs(self.place(value) - self.place(other)) < _SAME for other in taken):
                found.append(value)
        return tuple(found)

    @cached_property
    def best(self) -> int | None:
        """The index of the point with the highest mean; None if no point has a mean."""
        alive = [i for i, (_, point) in enumerate(self.points) if math.isfinite(point.mean)]
        return max(alive, key=lambda i: self.points[i][1].mean, default=None)

    @property
    def bracket(self) -> tuple[float, float, float]:
        """The places of the best point and its known neighbours, or an end of the interval if there is no neighbour."""
        if self.best is None:
            return 0.0, 0.5, 1.0
        places = [place for place, _ in self.points]
        below = places[self.best - 1] if self.best else 0.0
        above = places[self.best + 1] if self.best + 1 < len(places) else 1.0
        return below, places[self.best], above

    def settled(self, points: int) -> bool:
        """Whether to stop: ``points`` values are known, or half of them and the rest is within noise."""
        return len(self.known) >= points or (len(self.known) >= least(points) and self.alike)

    @cached_property
    def alike(self) -> bool:
        """Whether nothing more can be learned around the best point.

        A unimodal function has its maximum between the neighbours of the best known point. If neither neighbour differs
        significantly from it (and there are a few points), nothing in between can either.
        """
        if self.best is None or len(self.known) < LEAST:
            return False
        top = self.points[self.best][1]
        near = [self.points[i][1] for i in (self.best - 1, self.best + 1) if 0 <= i < len(self.points)]
        return all(top.mean - point.mean <= _QUANTILE * math.hypot(top.se, point.se) for point in near)

    def widest(self) -> tuple[Number, ...]:
        """The middle of the widest gap that contains an unknown value; empty if there is none.

        Remaining points go there once nothing more can be learned around the best one: it may find a second peak, or
        the true one if noise was misleading.
        """
        places = [0.0, *(place for place, _ in self.points), 1.0]
        gaps = sorted(pairwise(places), key=lambda gap: gap[0] - gap[1])
        return self.fresh([(a + b) / 2 for a, b in gaps], 1)

    def golden(self) -> tuple[Number, ...]:
        """The golden section of the larger side of the bracket, or the next best value; empty if there is none."""
        if self.best is None:
            return self.widest()
        below, middle, above = self.bracket
        sides = sorted((below - middle, above - middle), key=abs, reverse=True)
        return self.fresh([middle + share * side for side in sides for share in (GOLDEN, 0.5, 1.0)], 1)


def least(points: int) -> int:
    """The number of points that must be known before noise may settle an interval with ``points`` allowed."""
    return max(LEAST, math.ceil(points / 2))


def check_points(points: object, name: str) -> None:
    """Check the setting ``points``, which all methods have.

    Raises:
        ValueError: it is not an integer of 3 or more.
    """
    if isinstance(points, bool) or not isinstance(points, int) or points < 3:
        raise ValueError(f"{name} needs a whole number of points, at least 3, not {points!r}")
