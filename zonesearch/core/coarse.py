"""Fewer cells of a space: coarser rows for a limited budget, and a few cells as examples."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Any

from zonesearch.core.axes import AnyAxis, Axis
from zonesearch.core.constraints import Constraint
from zonesearch.core.space import Space
from zonesearch.core.trials import Training
from zonesearch.core.values import Value, point
from zonesearch.errors import StudyError

__all__ = ["CELLS_MOST", "coarser", "example_cells", "examples", "listed", "refined"]

CELLS_MOST = 100_000
"""A grid with more cells is never listed: its cells would take gigabytes before the first training."""

_COUNTED = 4096  # the most combinations that are checked against constraints

_EXAMPLES = 512
"""Number of example cells of a larger grid, which include every row value, the edges and the middle."""

_NEARLY = 0.4  # of the distance between two row values: a value closer than this to another one adds little

_GOLDEN = (math.sqrt(5) - 1) / 2


@lru_cache(maxsize=256)
def coarser(space: Space, n: int) -> Space:
    """The space with rows of cell centres that make a grid of at most ``n`` cells.

    Values are added axis by axis, so that the numbers of values differ by at most one: k values are in the middle of k
    equal parts of the axis. With bounds as row values, a small grid would consist of corners only, where a network
    seldom works best; the bounds belong to the intervals of the outermost cells. Choices stay, and so do values that
    are the condition of another axis; they may make the grid larger than ``n``. Only allowed cells count, and there is
    always at least one.
    """
    numeric = [axis for axis in space.axes if isinstance(axis, Axis)]
    asked: dict[str, tuple[Value, ...]] = {}
    for axis in space.axes:
        asked |= {name: (*asked.get(name, ()), *values) for name, values in axis.when}
    parts = dict.fromkeys((axis.name for axis in numeric), 1)
    plain = not space.constraints and not space.conditional

    def made(parts: Mapping[str, int]) -> tuple[AnyAxis, ...]:
        return tuple(
            _centred(axis, parts[axis.name], asked.get(axis.name, ())) if isinstance(axis, Axis) else axis
            for axis in space.axes
        )

    def n_cells(axes: tuple[AnyAxis, ...]) -> float:
        most = math.prod(len(axis.row()) for axis in axes)
        if plain:
            return most
        return _n_allowed(axes, space.constraints) if most <= max(n, _COUNTED) else math.inf

    grown = True
    while grown:
        grown = False
        for axis in numeric:
            more = {**parts, axis.name: parts[axis.name] + 1}
            before, after = made(parts), made(more)
            room = math.prod(len(a.row()) for a in after) > math.prod(len(a.row()) for a in before)
            if room and n_cells(after) <= n:
                parts, grown = more, True
    axes = made(parts)
    if not plain and not _n_allowed(axes, space.constraints):
        axes = _around(space, n)
    return replace(space, axes=axes)


@lru_cache(maxsize=256)
def refined(space: Space, small: Space, n: int) -> Space:
    """A coarse grid of ``space`` with further row values added, up to at most ``n`` cells.

    All cells of ``small`` are kept, and larger grids contain smaller ones: values are added axis by axis, the one
    farthest from existing values first, up to the first that makes too many cells. Values very close to existing ones
    are left out.
    """
    numeric = [axis for axis in small.axes if isinstance(axis, Axis)]
    rows: dict[str, tuple[Any, ...]] = {axis.name: axis.row() for axis in numeric}
    left = {axis.name: [v for v in space[axis.name].row() if v not in rows[axis.name]] for axis in numeric}

    def made() -> Space:
        return replace(
            small,
            axes=tuple(
                replace(axis, row_rule=tuple(sorted(rows[axis.name]))) if isinstance(axis, Axis) else axis
                for axis in small.axes
            ),
        )

    before = small
    while any(left.values()):
        for axis in numeric:
            places = [axis.to_unit(value) for value in rows[axis.name]]
            apart = {v: min(abs(axis.to_unit(v) - place) for place in places) for v in left[axis.name]}
            left[axis.name] = [v for v in left[axis.name] if apart[v] > _NEARLY / len(space[axis.name].row())]
            if not left[axis.name]:
                continue
            value = max(left[axis.name], key=lambda v, apart=apart: apart[v])  # type: ignore[misc]
            left[axis.name].remove(value)
            rows[axis.name] = (*rows[axis.name], value)
            after = made()
            plain = not space.constraints and not space.conditional
            most = math.prod(len(a.row()) for a in after.axes)
            if most > n and (plain or most > max(n, _COUNTED) or _n_allowed(after.axes, space.constraints) > n):
                return before
            before = after
    return before


def _n_allowed(axes: tuple[AnyAxis, ...], constraints: tuple[Constraint, ...]) -> int:
    """The number of cells of these axes that the constraints allow."""
    free = Space(axes)
    return sum(all(constraint.holds(cell) for constraint in constraints) for cell in free.grid())


def _around(space: Space, n: int) -> tuple[AnyAxis, ...]:
    """Rows around the middle allowed cell, if all cell centres are forbidden: values of the whole grid are added axis
    by axis, those far from existing ones first, while at most ``n`` cells are allowed.
    """
    middle = space.middle()
    rows: dict[str, tuple[Any, ...]] = {
        axis.name: (middle.get(axis.name, axis.row()[0]),) for axis in space.axes if isinstance(axis, Axis)
    }
    numeric = [axis for axis in space.axes if isinstance(axis, Axis)]

    def made() -> tuple[AnyAxis, ...]:
        return tuple(
            replace(axis, row_rule=tuple(sorted(rows[axis.name]))) if isinstance(axis, Axis) else axis
            for axis in space.axes
        )

    left = {axis.name: [value for value in axis.row() if value not in rows[axis.name]] for axis in numeric}
    while any(left.values()):
        for axis in numeric:
            if not left[axis.name]:
                continue
            places = [axis.to_unit(value) for value in rows[axis.name]]
            value = max(left[axis.name], key=lambda v: min(abs(axis.to_unit(v) - place) for place in places))
            left[axis.name].remove(value)
            before = rows[axis.name]
            rows[axis.name] = (*before, value)
            axes = made()
            if math.prod(len(a.row()) for a in axes) > max(n, _COUNTED) or _n_allowed(axes, space.constraints) > n:
                rows[axis.name] = before
    return made()


@lru_cache(maxsize=1024)
def _centred(axis: Axis, parts: int, asked: tuple[Any, ...] = ()) -> Axis:
    centres = (axis.from_unit((i + 0.5) / parts) for i in range(parts))
    return replace(axis, row_rule=tuple(dict.fromkeys((*asked, *centres))))


def listed(space: Space, name: str) -> None:
    """Check that the grid of the stage ``name`` can be listed.

    Raises:
        StudyError: it has more than ``CELLS_MOST`` cells.
    """
    if space.n_cells > CELLS_MOST:
        raise StudyError(
            f"[{name}] the rows make a grid of {space.n_cells:,} cells, more than {CELLS_MOST:,}: give coarser rows, "
            'a [search] budget, or stages = "auto", which takes the surrogate where a grid is too large'
        )


def example_cells(space: Space, n: int = _EXAMPLES) -> Iterator[dict[str, Value]]:
    """The cells of the grid; for a grid with more than ``n`` cells, at most ``n`` spread over it.

    They include the cells of all first, all last and all middle row values, and every value of each row.
    """
    if space.n_cells <= n:
        yield from space.grid()
        return
    rows = [axis.row() for axis in space.axes]
    sizes = [len(row) for row in rows]
    places = [tuple(0 for _ in sizes), tuple(size - 1 for size in sizes), tuple(size // 2 for size in sizes)]
    # Each axis cycles at its own pace, so that values meet in different combinations.
    paces = [max(1, round(size * _GOLDEN ** (i + 1))) for i, size in enumerate(sizes)]
    for k in range(max(n - len(places), *sizes)):
        turns = [k // size for size in sizes]
        places.append(tuple((k + pace * turn) % size for size, pace, turn in zip(sizes, paces, turns, strict=True)))
    seen = set[Hashable]()
    for place in dict.fromkeys(places):
        cell = space.bare({axis.name: row[i] for axis, row, i in zip(space.axes, rows, place, strict=True)})
        if space.allows(cell) and point(cell) not in seen:
            seen.add(point(cell))
            yield cell
    if not seen:
        yield from islice(space.grid(), 1)


@lru_cache(maxsize=64)
def examples(space: Space, epochs: int, seed: int = 0) -> tuple[Training, ...]:
    """Trainings of the example cells, for checks and for probing their time."""
    return tuple(Training(cell, seed, epochs) for cell in example_cells(space))
