"""What is known along an interval, in places from 0 (its lower end) to 1 on the axis' own scale.

Every method of this folder thinks in places and gives values back, so that none has to know of logarithms, of whole
numbers or of values that are known already. All of them end by the same rule (:meth:`Line.settled`).
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
"""The smaller part of a unit length in the golden section, 0.382."""

LEAST = 5
"""Fewer known points than this never settle an interval: its ends, its middle and one on either side. Who allows many
points wants them used: half of them are tried before noise may end the search (:func:`least`)."""

_SAME = 1e-6  # places that differ by less are the same value but for rounding
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
        """Place and point of all that is known, by rising place."""
        return tuple(sorted(((self.place(point.value), point) for point in self.known), key=lambda pair: pair[0]))

    def place(self, value: Number) -> float:
        """0 at the lower end, 1 at the upper one."""
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
        """The first ``n`` values at ``places`` that are not known, each once."""
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
        """Which of ``points`` has the highest mean; None when none has one."""
        alive = [i for i, (_, point) in enumerate(self.points) if math.isfinite(point.mean)]
        return max(alive, key=lambda i: self.points[i][1].mean, default=None)

    @property
    def bracket(self) -> tuple[float, float, float]:
        """Places of the best point's known neighbours and itself in the middle; an end where there is no neighbour."""
        if self.best is None:
            return 0.0, 0.5, 1.0
        places = [place for place, _ in self.points]
        below = places[self.best - 1] if self.best else 0.0
        above = places[self.best + 1] if self.best + 1 < len(places) else 1.0
        return below, places[self.best], above

    def settled(self, points: int) -> bool:
        """Whether to stop: ``points`` values are known, or half of them and what is left is within noise."""
        return len(self.known) >= points or (len(self.known) >= least(points) and self.alike)

    @cached_property
    def alike(self) -> bool:
        """Whether there is nothing more to be seen around the best point.

        A unimodal function has its maximum between the neighbours of the best known point. When neither neighbour can
        be told apart from it (and there are a few points at all), nothing between them can either.
        """
        if self.best is None or len(self.known) < LEAST:
            return False
        top = self.points[self.best][1]
        near = [self.points[i][1] for i in (self.best - 1, self.best + 1) if 0 <= i < len(self.points)]
        return all(top.mean - point.mean <= _QUANTILE * math.hypot(top.se, point.se) for point in near)

    def widest(self) -> tuple[Number, ...]:
        """The middle of the widest gap that has a value of its own; empty when there is none.

        That is where the rest of many points goes once there is nothing more to be seen around the best one: a second
        peak, or the true one where noise led astray.
        """
        places = [0.0, *(place for place, _ in self.points), 1.0]
        gaps = sorted(pairwise(places), key=lambda gap: gap[0] - gap[1])
        return self.fresh([(a + b) / 2 for a, b in gaps], 1)

    def golden(self) -> tuple[Number, ...]:
        """The golden section of the larger side of the bracket, or the next best value; empty when there is none."""
        if self.best is None:
            return self.widest()
        below, middle, above = self.bracket
        sides = sorted((below - middle, above - middle), key=abs, reverse=True)
        return self.fresh([middle + share * side for side in sides for share in (GOLDEN, 0.5, 1.0)], 1)


def least(points: int) -> int:
    """How many points have to be known before noise may settle an interval on which ``points`` are allowed."""
    return max(LEAST, math.ceil(points / 2))


def check_points(points: object, name: str) -> None:
    """Check the setting that all methods have.

    Raises:
        ValueError: unless it is a whole number, 3 or more.
    """
    if isinstance(points, bool) or not isinstance(points, int) or points < 3:
        raise ValueError(f"{name} needs a whole number of points, at least 3, not {points!r}")
