"""The interface of line methods: pure functions from the known points on a line to the values wanted next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from zonesearch.core.axes import Axis, Number

__all__ = ["LineMethod", "LinePoint"]


@dataclass(frozen=True)
class LinePoint:
    """A known value of the axis: the mean over the seeds and its standard error.

    The mean is a score, so larger is better; a metric to be minimized is negated, so that no method has to deal with
    directions (:meth:`zonesearch.core.metric.Metric.score`).

    If no training was complete, the mean is NaN: the value is known to be bad.
    """

    value: Number
    mean: float
    se: float


class LineMethod(Protocol):
    """A search for the optimum of a noisy function on an interval. Implementations are frozen dataclasses."""

    def propose(self, axis: Axis, low: Number, high: Number, known: Sequence[LinePoint]) -> tuple[Number, ...]:
        """The values wanted next, all of them unknown; empty if the search is done.

        Args:
            axis: for its scale, and for rounding to allowed values.
            low: the lower end of the interval.
            high: the upper end.
            known: the points in the interval by increasing value, whatever their origin; a method uses all of them.
        """
        ...

    def at_most(self) -> int:
        """The most values that it proposes on one interval."""
        ...
