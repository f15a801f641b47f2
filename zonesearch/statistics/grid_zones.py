"""Zones of a grid: where a noisy map peaks.

A noisy surface has local maxima nearly everywhere; only some are peaks. Cells are visited from the best one down, like
a falling water level: each starts an island or joins one it touches. When two islands meet, the lower one remains
separate only if its peak rises above the meeting cell by more than the noise; otherwise both are one zone, as are the
cells of a plateau. (Mode finding by topological persistence: Chazal, Guibas, Oudot & Skraba 2013.) A zone's cells are
those of its island that are not significantly different from its peak and are connected to it: if the cells of a second
hill belong to the zone, so do those of the pass between them, which is not significantly lower than that hill; cells
further down a slope, whose better neighbours are significantly worse than the peak, do not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import product
from operator import mul
from typing import Any

from zonesearch.core.cost import Cost
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.space import Space
from zonesearch.core.values import Params, Value, told_apart
from zonesearch.statistics.contrasts import Contrasts
from zonesearch.statistics.noise import Cell, Noise
from zonesearch.statistics.significance import subset_level

__all__ = ["Zone", "Zones", "bordering", "grid_zones", "level_inwards", "on_rows", "peak_zone", "zone_of"]

_HIDDEN = 2  # cells assumed to compete for each one seen to: bad luck hides some
_SHARED = 0.5  # where answers are compared, similar cells share their luck, so effectively there are fewer
_ROUNDS = 8  # iterations of counting the indistinguishable cells
_ABSENT = object()  # stands for the value of an axis that does not apply
_DIAGONAL_AXES = 3  # up to this many axes, cells that touch at a corner are neighbours too


@dataclass(frozen=True)
class Zone:
    """A region whose cells are not significantly different from its peak.

    Args:
        peak: the parameters of its best cell: that with the best mean, or that which is expected to be the best given
            the whole map (see :mod:`zonesearch.statistics.expected`).
        value: mean at the peak, in the metric's own sign; ``se`` its standard error over seeds.
        smoothed: the peak averaged with its neighbours, by which zones are ranked (a lone lucky cell ranks lower).
        cells: the parameters of all its cells, the peak first, then from best to worst mean.
        intervals: (low, high) for each axis: the grid values on either side of the peak, or the rim of the space; for
            choices, all values.
        rim: the axes on whose rim the peak lies; better values may lie beyond.
        number: 1 for the highest ranked zone.
        cheapest: the parameters of its cheapest cell, if costs are known and it is cheaper than the peak;
            ``cheapest_value`` is its mean and ``cheapest_se`` the standard error of that mean.
        metric: the metric of the values.
    """

    peak: Params
    value: float
    se: float
    smoothed: float
    cells: tuple[Params, ...]
    intervals: Mapping[str, tuple[Value, ...]]
    rim: tuple[str, ...] = ()
    number: int = 0
    cheapest: Params | None = None
    cheapest_value: float = math.nan
    cheapest_se: float = math.nan
    metric: Metric = ACCURACY

    @property
    def advice(self) -> str:
        """What to do about a peak on the rim; empty inside the space."""
        if not self.rim:
            return ""
        axes = " and ".join(self.rim)
        return (
            f"the peak lies on the edge of the search range: widen "
            f"{'this axis' if len(self.rim) == 1 else 'these axes'} ({axes})"
        )

    def describe(self) -> dict[str, Any]:
        """The zone as plain data."""
        return {
            "number": self.number,
            "peak": dict(self.peak),
            "value": self.value,
            "se": self.se if math.isfinite(self.se) else None,
            "smoothed": self.smoothed,
            "cells": [dict(cell) for cell in self.cells],
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "rim": list(self.rim),
            **({} if self.cheapest is None else {"cheapest": dict(self.cheapest)}),
        }


class Zones(tuple[Zone, ...]):
    """The zones that a stage without a map hands on, best first.

    Attributes:
        others: trained points with a value, in zones or not, best first, and after those without a violation the
            others: what is left if every peak turns out to violate a constraint.
    """

    others: tuple[Params, ...] = ()

    @classmethod
    def of(cls, zones: Iterable[Zone], others: Iterable[Params]) -> Zones:
        """The zones with these other points."""
        found = cls(zones)
        found.others = tuple(others)
        return found

    def found(self) -> dict[str, Any]:
        """The fields of the search results that it fills."""
        return {"zones": self} if self else {}


def peak_zone(
    space: Space, peak: Params, value: float, se: float = 0.0, number: int = 0, metric: Metric = ACCURACY
) -> Zone:
    """A zone of one cell around ``peak``, for methods that find peaks without a map."""
    return Zone(
        peak=dict(peak),
        value=value,
        se=se,
        smoothed=value,
        cells=(dict(peak),),
        intervals={axis.name: _interval(axis, peak[axis.name]) for axis in space.active(peak)},
        rim=tuple(axis.name for axis in space.active(peak) if axis.on_rim(peak[axis.name])),
        number=number,
        metric=metric,
    )


def level_inwards(zone: Zone, equal: Iterable[Params]) -> Zone:
    """The zone without the rims along which an ``equal`` point has a different value: the surface is flat there, so
    nothing suggests that better values lie beyond.
    """
    if not zone.rim:
        return zone
    points = list(equal)
    return replace(
        zone,
        rim=tuple(
            name
            for name in zone.rim
            if all(told_apart(point.get(name)) == told_apart(zone.peak[name]) for point in points)
        ),
    )


def _interval(axis: Any, value: Value) -> tuple[Value, ...]:
    return tuple(axis.interval(value))


def grid_zones(
    space: Space, cells: Sequence[Cell], noise: Noise, *, level: float = 0.95, zones_min: int = 1, zones_max: int = 5
) -> tuple[Zone, ...]:
    """The zones of a map.

    Args:
        space: its grid values determine which cells touch (with up to three axes, at corners too).
        cells: the cells of the grid, in any order; cells without a value and infeasible cells are left out. Cells touch
            only within their own branch.
        noise: of the map.
        level: the probability that the truly best cell lies in a zone. Two cells count as different when their
            difference exceeds its standard error times the two-sided quantile of Student's t at this level; the
            threshold is higher when many cells compete with the peak.
        zones_min: keep at least this many of the best zones, if they exist, even those significantly worse than the
            best.
        zones_max: keep at most this many.

    Returns:
        The zones by falling smoothed score, numbered from 1; empty when no cell has a value.
    """
    grid = _Grid(space)
    known = [cell for cell in cells if cell.values and cell.feasible]
    shared = {score for score, n in Counter(cell.score for cell in known).items() if n > 1}
    # Among equal cells the peak is an interior one: where all are the same, nothing suggests better values beyond a
    # rim. If every cell is the same, it is the middle one.
    level_map = len({cell.score for cell in known}) == 1
    order = sorted(
        known, key=lambda c: (-c.score, _place(space, grid, c.params, middle=level_map) if c.score in shared else ())
    )
    contrasts = Contrasts(order, noise, level)
    around = grid.around([cell.params for cell in order])
    found = []
    for members in _islands(contrasts, around).values():
        peak = members[0]
        alike = _alike(members, contrasts)
        found.append(
            (_smoothed(peak, contrasts.scores, around), peak, _in_one_piece(alike, members, contrasts, around))
        )
    found.sort(key=lambda zone: (-zone[0], zone[1]))

    best = min((peak for _, peak, _ in found), default=0)
    kept = [zone for i, zone in enumerate(found) if i < zones_min or not contrasts.below(zone[1], best)][:zones_max]
    return tuple(
        zone_of(space, [order[i] for i in mine], noise, smoothed, number)
        for number, (smoothed, _, mine) in enumerate(kept, start=1)
    )


def _place(space: Space, grid: _Grid, params: Params, *, middle: bool) -> tuple[float, ...]:
    """The number of rims that a cell lies on, with ``middle`` how far it is from the middle, and its point in the unit
    cube.
    """
    place = grid.unit(params)
    far = round(sum((unit - 0.5) ** 2 for unit in place), 9) if middle else 0.0
    return sum(axis.on_rim(params[axis.name]) for axis in space.active(params)), far, *place


def on_rows(space: Space, cells: Sequence[Cell]) -> bool:
    """Whether all cells with a value lie on the grid of ``space``, whether or not they fill it."""
    rows = {axis.name: {told_apart(value) for value in axis.row()} for axis in space.axes}
    for cell in cells:
        if not cell.values:
            continue
        if not space.conditional and len(cell.params) != len(rows):
            return False
        if not all(name in rows and told_apart(value) in rows[name] for name, value in cell.params.items()):
            return False
    return True


def zone_of(space: Space, cells: Sequence[Cell], noise: Noise, smoothed: float, number: int) -> Zone:
    """The zone of ``cells``, the peak first; ``smoothed`` is its score."""
    peak = cells[0]
    zone = peak_zone(space, peak.params, peak.mean, noise.se(peak), number, peak.metric)
    zone = replace(
        level_inwards(zone, [cell.params for cell in cells if cell.score == peak.score]),
        smoothed=peak.metric.value(smoothed),
        cells=tuple(cell.params for cell in cells),
    )
    costs = [Cost(cell.n_parameters, cell.n_steps, cell.cost) for cell in cells]
    low = min(range(len(cells)), key=lambda i: (costs[i].rank, i))
    if not costs[low].known or not costs[0].known or costs[low].rank == costs[0].rank:
        return zone
    cell = cells[low]
    return replace(zone, cheapest=cell.params, cheapest_value=cell.mean, cheapest_se=noise.se(cell))


def bordering(space: Space, zones: Sequence[Zone], points: Sequence[Params]) -> set[int]:
    """The indices of the grid's ``points`` that are a cell of some zone or touch the peak of one."""

    def told(cell: Params) -> tuple[object, ...]:
        return tuple([told_apart(cell[name]) if name in cell else _ABSENT for name in space.names])

    where = {told(point): i for i, point in enumerate(points)}

    def index(cell: Params) -> int:
        return where[told(cell)]

    around = _Grid(space).around(points)
    cells = {index(cell) for zone in zones for cell in zone.cells}
    return cells | {i for zone in zones for i in around[index(zone.peak)]}


