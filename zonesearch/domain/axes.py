"""Axes: one hyperparameter each, with its range and scale.

The *row* of an axis holds the values of the coarse grid: doubling, doubling with midpoints, a number of equal steps on
the axis' own scale, or a given list. Everything a search needs to know about distance goes through the scale: halfway
between 64 and 256 on a log axis is 128.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from zonesearch.domain.trials import Value, plain
from zonesearch.errors import SpaceError

__all__ = ["AnyAxis", "Axis", "Choice", "Number", "Row"]

Number = int | float
Row = Literal["doubling", "midpoints"] | int | Sequence[Number]


@dataclass(frozen=True)
class Axis:
    """A numeric hyperparameter.

    Args:
        name: the name of the parameter.
        low, high: the rims, ``low < high`` (a single value is allowed: an axis of one point).
        scale: ``linear`` or ``log`` (then ``low > 0``).
        integer: whether values are whole numbers; by default when both rims are.
        row_rule: ``doubling`` (low, 2 low, 4 low, ...), ``midpoints`` (the same with the value halfway between
            each two), a number n of equal steps on the scale (n + 1 values, both rims included), or the values.

    Raises:
        SpaceError: when the rims, the scale and the row do not fit together; the message names the axis.
    """

    name: str
    low: Number
    high: Number
    scale: Literal["linear", "log"] = "linear"
    integer: bool | None = None
    row_rule: Row = "doubling"

    def __post_init__(self) -> None:
        for rim, value in (("low", self.low), ("high", self.high)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise SpaceError(f'axis "{self.name}": {rim} must be a finite number, not {value!r}')
        if self.low > self.high:
            raise SpaceError(f'axis "{self.name}": low must not exceed high, but {self.low} > {self.high}')
        if self.scale not in ("linear", "log"):
            raise SpaceError(f'axis "{self.name}": scale is "linear" or "log", not {self.scale!r}')
        if self.scale == "log" and self.low <= 0:
            raise SpaceError(f'axis "{self.name}": a log scale needs low > 0, not {self.low}')
        if self.integer is None:
            whole = isinstance(self.low, int) and isinstance(self.high, int)
            object.__setattr__(self, "integer", whole)
        if not isinstance(self.row_rule, str | int):
            object.__setattr__(self, "row_rule", tuple(self.row_rule))
        self.row()

    @property
    def ordered(self) -> bool:
        return True

    def _exact(self, value: float) -> Number:
        return round(value) if self.integer else float(value)

    def row(self) -> tuple[Number, ...]:
        """The values of the coarse grid, ascending, without duplicates."""
        return self._row

    @cached_property
    def _row(self) -> tuple[Number, ...]:
        rule = self.row_rule
        if isinstance(rule, str):
            if rule not in ("doubling", "midpoints"):
                raise SpaceError(
                    f'axis "{self.name}": a row is "doubling", "midpoints", a number of steps or a list of values, '
                    f'not "{rule}"'
                )
            if self.low <= 0:
                raise SpaceError(f'axis "{self.name}": a doubling row needs low > 0, not {self.low}')
            values = [self.low * 2.0**i for i in range(int(math.log2(self.high / self.low) + 1e-9) + 1)]
            if rule == "midpoints":
                between = [1.5 * value for value in values if 1.5 * value <= self.high * (1 + 1e-12)]
                values = sorted(values + between)
        elif isinstance(rule, int):
            if rule < 1:
                raise SpaceError(f'axis "{self.name}": a row of equal steps needs at least 1 step, not {rule}')
            values = [self.from_unit(i / rule) for i in range(rule + 1)]
        else:
            values = [self._listed(value) for value in rule]
            if not values:
                raise SpaceError(f'axis "{self.name}": the row is empty; give at least one value')
        return tuple(sorted({self._exact(value) for value in values}))

    def _listed(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SpaceError(f'axis "{self.name}": the row holds {value!r}, which is no finite number')
        if not self.low <= value <= self.high:
            raise SpaceError(f'axis "{self.name}": {value} in the row lies outside {self.low}..{self.high}')
        if self.integer and value != round(value):
            raise SpaceError(f'axis "{self.name}": {value} in the row is no whole number')
        return value

    def to_unit(self, value: Any) -> float:
        """The place of ``value`` on the axis' scale: 0 at the low rim, 1 at the high one (0.5 on a one-point axis)."""
        if self.low == self.high:
            return 0.5
        if self.scale == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return float((value - self.low) / (self.high - self.low))

    def from_unit(self, u: float) -> Number:
        """The value at ``u`` in 0..1 (clipped to the rims); whole on an integer axis."""
        u = min(max(u, 0.0), 1.0)
        value = self.low + (self.high - self.low) * u
        if self.scale == "log":
            value = self.low * (self.high / self.low) ** u
        return self._exact(min(max(value, self.low), self.high))

    def contains(self, value: object) -> bool:
        """Whether ``value`` is a number within the rims, whole if the axis is."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (not self.integer or value == round(value))

    def between(self, a: Any, b: Any, parts: int) -> tuple[Number, ...]:
        """The interval from ``a`` to ``b`` split into equal ``parts`` on the axis' scale, both ends included.

        Integers are rounded and duplicates dropped, so that a narrow interval gives fewer than ``parts + 1`` values.
        """
        if parts < 1:
            raise ValueError(f"an interval is split into 1 part or more, not {parts}")
        start, end = self.to_unit(a), self.to_unit(b)
        inner = [self.from_unit(start + (end - start) * i / parts) for i in range(1, parts)]
        return tuple(sorted({self._exact(a), *inner, self._exact(b)}))

    def neighbours(self, value: Any) -> tuple[Number, ...]:
        """The row values next to ``value``: two inside the row, one at its ends."""
        row = self.row()
        below = [v for v in row if v < value]
        above = [v for v in row if v > value]
        return tuple(below[-1:] + above[:1])

    def interval(self, value: Any) -> tuple[Number, Number]:
        """From the row value below to the one above; at the ends of the row, to the rim of the axis."""
        row = self.row()
        below = [v for v in row if v < value]
        above = [v for v in row if v > value]
        return (below[-1] if below else self._exact(self.low)), (above[0] if above else self._exact(self.high))

    def on_rim(self, value: Any) -> bool:
        """Whether ``value`` is the first or last of the row, so that better values may lie beyond it."""
        row = self.row()
        return len(row) > 1 and value in (row[0], row[-1])

    def describe(self) -> dict[str, Any]:
        """The axis as plain data; ``Space.parse`` reads it back."""
        rule = list(self.row_rule) if isinstance(self.row_rule, tuple) else self.row_rule
        return {"low": self.low, "high": self.high, "scale": self.scale, "integer": self.integer, "row": rule}


@dataclass(frozen=True)
class Choice:
    """A hyperparameter with a few values that have no order (names, switches).

    Raises:
        SpaceError: when there is no value, or the same one twice.
    """

    name: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        try:
            values = tuple(plain(value) for value in self.values)
        except TypeError as error:
            raise SpaceError(f'axis "{self.name}": {error}') from None
        if not values:
            raise SpaceError(f'axis "{self.name}": the row is empty; give at least one value')
        if len(set(values)) < len(values):
            raise SpaceError(f'axis "{self.name}": a choice stands twice in {list(values)}')
        object.__setattr__(self, "values", values)

    @property
    def ordered(self) -> bool:
        return False

    def row(self) -> tuple[Value, ...]:
        """All values, in the given order."""
        return self.values

    def to_unit(self, value: Any) -> float:
        """The middle of the value's share of 0..1."""
        return (self.values.index(value) + 0.5) / len(self.values)

    def from_unit(self, u: float) -> Value:
        """The value whose share of 0..1 holds ``u``."""
        return self.values[min(int(min(max(u, 0.0), 1.0) * len(self.values)), len(self.values) - 1)]

    def contains(self, value: object) -> bool:
        """Whether ``value`` is one of the choices."""
        return value in self.values

    def between(self, a: Any, b: Any, parts: int) -> tuple[Value, ...]:
        """All values: there is nothing between choices, and each is a neighbour of every other."""
        return self.values

    def neighbours(self, value: Any) -> tuple[Value, ...]:
        """Every other value."""
        return tuple(other for other in self.values if other != value)

    def interval(self, value: Any) -> tuple[Value, ...]:
        """All values."""
        return self.values

    def on_rim(self, value: Any) -> bool:
        """Never: choices have no rim."""
        return False

    def describe(self) -> dict[str, Any]:
        """The axis as plain data; ``Space.parse`` reads it back."""
        return {"values": list(self.values)}


AnyAxis = Axis | Choice
