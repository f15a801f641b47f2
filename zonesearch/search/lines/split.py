"""The simplest line method: split the interval into equal parts and try every endpoint of a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zonesearch.core.axes import Axis, Number
from zonesearch.search.lines.method import LinePoint

__all__ = ["Split"]


@dataclass(frozen=True)
class Split:
    """``split(8)``: equal ``parts`` on the axis' own scale."""

    parts: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.parts, int) or self.parts < 1:
            raise ValueError(f"split needs a whole number of parts, at least 1, not {self.parts!r}")

    def propose(self, axis: Axis, low: Number, high: Number, known: Sequence[LinePoint]) -> tuple[Number, ...]:
        """All unknown endpoints."""
        seen = {point.value for point in known}
        return tuple(value for value in axis.between(low, high, self.parts) if value not in seen)

    def at_most(self) -> int:
        """All endpoints."""
        return self.parts + 1
