"""Residuals between neighbours on a grid, the only trace of noise in single values.

A small piece of a smooth surface is nearly a quadric, and nearly a sum of one function of each axis. So two kinds of
contrasts show noise and little else: third differences of four neighbours along a row, which are zero for every
parabola (of three, where rows are shorter), and of four cells that form a rectangle over two rows the sum over one
diagonal minus that over the other, which is zero for every sum. What curvature is left makes them larger, never
smaller, so whoever has both kinds believes the smaller. (Difference-based estimates: Gasser, Sroka & Jennen-Steinmetz
1986; Hall, Kay & Titterington 1990.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from zonesearch.core.space import Space
from zonesearch.core.trials import Params
from zonesearch.core.values import told_apart

__all__ = ["residuals"]

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


def residuals(space: Space, points: Sequence[Params], values: Array) -> list[tuple[Places, Array]]:
    """Contrasts of neighbours along ordered axes that a smooth surface leaves near zero, kind by kind.

    Args:
        space: its rows say which cells are neighbours.
        points: of the grid, in any order; others are left out.
        values: one for each point, shape (n,); NaN where none is known.

    Returns:
        For each kind of which there is any, the index of a cell of each contrast, and the contrast divided so that its
        variance is that of a single value; shape (n_residuals,) each.
    """
    rows: list[Mapping[object, int]] = [
        {told_apart(value): i for i, value in enumerate(axis.row())} for axis in space.axes
    ]
    shape = tuple(len(row) for row in rows)
    table = np.full(shape, np.nan)
    home = np.full(shape, -1, dtype=np.intp)
    for i, point in enumerate(points):
        place = tuple(  # an axis that does not apply has one value
            row.get(told_apart(point[axis.name]), -1) if axis.name in point else 0
            for axis, row in zip(space.axes, rows, strict=True)
        )
        if min(place) >= 0:
            table[place], home[place] = values[i], i
    ordered = [at for at, axis in enumerate(space.axes) if axis.ordered]
    units = [np.array([axis.to_unit(value) for value in axis.row()]) for axis in space.axes]
    along = [_along(table, home, units[at], at) for at in ordered if shape[at] >= 3]
    across = [_across(table, home, *pair) for pair in combinations([at for at in ordered if shape[at] >= 2], 2)]
    return [
        (np.concatenate([places for places, _ in found]), np.concatenate([values for _, values in found]))
        for found in (along, across)
        if any(len(values) for _, values in found)
    ]


def _along(table: Array, home: Places, u: Array, at: int) -> tuple[Places, Array]:
    """Divided differences along one axis, of four neighbours where the row is long enough."""
    order = 3 if len(u) > 3 else 2
    n = len(u) - order
    weights = np.array(
        [
            [1.0 / np.prod([a - b for b in u[i : i + order + 1] if b != a]) for a in u[i : i + order + 1]]
            for i in range(n)
        ]
    )
    weights /= np.sqrt(np.sum(weights**2, axis=1, keepdims=True))
    form = [-1 if axis == at else 1 for axis in range(table.ndim)]
    total = sum(weights[:, k].reshape(form) * np.take(table, range(k, k + n), axis=at) for k in range(order + 1))
    return _known(np.asarray(total), np.take(home, range(1, 1 + n), axis=at))


def _across(table: Array, home: Places, one: int, other: int) -> tuple[Places, Array]:
    """What four cells over two axes have beyond a sum of both axes."""
    first = np.diff(table, axis=one)
    cross = np.diff(first, axis=other) / 2
    home = np.take(home, range(table.shape[one] - 1), axis=one)
    return _known(cross, np.take(home, range(table.shape[other] - 1), axis=other))


def _known(contrasts: Array, home: Places) -> tuple[Places, Array]:
    known = np.isfinite(contrasts)
    return home[known], contrasts[known]
