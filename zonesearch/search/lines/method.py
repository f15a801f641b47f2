"""What a one-dimensional method is: a pure function from what is known on a line to the values wanted next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from zonesearch.core.axes import Axis, Number

__all__ = ["LineMethod", "LinePoint"]


@dataclass(frozen=True)
class LinePoint:
    """What is known at one value of the axis: the mean over the seeds and its standard error.

    The mean is a score, larger is better: that of a metric to be minimized has its sign turned here, so that no method
    has to know of directions (:meth:`zonesearch.core.metric.Metric.score`).

    A value where no training was complete has mean NaN: it is known, and bad.
    """

    value: Number
    mean: float
    se: float


class LineMethod(Protocol):
    """A search for the optimum of a noisy function on an interval. Implementations are frozen dataclasses."""

    def propose(self, axis: Axis, low: Number, high: Number, known: Sequence[LinePoint]) -> tuple[Number, ...]:
        """The values wanted next, none of them known; empty when the search is done.

        Args:
            axis: gives the scale and rounds to what is allowed.
            low: the lower end of the interval.
            high: the upper end.
            known: the points in it, by rising value, whoever asked for them; a method uses all of them.
        """
        ...

    def at_most(self) -> int:
        """The most values that it ever proposes on one interval."""
        ...
