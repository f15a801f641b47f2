"""Zones: where a noisy map peaks.

A noisy surface has a local maximum in nearly every corner; only some are peaks. The cells are taken from the best one
down, as if water fell: each starts an island or joins one it touches. When two islands meet, the lower one keeps its
own name only if its peak stands above the meeting cell by more than the noise; otherwise both are one zone, as are
the cells of a plateau. (Topological persistence used for finding modes: Chazal, Guibas, Oudot & Skraba 2013.) A zone's
cells are those of its island that cannot be told apart from its peak.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from scipy import stats

from zonesearch.domain.noise import Cell, Noise
from zonesearch.domain.space import Space
from zonesearch.domain.trials import Params, Value

__all__ = ["Zone", "find_zones", "peak_zone"]

_DIAGONAL_AXES = 3  # up to this many axes cells that touch at a corner are neighbours too


@dataclass(frozen=True)
class Zone:
    """A region whose accuracy cannot be told apart from its own peak.

    Args:
        peak: the parameters of its best cell.
        value: mean accuracy there; ``se`` its standard error.
        smoothed: the peak averaged with its neighbours, by which zones are ranked (a lone lucky cell ranks lower).
        cells: the parameters of all its cells, the peak first, then by falling value.
        intervals: for each axis (low, high): the row values next to the peak, or the rim of the space; for choices all
            values.
        rim: the axes on whose rim the peak lies, so that better values may lie beyond.
        number: 1 for the highest ranked zone.
    """

    peak: Params
    value: float
    se: float
    smoothed: float
    cells: tuple[Params, ...]
    intervals: Mapping[str, tuple[Value, ...]]
    rim: tuple[str, ...] = ()
    number: int = 0

    @property
    def advice(self) -> str:
        """What to do about a peak on the rim; empty inside the space."""
        if not self.rim:
            return ""
        axes = " and ".join(self.rim)
        return f"the peak lies on the rim: widen {'this axis' if len(self.rim) == 1 else 'these axes'} ({axes})"

    def describe(self) -> dict[str, Any]:
        """The zone as plain data."""
        return {
            "number": self.number,
            "peak": dict(self.peak),
            "value": self.value,
            "se": self.se,
            "smoothed": self.smoothed,
            "cells": [dict(cell) for cell in self.cells],
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "rim": list(self.rim),
        }


def peak_zone(space: Space, peak: Params, value: float, se: float = 0.0, number: int = 0) -> Zone:
    """A zone of one cell around ``peak``, for methods that find peaks without a map."""
    return Zone(
        peak=dict(peak),
        value=value,
        se=se,
        smoothed=value,
        cells=(dict(peak),),
        intervals={axis.name: _interval(axis, peak[axis.name]) for axis in space.axes},
        rim=tuple(axis.name for axis in space.axes if axis.on_rim(peak[axis.name])),
        number=number,
    )


def _interval(axis: Any, value: Value) -> tuple[Value, ...]:
    return tuple(axis.interval(value))


def find_zones(
    space: Space, cells: Sequence[Cell], noise: Noise, *, level: float = 0.95, zones_min: int = 1, zones_max: int = 5
) -> tuple[Zone, ...]:
    """The zones of a map.

    Args:
        space: its rows say which cells touch (up to three axes also over a corner).
        cells: the cells of the grid, in any order; cells without a value are left out.
        noise: of the map.
        level: two cells count as different when their difference exceeds the two-sided normal quantile of this level
            times its standard error.
        zones_min: keep so many of the best zones (where there are as many), even when worse than the best for sure.
        zones_max: never more than this.

    Returns:
        The zones by falling smoothed value, numbered from 1; empty when no cell has a value.
    """
    z = float(stats.norm.ppf(0.5 + level / 2))
    order = sorted((c for c in cells if c.values), key=lambda c: (-c.mean, space.unit(c.params).tolist()))
    where = {_place(space, cell.params): i for i, cell in enumerate(order)}
    around = [_neighbours(space, cell.params, where) for cell in order]
    islands = _islands(order, around, noise, z)

    zones = []
    for members in islands.values():
        peak = order[members[0]]
        alike = [order[i] for i in members if not _below(order[i], peak, noise, z)]
        smoothed = _smoothed(members[0], order, around)
        zone = peak_zone(space, peak.params, peak.mean, noise.se(peak))
        zones.append((smoothed, Zone(**{**vars(zone), "smoothed": smoothed, "cells": tuple(c.params for c in alike)})))
    zones.sort(key=lambda pair: -pair[0])

    best = max((zone for _, zone in zones), key=lambda zone: zone.value, default=None)
    kept = [
        zone
        for i, (_, zone) in enumerate(zones)
        if i < zones_min or (best and best.value - zone.value <= z * math.hypot(best.se, zone.se))
    ][:zones_max]
    return tuple(Zone(**{**vars(zone), "number": i}) for i, zone in enumerate(kept, start=1))


def _below(cell: Cell, other: Cell, noise: Noise, z: float) -> bool:
    """Whether ``cell`` is worse than ``other`` beyond the noise."""
    difference = other.mean - cell.mean
    return difference > z * math.sqrt(noise.variance(cell) + noise.variance(other)) and difference > 0


def _islands(order: Sequence[Cell], around: Sequence[Sequence[int]], noise: Noise, z: float) -> dict[int, list[int]]:
    """Peaks by index with the indices of their cells, both from the best down."""
    root: dict[int, int] = {}

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i, cell in enumerate(order):
        root[i] = i
        touching = sorted({find(j) for j in around[i] if j < i})
        for peak in touching:
            mine = find(i)
            if mine == i:
                root[i] = peak  # a slope belongs to the highest peak that it touches
            elif not _below(cell, order[max(mine, peak)], noise, z):
                root[max(mine, peak)] = min(mine, peak)
    islands: dict[int, list[int]] = {}
    for i in range(len(order)):
        islands.setdefault(find(i), []).append(i)
    return islands


def _smoothed(i: int, order: Sequence[Cell], around: Sequence[Sequence[int]]) -> float:
    """The cell's mean with weight 1 and the mean of its neighbours with weight 1."""
    near = [order[j].mean for j in around[i]]
    return (order[i].mean + math.fsum(near) / len(near)) / 2 if near else order[i].mean


def _place(space: Space, params: Params) -> tuple[int, ...]:
    rows: list[tuple[Any, ...]] = [axis.row() for axis in space.axes]
    return tuple(row.index(params[axis.name]) for axis, row in zip(space.axes, rows, strict=True))


def _neighbours(space: Space, params: Params, where: Mapping[tuple[int, ...], int]) -> list[int]:
    """The indices of the cells that touch the one at ``params``; a choice touches every other choice."""
    place = _place(space, params)
    n_axes = len(place)
    steps: list[list[int]] = []
    for axis, i in zip(space.axes, place, strict=True):
        steps.append([-1, 0, 1] if axis.ordered else [j - i for j in range(len(axis.row()))])
    if n_axes <= _DIAGONAL_AXES:
        moves = [move for move in product(*steps) if any(move)]
    else:
        moves = [tuple(s if k == a else 0 for k in range(n_axes)) for a in range(n_axes) for s in steps[a] if s]
    near = (tuple(i + s for i, s in zip(place, move, strict=True)) for move in moves)
    return sorted(where[p] for p in near if p in where)