def _islands(contrasts: Contrasts, around: Sequence[Sequence[int]]) -> dict[int, list[int]]:
    """Peaks by index with the indices of their cells, both from the best down."""
    n = len(contrasts.cells)
    root = list(range(n))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i in range(n):
        touching = sorted({find(j) for j in around[i] if j < i})
        for peak in touching:
            mine = find(i)
            if mine == i:
                root[i] = peak  # a slope belongs to the highest peak that it touches
            elif not contrasts.below(i, max(mine, peak)):
                root[max(mine, peak)] = min(mine, peak)
    islands: dict[int, list[int]] = {}
    for i in range(n):
        islands.setdefault(find(i), []).append(i)
    return islands


def _alike(members: Sequence[int], contrasts: Contrasts) -> list[int]:
    """The cells of an island that are not significantly different from its peak, from the best down.

    The more there are, the luckier the highest of them is, and the further below it the truly best one may lie
    (``significance.subset_level``); so the count is iterated until it no longer changes. The highest is also likely to
    be noisier than its own repeats suggest, so its variance is taken as at least that of the others.
    """
    peak, n, least = members[0], 0, 0.0
    answered = bool(contrasts.cells[peak].right)
    alike: list[int] = []
    for _ in range(_ROUNDS):
        level = subset_level(contrasts.level, math.ceil(n * (_SHARED if answered else _HIDDEN)))
        alike = contrasts.alike(members, peak, level, least)
        if len(alike) <= n:
            break
        n, least = len(alike), contrasts.usual_variance(alike, peak)
    return alike


