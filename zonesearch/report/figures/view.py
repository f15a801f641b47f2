"""The view of a map figure: two axes, and how the others are reduced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.core.axes import AnyAxis
from zonesearch.core.metric import Metric
from zonesearch.core.trials import Params
from zonesearch.core.values import told_apart
from zonesearch.report.figures.look import edges, number, place
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.summaries.map_tables import Mode, slice_of
from zonesearch.statistics.zones import Zone

__all__ = ["View", "outline", "views_of"]

Matrix = list[list[float | None]]


@dataclass(frozen=True)
class View:
    """Two axes of a map; ``mode`` says whether the others are held at the best point or averaged over."""

    summary: MapSummary
    x: AnyAxis
    y: AnyAxis
    mode: Mode = "best"

    @property
    def metric(self) -> Metric:
        """The metric drawn."""
        return self.summary.metric

    @cached_property
    def others(self) -> list[str]:
        """The axes that are not drawn."""
        return [name for name in self.summary.space.names if name not in (self.x.name, self.y.name)]

    @cached_property
    def held(self) -> dict[str, Any]:
        """The values at which the other axes are held; empty if they are averaged over."""
        return {name: self.summary.held[name] for name in self.others} if self.mode == "best" else {}

    @cached_property
    def px(self) -> list[float]:
        """Horizontal coordinates of the row values."""
        return [place(self.x, value) for value in self.x.row()]

    @cached_property
    def py(self) -> list[float]:
        """Vertical coordinates of the row values."""
        return [place(self.y, value) for value in self.y.row()]

    def matrix(self, values: npt.NDArray[np.float64]) -> Matrix:
        """``values`` of the whole map as z[j][i] at (px[i], py[j]); None where the value is unknown."""
        plane = slice_of(self.summary, values, self.x.name, self.y.name, self.mode)
        return [[number(value) for value in row] for row in plane]

    @cached_property
    def forbidden(self) -> set[tuple[int, int]]:
        """The cells (i, j) of this view that the constraints forbid for every value of the other axes shown in it."""
        outside = slice_of(self.summary, self.summary.forbidden.astype(float), self.x.name, self.y.name, self.mode)
        return {(i, j) for j, row in enumerate(outside) for i, value in enumerate(row) if value >= 1.0}

    def shows(self, params: Params) -> bool:
        """Whether a point lies in this view."""
        if self.x.name not in params or self.y.name not in params:  # the axis does not apply there
            return False
        conditional = self.summary.space.conditional
        held = {name: value for name, value in self.held.items() if name in params or not conditional}
        return self.mode == "average" or all(params.get(name) == value for name, value in held.items())

    def place(self, params: Params) -> tuple[float, float]:
        """The coordinates at which a point is drawn."""
        return place(self.x, params[self.x.name]), place(self.y, params[self.y.name])

    def zone_cells(self, zone: Zone) -> set[tuple[int, int]]:
        """The cells (i, j) of this view in which the zone has cells."""
        names = self.summary.space.names
        places = self.summary.places(zone)
        if self.mode == "best":
            for name in self.others:
                i = names.index(name)
                places = places[places[:, i] == self.summary.held_at[i]]
        columns = places[:, [names.index(self.x.name), names.index(self.y.name)]]
        return {(i, j) for i, j in np.unique(columns, axis=0).tolist()}

    def pieces(self, zone: Zone) -> list[tuple[int, int]]:
        """One cell (i, j) for each connected piece of the zone's outline in this view: the peak first if it is shown,
        for every other piece its upper left cell.

        Cells of one zone may touch only at a corner, or be connected only in another plane: each outline then needs the
        zone's number.
        """
        left = self.zone_cells(zone)
        found = []
        if self.shows(zone.peak) and self.on_grid(zone.peak):
            found.append(self.column_row(zone.peak))
            left -= _joined(found[0], left)
        for cell in sorted(left, key=lambda cell: (-cell[1], cell[0])):
            if cell in left:
                found.append(cell)
                left -= _joined(cell, left)
        return found

    def column_row(self, params: Params) -> tuple[int, int]:
        """The cell (i, j) at ``params``, which must be on the grid."""
        columns, rows = ([told_apart(value) for value in axis.row()] for axis in (self.x, self.y))
        return columns.index(told_apart(params[self.x.name])), rows.index(told_apart(params[self.y.name]))

    def on_grid(self, params: Params) -> bool:
        """Whether ``params`` takes a row value on both axes."""
        return all(told_apart(params[axis.name]) in map(told_apart, axis.row()) for axis in (self.x, self.y))

    def outlines(self, zones: Iterable[Zone]) -> tuple[list[float | None], list[float | None]]:
        """The borders of zones as one broken line."""
        ex, ey = edges(self.px), edges(self.py)
        xs: list[float | None] = []
        ys: list[float | None] = []
        for zone in zones:
            for x0, y0, x1, y1 in outline(self.zone_cells(zone), ex, ey):
                xs += [x0, x1, None]
                ys += [y0, y1, None]
        return xs, ys


def views_of(summary: MapSummary) -> list[View]:
    """All pairs of axes, with the others held and averaged; empty for one axis."""
    modes: Sequence[Mode] = ("best", "average") if len(summary.space.axes) > 2 else ("best",)
    return [View(summary, x, y, mode) for x, y in combinations(summary.space.axes, 2) for mode in modes]


def _joined(start: tuple[int, int], cells: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The cells that are connected to ``start`` through shared sides."""
    seen, edge = {start}, [start]
    while edge:
        i, j = edge.pop()
        for other in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if other in cells and other not in seen:
                seen.add(other)
                edge.append(other)
    return seen


def outline(
    inside: set[tuple[int, int]], ex: Sequence[float], ey: Sequence[float]
) -> Iterable[tuple[float, float, float, float]]:
    """The border of a set of cells, as straight pieces (x0, y0, x1, y1)."""
    for i, j in sorted(inside):
        for di, dj, piece in (
            (-1, 0, (ex[i], ey[j], ex[i], ey[j + 1])),
            (1, 0, (ex[i + 1], ey[j], ex[i + 1], ey[j + 1])),
            (0, -1, (ex[i], ey[j], ex[i + 1], ey[j])),
            (0, 1, (ex[i], ey[j + 1], ex[i + 1], ey[j + 1])),
        ):
            if (i + di, j + dj) not in inside:
                yield piece
