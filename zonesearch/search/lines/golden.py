"""Golden section: the interval around the best point shrinks by a constant factor with every value.

Kiefer 1953. The classical method starts from nothing and keeps three points; here the bracket is derived from all known
points, so that cells of the map and points of other lines count, and nothing is tried twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zonesearch.core.axes import Axis, Number
from zonesearch.search.lines.line import GOLDEN, Line, check_points
from zonesearch.search.lines.method import LinePoint

__all__ = ["Golden"]


@dataclass(frozen=True)
class Golden:
    """``golden(9)``: until ``points`` values are known (including earlier ones) or the line is settled."""

    points: int = 9

    def __post_init__(self) -> None:
        check_points(self.points, "golden")

    def propose(self, axis: Axis, low: Number, high: Number, known: Sequence[LinePoint]) -> tuple[Number, ...]:
        """Both golden points of an unknown interval; then one in the larger side of the bracket."""
        line = Line(axis, low, high, known)
        if line.settled(self.points):
            return ()
        if line.alike:
            return line.widest()
        return line.golden() if known else line.fresh((GOLDEN, 1 - GOLDEN))

    def at_most(self) -> int:
        """All points, if none is known."""
        return self.points
