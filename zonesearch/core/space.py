"""The search space: ordered axes, and their form as plain data."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from zonesearch.core.axes import AnyAxis, Axis, Choice, Number
from zonesearch.core.constraints import Constraint
from zonesearch.core.values import Params, Value, is_text, point, same
from zonesearch.errors import SpaceError, did_you_mean

__all__ = ["AnyAxis", "Axis", "Choice", "Space", "parse_axis"]

_OF_NUMBERS = ("low", "high", "scale", "integer", "row", "step", "limit_low", "limit_high", "prior", "role")
_AXIS_KEYS = (*_OF_NUMBERS, "values", "choices", "when")

_MOST_COUNTED = 200_000  # the most combinations that are checked against constraints


@dataclass(frozen=True)
class Space:
    """The ordered axes of a search, and the allowed combinations of their values.

    An axis with a condition applies only where that holds; elsewhere it is absent from the parameters. Points with the
    same axes form a branch.

    Args:
        axes: in order.
        constraints: hold at every point of the search.

    Raises:
        SpaceError: there is no axis or a duplicate name, a condition or constraint names something that is not an axis,
            conditions are circular, or no cell of the grid is allowed.
    """

    axes: tuple[AnyAxis, ...]
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        if not self.axes:
            raise SpaceError("a space needs at least one axis")
        names = self.names
        for name in names:
            if not is_text(name):
                raise SpaceError(f"the name of an axis must be one that can be written, not {name!a}")
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise SpaceError(f"the space has two axes named {', '.join(sorted(twice))}")
        made = (c if isinstance(c, Constraint) else Constraint(c) for c in self.constraints)
        object.__setattr__(self, "constraints", tuple(made))
        for constraint in self.constraints:
            constraint.check_names(names)
        if self.conditional:
            self._check_conditions()
        if self.constraints and next(self.grid(), None) is None:
            said = " and ".join(f'"{constraint.expression}"' for constraint in self.constraints)
            raise SpaceError(f"no cell of the grid is allowed by {said}: change the rows or the constraints")

    def _check_conditions(self) -> None:
        """Check that conditions name existing axes and values, and are not circular."""
        for axis in self.axes:
            for name, values in axis.when:
                if name not in self.names:
                    near = did_you_mean(name, self.names)
                    raise SpaceError(f'axis "{axis.name}": when names "{name}", which is not an axis; {near}')
                for value in values:
                    if not self[name].contains(value):
                        raise SpaceError(
                            f'axis "{axis.name}": when asks for {name} = {value!r}, which is not one of its values'
                        )
                    if not self[name].takes(value):
                        raise SpaceError(
                            f'axis "{axis.name}": when asks for {name} = {value!r}, which a search of real numbers '
                            f"never meets: give {name} a row with that value, a step or choices, or leave when out"
                        )
            seen, open_ = set[str](), [axis.name]
            while open_:
                parents = [name for name, _ in self[open_.pop()].when]
                if axis.name in parents:
                    raise SpaceError(f'axis "{axis.name}": its conditions form a circle')
                open_ += [name for name in parents if name not in seen]
                seen |= set(parents)

    @classmethod
    def parse(cls, tables: Mapping[str, Any], constraints: Sequence[str | Constraint] = ()) -> Space:
        """Read a space from plain data.

        Args:
            tables: for each axis a table with ``low``, ``high`` and optionally ``scale``, ``integer``, ``row``,
                ``step`` and limits; a table with ``values``; or a list, of numbers (an axis with that row, on a log
                scale if the numbers grow by factors rather than by steps) or of anything else (choices). A table with
                ``choices`` always holds choices: even numbers then have no order and nothing in between. Any table may
                have a condition, ``when``.
            constraints: expressions that hold at every point, such as ``width * depth <= 4096``.

        Raises:
            SpaceError: naming the axis and the key.

        >>> Space.parse({"width": {"low": 64, "high": 256, "scale": "log"}, "batch": [16, 32]}).names
        ('width', 'batch')
        """
        if not isinstance(tables, Mapping):
            raise SpaceError(f"the space must be a table of axes, not {type(tables).__name__}")
        axes = tuple(parse_axis(str(name), table) for name, table in tables.items())
        return cls(axes, read_constraints(constraints))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(axis.name for axis in self.axes)

    def __getitem__(self, name: str) -> AnyAxis:
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise KeyError(name)

    @cached_property
    def conditional(self) -> bool:
        """Whether an axis applies only under a condition."""
        return any(axis.when for axis in self.axes)

    @cached_property
    def n_cells(self) -> int:
        """The number of cells of the coarse grid; an upper bound if there are too many to check."""
        most = math.prod(len(axis.row()) for axis in self.axes)
        plain_product = not self.conditional and not self.constraints
        return most if plain_product or most > _MOST_COUNTED else sum(1 for _ in self.grid())

    def grid(self) -> Iterator[dict[str, Value]]:
        """All allowed combinations of the rows, the last axis changing fastest; each once."""
        if not self.conditional and not self.constraints:
            yield from self.lattice()
            return
        seen = set[Hashable]()
        for params in self.lattice():
            if self.conditional:
                told = point(params)
                if told in seen:
                    continue
                seen.add(told)
            if self.allows(params):
                yield params

    def lattice(self) -> Iterator[dict[str, Value]]:
        """All combinations of the rows including forbidden ones, the last axis changing fastest.

        Axes that do not apply are left out of a combination, which then occurs once for each of their values.
        """
        for values in product(*(axis.row() for axis in self.axes)):
            params = dict(zip(self.names, values, strict=True))
            yield self.bare(params) if self.conditional else params

    def active(self, params: Params) -> tuple[AnyAxis, ...]:
        """The axes that apply at ``params``, in order."""
        return self.axes if not self.conditional else tuple(a for a in self.axes if self._applies(a, params))

    def _applies(self, axis: AnyAxis, params: Params) -> bool:
        return all(
            name in params
            and any(same(params[name], value) for value in values)
            and (not self[name].when or self._applies(self[name], params))
            for name, values in axis.when
        )

    def bare(self, params: Params) -> dict[str, Value]:
        """``params`` without the axes that do not apply; further parameters stay."""
        if not self.conditional:
            return dict(params)
        absent = set(self.names) - {axis.name for axis in self.active(params)}
        return {name: value for name, value in params.items() if name not in absent}

    def branch(self, params: Params) -> tuple[str, ...]:
        """The names of the axes that apply at ``params``, which identify its branch."""
        return tuple(axis.name for axis in self.active(params))

    def allows(self, params: Params) -> bool:
        """Whether the constraints hold at ``params``."""
        return all(constraint.holds(params) for constraint in self.constraints)

    def contains(self, params: Params) -> bool:
        """Whether every axis that applies has an allowed value in ``params``, no other axis has one, and the
        constraints hold (further parameters do not matter).
        """
        active = self.active(params)
        if not all(axis.name in params and axis.contains(params[axis.name]) for axis in active):
            return False
        if self.conditional and sum(name in params for name in self.names) > len(active):
            return False
        return self.allows(params)

    def excluded(self) -> tuple[tuple[str, Value], ...]:
        """Choices, by axis, that the constraints on choices alone exclude whatever else is chosen."""
        axes = [axis for axis in self.axes if isinstance(axis, Choice)]
        names = {axis.name for axis in axes}
        while any(parent not in names for axis in axes for parent, _ in axis.when):  # applies by a number's value
            axes = [axis for axis in axes if all(parent in names for parent, _ in axis.when)]
            names = {axis.name for axis in axes}
        relevant = [each for each in self.constraints if set(each.names) <= names]
        if not relevant or math.prod(len(axis.row()) for axis in axes) > _MOST_COUNTED:
            return ()
        alive: set[tuple[str, int]] = set()
        for places in product(*(range(len(axis.row())) for axis in axes)):
            params = self.bare({axis.name: axis.row()[i] for axis, i in zip(axes, places, strict=True)})
            if all(each.holds(params) for each in relevant):
                alive |= {(axis.name, i) for axis, i in zip(axes, places, strict=True) if axis.name in params}
        return tuple(
            (axis.name, value) for axis in axes for i, value in enumerate(axis.row()) if (axis.name, i) not in alive
        )

    def middle(self) -> dict[str, Value]:
        """The allowed cell nearest to the middle of the grid."""
        middle = self.bare({axis.name: axis.row()[len(axis.row()) // 2] for axis in self.axes})
        if self.allows(middle):
            return middle
        at = self.unit(middle)
        return min(self.grid(), key=lambda params: float(np.sum((self.unit(params) - at) ** 2)))

    def unit(self, params: Params) -> npt.NDArray[np.float64]:
        """``params`` in the unit cube, shape (n_axes,), with 0.5 for axes that do not apply."""
        if not self.conditional:
            return np.array([axis.to_unit(params[axis.name]) for axis in self.axes])
        return np.array([axis.to_unit(params[axis.name]) if axis.name in params else 0.5 for axis in self.axes])

    def from_unit(self, point: Sequence[float] | npt.NDArray[np.float64]) -> dict[str, Value]:
        """The parameters at a point of the unit cube, shape (n_axes,), without axes that do not apply there."""
        params = {axis.name: axis.from_unit(float(u)) for axis, u in zip(self.axes, point, strict=True)}
        return self.bare(params) if self.conditional else params

    def found(self) -> dict[str, Any]:
        """The fields of the results that a narrowed space fills: none."""
        return {}

    def describe(self) -> dict[str, Any]:
        """The axes as plain data; ``Space.parse`` reads them back, given the ``expressions`` too."""
        return {axis.name: axis.describe() for axis in self.axes}

    @property
    def expressions(self) -> tuple[str, ...]:
        """The constraints as they were written."""
        return tuple(constraint.expression for constraint in self.constraints)


def read_constraints(given: Any) -> tuple[Constraint, ...]:
    """A list of constraints.

    Raises:
        SpaceError: it is not a list of expressions.
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise SpaceError(f'constraints must be a list of strings such as ["width * depth <= 4096"], not {given!r}')
    return tuple(each if isinstance(each, Constraint) else Constraint(each) for each in given)


