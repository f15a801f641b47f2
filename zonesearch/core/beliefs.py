"""A user's belief about an axis before anything is trained: ``{center = 0.003, spread = 3}``.

A normal distribution on the axis' own scale, around the value ``center``: on a log scale ``spread`` is a factor (two
thirds of the mass is in 0.001 to 0.009), on a linear one a distance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zonesearch.errors import SpaceError, did_you_mean

__all__ = ["Belief"]

_KEYS = ("center", "spread")


@dataclass(frozen=True)
class Belief:
    """The expected location of the best value, and its uncertainty.

    Args:
        center: a value of the axis.
        spread: one standard deviation: a factor above 1 on a log scale, a distance above 0 on a linear one.
    """

    center: float
    spread: float

    @classmethod
    def parse(cls, name: str, given: Any) -> Belief:
        """Read the belief of the axis ``name`` from a table.

        Raises:
            SpaceError: it is not a table with both numbers.
        """
        if isinstance(given, Belief):
            return given
        place = f'axis "{name}": prior'
        if not isinstance(given, Mapping):
            raise SpaceError(f"{place} must be a table such as {{center = 0.003, spread = 3}}, not {given!r}")
        for key in given:
            if key not in _KEYS:
                raise SpaceError(f'{place} has no key "{key}"; {did_you_mean(str(key), _KEYS)}')
        for key in _KEYS:
            value = given.get(key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise SpaceError(f"{place}: {key} must be a number, not {value!r}")
        return cls(given["center"], given["spread"])

    def check(self, name: str, low: float, high: float, log: bool) -> None:
        """Check that it suits the axis ``name``.

        Raises:
            SpaceError: the center is outside the bounds, or the spread is invalid.
        """
        place = f'axis "{name}": prior'
        if not low <= self.center <= high:
            raise SpaceError(f"{place}: center {self.center} lies outside of {low}..{high}")
        if log and self.spread <= 1:
            raise SpaceError(f"{place}: spread is a factor on a log scale, above 1, not {self.spread}")
        if self.spread <= 0:
            raise SpaceError(f"{place}: spread must be above 0, not {self.spread}")

    def describe(self) -> dict[str, float]:
        """As plain data, which :meth:`parse` reads back."""
        return {"center": self.center, "spread": self.spread}
