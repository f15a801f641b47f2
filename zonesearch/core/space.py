"""The space that is searched: ordered axes, and how they are written as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from zonesearch.core.axes import AnyAxis, Axis, Choice, Number
from zonesearch.core.values import Params, Value
from zonesearch.errors import SpaceError, did_you_mean

__all__ = ["AnyAxis", "Axis", "Choice", "Space"]

_AXIS_KEYS = ("low", "high", "scale", "integer", "row", "step", "limit_low", "limit_high", "values", "choices")


@dataclass(frozen=True)
class Space:
    """The ordered axes that are searched.

    Raises:
        SpaceError: when there is no axis or a name stands twice.
    """

    axes: tuple[AnyAxis, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        if not self.axes:
            raise SpaceError("a space needs at least one axis")
        names = self.names
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise SpaceError(f"the space has two axes named {', '.join(sorted(twice))}")

    @classmethod
    def parse(cls, tables: Mapping[str, Any]) -> Space:
        """Read a space from plain data.

        Args:
            tables: for each axis either a table with ``low``, ``high`` and, where wanted, ``scale``, ``integer``,
                ``row``, ``step`` and limits; a table with ``values``; or a list: of numbers (an axis with that row, on
                a log scale when the numbers grow by factors rather than by steps) or of anything else (choices). A
                table with ``choices`` holds choices whatever they are: numbers, too, then have no order and nothing
                between them.

        Raises:
            SpaceError: naming the axis and the key.

        >>> Space.parse({"width": {"low": 64, "high": 256, "scale": "log"}, "batch": [16, 32]}).names
        ('width', 'batch')
        """
        if not isinstance(tables, Mapping):
            raise SpaceError(f"a space is a table of axes, not {type(tables).__name__}")
        return cls(tuple(_parse_axis(str(name), table) for name, table in tables.items()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(axis.name for axis in self.axes)

    def __getitem__(self, name: str) -> AnyAxis:
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise KeyError(name)

    @property
    def n_cells(self) -> int:
        """The number of cells of the coarse grid."""
        return math.prod(len(axis.row()) for axis in self.axes)

    def grid(self) -> Iterator[dict[str, Value]]:
        """All combinations of the rows, the last axis changing fastest."""
        for values in product(*(axis.row() for axis in self.axes)):
            yield dict(zip(self.names, values, strict=True))

    def contains(self, params: Params) -> bool:
        """Whether every axis has an allowed value in ``params`` (further parameters do not matter)."""
        return all(axis.name in params and axis.contains(params[axis.name]) for axis in self.axes)

    def unit(self, params: Params) -> npt.NDArray[np.float64]:
        """The point of the unit cube, shape (n_axes,), where ``params`` lies."""
        return np.array([axis.to_unit(params[axis.name]) for axis in self.axes])

    def from_unit(self, point: Sequence[float] | npt.NDArray[np.float64]) -> dict[str, Value]:
        """The parameters at a point of the unit cube, shape (n_axes,)."""
        return {axis.name: axis.from_unit(float(u)) for axis, u in zip(self.axes, point, strict=True)}

    def describe(self) -> dict[str, Any]:
        """The space as plain data; ``Space.parse`` reads it back."""
        return {axis.name: axis.describe() for axis in self.axes}


def _parse_axis(name: str, table: Any) -> AnyAxis:
    if isinstance(table, Axis | Choice):
        return table
    if isinstance(table, list | tuple):
        return _parse_list(name, table)
    if not isinstance(table, Mapping):
        raise SpaceError(f'axis "{name}": give a table with low and high, or a list of values, not {table!r}')
    for key in table:
        if key not in _AXIS_KEYS:
            raise SpaceError(f'axis "{name}": unknown key "{key}"; {did_you_mean(str(key), _AXIS_KEYS)}')
    for alone in ("values", "choices"):
        if alone in table:
            if len(table) > 1:
                raise SpaceError(f'axis "{name}": "{alone}" stands alone, without {sorted(set(table) - {alone})}')
            return _parse_list(name, table[alone]) if alone == "values" else _parse_choices(name, table[alone])
    row: Any = table.get("row", "doubling" if table.get("scale") == "log" else 4)
    if isinstance(row, str) and row in ("doubling with midpoints", "doubling+midpoints"):
        row = "midpoints"
    if isinstance(row, bool) or not isinstance(row, str | int | list | tuple):
        raise SpaceError(f'axis "{name}": a row is "doubling", "midpoints", a number of steps or a list, not {row!r}')
    if isinstance(row, list | tuple) and not row:
        raise SpaceError(f'axis "{name}": the row is empty; give at least one value')
    rims: dict[str, Any] = {}
    if isinstance(row, list | tuple) and all(isinstance(v, int | float) and v == v for v in row):
        rims = {"low": min(row), "high": max(row)}
    for rim in ("low", "high"):
        if rim not in table and rim not in rims:
            raise SpaceError(f'axis "{name}": "{rim}" is missing')
    return Axis(
        name,
        table.get("low", rims.get("low")),
        table.get("high", rims.get("high")),
        table.get("scale", "linear"),
        table.get("integer"),
        row,
        table.get("step"),
        table.get("limit_low"),
        table.get("limit_high"),
    )


def _parse_choices(name: str, values: Any) -> Choice:
    if not isinstance(values, list | tuple):
        raise SpaceError(f'axis "{name}": choices must be a list, not {values!r}')
    return Choice(name, tuple(values))


def _parse_list(name: str, values: Any) -> AnyAxis:
    if not isinstance(values, list | tuple):
        raise SpaceError(f'axis "{name}": values must be a list, not {values!r}')
    if not values:
        raise SpaceError(f'axis "{name}": the row is empty; give at least one value')
    numbers = [v.item() if isinstance(v, np.generic) else v for v in values]
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers):
        return Choice(name, tuple(numbers))
    if not all(math.isfinite(v) for v in numbers):
        raise SpaceError(f'axis "{name}": {list(values)} holds a number that is not finite')
    ordered = sorted(set(numbers))
    whole = all(isinstance(v, int) for v in numbers)
    return Axis(name, ordered[0], ordered[-1], _scale_of(ordered), whole, tuple(numbers))


def _scale_of(ordered: Sequence[Number]) -> Literal["linear", "log"]:
    """The scale on which the steps between the values are the more even ones."""
    if len(ordered) < 3 or ordered[0] <= 0:
        return "log" if ordered[0] > 0 and ordered[-1] >= 2 * ordered[0] else "linear"

    def unevenness(places: npt.NDArray[np.float64]) -> float:
        steps = np.diff(places)
        return float(np.std(steps) / np.mean(steps))

    values = np.array(ordered, dtype=float)
    return "log" if unevenness(np.log(values)) < unevenness(values) else "linear"