def _in_one_piece(
    alike: Sequence[int], members: Sequence[int], contrasts: Contrasts, around: Sequence[Sequence[int]]
) -> list[int]:
    """The ``alike`` cells of an island that are connected to its peak, from the best down.

    A piece with a hill of its own is connected by the best path over the island, unless that path dips significantly
    below the hill; any other piece is left out.
    """
    if len(alike) == 1:
        return list(alike)
    kept = set(alike)
    main = _reached(alike[0], kept, around)
    for top in alike:
        if top in main or top not in kept:
            continue
        piece = _reached(top, kept, around)
        hill = not any(j < top for j in around[top])
        way = _way(top, main, members, around) if hill else None
        if way is None or any(contrasts.below(i, top) for i in way):
            kept -= piece
        else:
            kept |= set(way)
            main = _reached(alike[0], kept, around)
    return sorted(kept)


def _reached(start: int, allowed: set[int], around: Sequence[Sequence[int]]) -> set[int]:
    """The allowed cells that are connected to ``start``."""
    seen, edge = {start}, [start]
    while edge:
        for j in around[edge.pop()]:
            if j in allowed and j not in seen:
                seen.add(j)
                edge.append(j)
    return seen


def _way(start: int, goal: set[int], members: Sequence[int], around: Sequence[Sequence[int]]) -> list[int] | None:
    """The path from ``start`` to ``goal`` over the island whose worst cell is best; None if there is none."""
    allowed = set(members)
    came: dict[int, int] = {start: start}
    edge = [start]
    while edge:
        i = heappop(edge)
        if i in goal:
            way = [i]
            while way[-1] != start:
                way.append(came[way[-1]])
            return way
        for j in around[i]:
            if j in allowed and j not in came:
                came[j] = i
                heappush(edge, j)
    return None


