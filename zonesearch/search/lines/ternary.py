"""Ternary search: compare the values at both thirds and discard the outer third on the worse side.

A known point near a third replaces it, so that nothing is trained again nearby. Every step asks for two values at once,
which can run as one stack of trainings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from zonesearch.core.axes import Axis, Number
from zonesearch.search.lines.line import Line, check_points
from zonesearch.search.lines.method import LinePoint

__all__ = ["Ternary"]

_NEAR = 1 / 9  # of the remaining interval: a known point this near to a third replaces it
_NARROW = 1e-3


@dataclass(frozen=True)
class Ternary:
    """``ternary(9)``: until ``points`` values are known (including earlier ones) or the line is settled."""

    points: int = 9

    def __post_init__(self) -> None:
        check_points(self.points, "ternary")

    def propose(self, axis: Axis, low: Number, high: Number, known: Sequence[LinePoint]) -> tuple[Number, ...]:
        """Replay the known steps; returns both thirds of the first unknown one."""
        line = Line(axis, low, high, known)
        if line.settled(self.points):
            return ()
        if line.alike:
            return line.widest()
        below, above = 0.0, 1.0
        while above - below > _NARROW:
            length = above - below
            thirds = [below + length / 3, above - length / 3]
            stand_ins = [_nearest(line, third, _NEAR * length) for third in thirds]
            wanted = [third for third, found in zip(thirds, stand_ins, strict=True) if found is None]
            fresh = line.fresh(wanted, self.points - len(known))
            if fresh:
                return fresh
            if None in stand_ins:  # only known values are left between the thirds
                return line.golden()
            (left, a), (right, b) = (found for found in stand_ins if found is not None)
            if _mean(a) < _mean(b):
                below = left
            else:
                above = right
        return line.golden()

    def at_most(self) -> int:
        """All points, if none is known."""
        return self.points


def _nearest(line: Line, place: float, reach: float) -> tuple[float, LinePoint] | None:
    near = min(line.points, key=lambda pair: abs(pair[0] - place), default=None)
    return near if near is not None and abs(near[0] - place) <= reach else None


def _mean(point: LinePoint) -> float:
    return point.mean if math.isfinite(point.mean) else -math.inf