def parse_axis(name: str, table: Any) -> AnyAxis:
    """One axis from plain data; its conditions are checked by the space.

    Raises:
        SpaceError: naming the axis and the key.
    """
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
            more = sorted(set(table) - {alone, "when", "role"})
            if more:
                raise SpaceError(f'axis "{name}": "{alone}" stands alone, without {more}')
            made = _parse_list(name, table[alone]) if alone == "values" else _parse_choices(name, table[alone])
            if table.get("role", "") not in ("", "none") and not isinstance(made, Axis):
                raise SpaceError(f'axis "{name}": a role is for an axis of numbers, not for choices; leave out role')
            made = replace(made, role=table["role"]) if "role" in table and isinstance(made, Axis) else made
            return replace(made, when=table["when"]) if "when" in table else made
    row: Any = table.get("row", "doubling" if table.get("scale") == "log" else 4)
    if isinstance(row, str) and row in ("doubling with midpoints", "doubling+midpoints"):
        row = "midpoints"
    if isinstance(row, bool) or not isinstance(row, str | int | list | tuple):
        raise SpaceError(f'axis "{name}": a row is "doubling", "midpoints", a number of steps or a list, not {row!r}')
    if isinstance(row, list | tuple) and not row:
        raise SpaceError(f'axis "{name}": the row is empty; give at least one value')
    if not isinstance(table.get("integer"), bool | None):
        raise SpaceError(f'axis "{name}": integer must be true or false, not {table["integer"]!r}')
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
        table.get("when", ()),
        table.get("prior"),
        table.get("role", ""),
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
    """The scale on which the steps between the values are more even."""
    if len(ordered) < 3 or ordered[0] <= 0:
        return "log" if ordered[0] > 0 and ordered[-1] >= 2 * ordered[0] else "linear"

    def unevenness(places: npt.NDArray[np.float64]) -> float:
        steps = np.diff(places)
        return float(np.std(steps) / np.mean(steps))

    values = np.array(ordered, dtype=float)
    return "log" if unevenness(np.log(values)) < unevenness(values) else "linear"