def _smoothed(i: int, means: Sequence[float], around: Sequence[Sequence[int]]) -> float:
    """The cell's mean with weight 1 and the mean of its neighbours with weight 1."""
    near = [means[j] for j in around[i]]
    return (means[i] + math.fsum(near) / len(near)) / 2 if near else means[i]


class _Grid:
    """Which cells of a space's grid touch.

    Each cell has one number; a step along an axis adds that axis's stride to it. Every row is treated as one cell
    longer than it is, so that a step past its end reaches a number that no cell has.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._names = space.names
        self._index = [{told_apart(value): i for i, value in enumerate(axis.row())} for axis in space.axes]
        self._units = [{told_apart(value): axis.to_unit(value) for value in axis.row()} for axis in space.axes]
        self._ordered = [axis.ordered for axis in space.axes]
        self._strides = [1]
        for index in self._index[:-1]:
            self._strides.append(self._strides[-1] * (len(index) + 1))

    def unit(self, params: Params) -> tuple[float, ...]:
        """The cell's point in the unit cube."""
        return tuple(
            [
                units[told_apart(params[name])] if name in params else 0.5
                for name, units in zip(self._names, self._units, strict=True)
            ]
        )

    def around(self, points: Sequence[Params]) -> list[list[int]]:
        """For each point, the indices of the points that touch it; a choice touches every other choice."""
        if not self._space.conditional:
            return self._around(points)
        branches: dict[tuple[str, ...], list[int]] = {}
        for i, params in enumerate(points):
            branches.setdefault(self._space.branch(params), []).append(i)
        found: list[list[int]] = [[] for _ in points]
        for names, mine in branches.items():
            axes = tuple(replace(self._space[name], when=()) for name in names)
            near = _Grid(Space(axes))._around([points[i] for i in mine])
            for i, those in zip(mine, near, strict=True):
                found[i] = sorted(mine[j] for j in those)
        return found

    def _around(self, points: Sequence[Params]) -> list[list[int]]:
        axes = list(zip(self._names, self._index, strict=True))
        places = [[index[told_apart(point[name])] for name, index in axes] for point in points]
        numbers = [sum(map(mul, place, self._strides)) for place in places]
        where = {number: i for i, number in enumerate(numbers)}
        moves: dict[tuple[int, ...], list[int]] = {}
        found = []
        for place, number in zip(places, numbers, strict=True):
            chosen = tuple([-1 if ordered else i for i, ordered in zip(place, self._ordered, strict=True)])
            if chosen not in moves:
                moves[chosen] = self._moves(chosen)
            found.append(sorted([where[at] for move in moves[chosen] if (at := number + move) in where]))
        return found

    def _moves(self, chosen: tuple[int, ...]) -> list[int]:
        """What to add to a cell's number; ``chosen`` names its choices by index, ordered axes by -1."""
        steps = [
            [0, -stride, stride] if i < 0 else [(j - i) * stride for j in range(len(index))]
            for i, stride, index in zip(chosen, self._strides, self._index, strict=True)
        ]
        if len(steps) <= _DIAGONAL_AXES:
            return [sum(move) for move in product(*steps) if any(move)]
        return [step for axis in steps for step in axis if step]
