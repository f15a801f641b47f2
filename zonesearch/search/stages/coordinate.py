"""Stage coordinate: a climb along one axis at a time that records every local optimum and continues.

This is the quasi-gradient alternative to a full grid: measure, step along an axis, measure; then the next axis, one
step each. Every axis remembers the direction that helped last, which is tried first. If no step on any axis helps, the
point is a local optimum. A single climb finds the right one of several peaks only by luck, so the climb continues from
the optimum in each direction to the end of the space, and starts again where the values rise. Lines through an optimum
miss what lies diagonally across, so finally unexplored regions are visited, until every cell is near a known one. All
optima are passed on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import islice, product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from zonesearch.core.axes import AnyAxis, Axis
from zonesearch.core.coarse import examples
from zonesearch.core.lazy import Lazy
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trials
from zonesearch.core.values import point
from zonesearch.search.stage import Forecast, Plan, require
from zonesearch.statistics.candidates import Candidate
from zonesearch.statistics.noise import map_cells, measure_noise, preferred
from zonesearch.statistics.zones import Zone, Zones, level_inwards, peak_zone

if TYPE_CHECKING:
    from scipy.stats import qmc
else:
    qmc = Lazy("scipy.stats.qmc")

__all__ = ["Coordinate", "climb"]

Place = tuple[int, ...]
"""A cell, by the indices of its row values."""

Move = tuple[int, int]
"""Axis and step; for choices, a step leads to any other choice."""

Worked = dict[int, Move]
"""By axis, the last move that helped."""

_REACH = 2  # steps: a cell this near to a known one is not visited as unexplored
_MOST_CELLS = 4096


@dataclass(frozen=True)
class Coordinate:
    """A climb over the rows of the space; outputs all recorded optima, best first, as zones of one cell.

    The climb is replayed from its start with every plan, up to the first unknown cell. So cells that any stage has
    trained cost nothing.

    Args:
        space: its rows are the steps.
        epochs, seeds, reading: as in the grid. A step is evaluated by means over the seeds, whatever their noise: with
            one seed, noise creates spurious optima.
        n_trainings: the most trainings, including those known before.
        zones_max: number of best optima in the output; all by default.
        thorough: once nothing is left to climb, continue until every cell of the rows is known; set by a budget that
            allows more.
    """

    heeds: ClassVar[frozenset[str]] = frozenset({"when", "constraints"})

    space: Space
    epochs: int
    seeds: int = 1
    reading: Reading = BEST
    n_trainings: int = 100
    zones_max: int | None = None
    thorough: bool = False
    name: str = "coordinate"

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "training", "epochs", "at least 1", self.epochs)
        require(self.seeds >= 1, self.name, "seeds", "at least 1", self.seeds)
        require(self.zones_max is None or self.zones_max >= 1, self.name, "zones_max", "at least 1", self.zones_max)
        require(self.n_trainings >= self.seeds, self.name, "n_trainings", "at least the seeds", self.n_trainings)

    def plan(self, given: Any, trials: Trials) -> Plan:
        """The cells of the climb so far; the output is a tuple of zones.

        Args:
            given: zones or candidates to climb from, or a space that an earlier stage has narrowed; by default the
                climb starts in the middle of the space.
            trials: all that is known.
        """
        space = given if isinstance(given, Space) else self.space
        rows = [axis.row() for axis in space.axes]
        extrema: list[Place] = []

        @cache
        def branch(place: Place) -> Hashable:
            return space.branch({axis.name: row[i] for axis, row, i in zip(space.axes, rows, place, strict=True)})

        sizes, ordered = [len(row) for row in rows], [axis.ordered for axis in space.axes]
        apart = branch if space.conditional else None
        way = climb(_starts(given, space), sizes, ordered, extrema, apart, thorough=self.thorough)
        asked: dict[Place, Params] = {}
        told: dict[Hashable, Place] = {}
        trainings: list[Training] = []
        place = next(way, None)
        while place is not None and len(trainings) + self.seeds <= self.n_trainings:
            cell = space.bare({axis.name: row[i] for axis, row, i in zip(space.axes, rows, place, strict=True)})
            if not space.allows(cell):
                try:
                    place = way.send(-math.inf)
                except StopIteration:
                    place = None
                continue
            wanted = [Training(cell, seed, self.epochs) for seed in range(self.seeds)]
            if told.setdefault(point(cell), place) == place:  # otherwise it differs in axes that do not apply there
                asked[place] = cell
                trainings += wanted
            if trials.missing(wanted):
                return Plan(tuple(trainings))
            found = self._cells([cell], trials)[0]
            mean = found.mean if found.feasible else math.nan
            try:
                place = way.send(-math.inf if math.isnan(mean) else trials.metric.score(mean))
            except StopIteration:
                place = None
        way.close()
        alive = [cell for cell in self._cells(list(asked.values()), trials) if cell.values]
        others = (cell.params for cell in sorted(alive, key=preferred))
        return Plan(tuple(trainings), Zones.of(self._zones(space, asked, extrema, trials), others))

    def forecast(self, given: Any) -> Forecast:
        """The whole grid at most, and no more than it may have; no two extrema lie side by side."""
        n_trainings = min(self.n_trainings, self.space.n_cells * self.seeds)
        n_extrema = (n_trainings // self.seeds + 1) // 2
        n_zones = min(self.zones_max or n_extrema, n_extrema)
        return Forecast(n_trainings, self.epochs, n_zones, examples(self.space, self.epochs))

    def further(self, n: int) -> Coordinate:
        """The same climb with ``n`` more trainings, also visiting cells near known ones."""
        return replace(self, n_trainings=self.n_trainings + n, thorough=True)

    def _cells(self, points: Sequence[Params], trials: Trials) -> list[Any]:
        return map_cells(points, trials, seeds=range(self.seeds), epochs=self.epochs, reading=self.reading)

    def _zones(
        self, space: Space, asked: dict[Place, Params], extrema: Sequence[Place], trials: Trials
    ) -> tuple[Zone, ...]:
        """The optima, and the highest cell if the climb was interrupted above all of them."""
        cells = dict(zip(asked, self._cells(list(asked.values()), trials), strict=True))
        alive = {place: cell for place, cell in cells.items() if cell.values and cell.feasible}
        heights = {place: trials.metric.score(cell.mean) for place, cell in alive.items()}
        best = sorted((place for place in extrema if place in heights), key=lambda place: -heights[place])
        top = max(heights, key=lambda place: heights[place], default=None)
        if top is not None and (not best or heights[top] > heights[best[0]]):
            best.insert(0, top)
        best = best[: self.zones_max]
        noise = measure_noise(list(cells.values()))
        return tuple(
            level_inwards(
                peak_zone(space, asked[place], cells[place].mean, noise.se(cells[place]), i, trials.metric),
                [asked[other] for other in heights if heights[other] == heights[place]],
            )
            for i, place in enumerate(best, start=1)
        )


def climb(
    starts: Sequence[Place],
    sizes: Sequence[int],
    ordered: Sequence[bool],
    extrema: list[Place],
    branch: Callable[[Place], Hashable] | None = None,
    *,
    thorough: bool = False,
) -> Generator[Place, float, None]:
    """Yields the cells whose values it needs, each once, and is sent the values; records results in ``extrema``.

    Args:
        starts: where it begins.
        sizes: number of row values of each axis; ``ordered`` whether the axis has directions.
        extrema: filled with local optima in the order in which they are found.
        branch: no step leads from one branch to another, where there are several: what is best in one of them says
            little of the other, so each has extrema of its own.
        thorough: whether it goes on until every cell is known, those farthest from known ones first.
    """
    values: dict[Place, float] = {}
    moves = [
        [(axis, step) for step in ((1, -1) if has_order else range(1, size))]
        for axis, (size, has_order) in enumerate(zip(sizes, ordered, strict=True))
    ]

    def step(place: Place, move: Move) -> Place | None:
        axis, by = move
        i = place[axis] + by if ordered[axis] else (place[axis] + by) % sizes[axis]
        there = (*place[:axis], i, *place[axis + 1 :])
        if not 0 <= i < sizes[axis] or (branch is not None and branch(there) != branch(place)):
            return None
        return there

    def look(place: Place) -> Generator[Place, float, float]:
        if place not in values:
            values[place] = yield place
        return values[place]

    def up(place: Place, worked: Worked) -> Generator[Place, float, tuple[Place, Worked]]:
        """To the local extremum above ``place``, and the direction that worked last on each axis."""
        here = yield from look(place)
        axis, n_idle = 0, 0
        while n_idle < len(sizes):
            n_idle += 1
            for move in _in_turn(worked, moves[axis : axis + 1]):
                there = step(place, move)
                if there is not None and (yield from look(there)) > here:
                    place, here, worked, n_idle = there, values[there], {**worked, axis: move}, 0
                    break
            axis = (axis + 1) % len(sizes)
        return place, worked

    def rising(place: Place, move: Move) -> Generator[Place, float, Place | None]:
        """Where the values rise again on the way from the extremum ``place`` to the end of the space."""
        before = place
        for _ in range(sizes[move[0]]):
            there = step(before, move)
            if there is None or there == place:
                return None
            if (yield from look(there)) > values[before]:
                return there
            before = there
        return None

    noted: dict[Place, Worked] = {}

    def note(start: Place, before: Worked) -> Generator[Place, float, Place | None]:
        """Climb from ``start``; the extremum above it if it is a new one, and no part of a plateau that was noted."""
        place, worked = yield from up(start, before)
        beside = [step(place, move) for move in _in_turn({}, moves)]
        if place in noted or any(other in noted and values[other] == values[place] for other in beside):
            return None
        extrema.append(place)
        noted[place] = worked
        return place

    for start in starts:
        yield from note(start, {})
    n_left, reach = 0, _REACH
    while True:
        while n_left < len(extrema):
            for move in _in_turn(noted[extrema[n_left]], moves):
                left: Place | None = extrema[n_left]
                while left is not None:
                    foot = yield from rising(left, move)
                    left = None if foot is None else (yield from note(foot, {**noted[left], move[0]: move}))
            n_left += 1
        unknown = _farthest(frozenset(values), tuple(sizes), tuple(ordered), reach)
        if unknown is not None:
            yield from note(unknown, {})
        elif not thorough or reach == 0:
            return
        else:
            reach -= 1


@lru_cache(maxsize=1024)  # every plan plays the same climb from its start
def _farthest(known: frozenset[Place], sizes: tuple[int, ...], ordered: tuple[bool, ...], reach: int) -> Place | None:
    """The cell farthest from all that are known, in steps; None when none is more than ``reach`` steps away.

    The distance of two cells is that of the axis on which they are farthest apart, then the sum over the axes; two
    choices are one step more than ``_REACH`` apart.
    """
    cells = _cells_of(sizes)
    nearest = np.full(len(cells), np.inf)
    farness = np.full(len(cells), np.inf)
    choice = ~np.array(ordered)
    for place in known:
        steps = np.abs(cells - np.array(place))
        steps[:, choice] = np.where(steps[:, choice] > 0, _REACH + 1, 0)
        nearest = np.minimum(nearest, steps.max(axis=1))
        farness = np.minimum(farness, steps.max(axis=1) + steps.sum(axis=1) / (1 + sum(sizes)))
    if nearest.max() <= reach:
        return None
    return tuple(int(i) for i in cells[int(np.argmax(np.round(farness, 9)))])


@lru_cache(maxsize=8)
def _cells_of(sizes: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """All cells, shape (n, n_axes); where there are too many, a few thousand spread evenly (Halton)."""
    if math.prod(sizes) <= _MOST_CELLS:
        return np.array(list(product(*(range(size) for size in sizes))))
    points = qmc.Halton(len(sizes), scramble=False).random(_MOST_CELLS)
    return np.unique((points * np.array(sizes)).astype(np.int64), axis=0)


def _in_turn(worked: Worked, moves: Sequence[Sequence[Move]]) -> list[Move]:
    """The moves of these axes, one axis after the other; on each the one that worked last comes first."""
    return [move for of_axis in moves for move in sorted(of_axis, key=lambda move: worked.get(move[0]) != move)]


def _starts(given: Any, space: Space) -> list[Place]:
    """The cells nearest to zones and candidates; without any the middle, and the middle of every other branch.

    Each branch is climbed by itself: at the best settings of one of them another one may look bad.
    """
    items = given if isinstance(given, Sequence) else ()
    points = [
        item.peak if isinstance(item, Zone) else item.params for item in items if isinstance(item, Zone | Candidate)
    ]
    middle = tuple(len(axis.row()) // 2 for axis in space.axes)
    places = [
        tuple(
            _nearest(axis, params[axis.name]) if axis.name in params else middle[i] for i, axis in enumerate(space.axes)
        )
        for params in points
    ]
    return list(dict.fromkeys(places)) or _middles(space, middle)


def _middles(space: Space, middle: Place) -> list[Place]:
    """The cell nearest to the middle of each branch, that of the middle's own branch first."""
    if not space.conditional:
        return [middle]
    decide = {name for axis in space.axes for name, _ in axis.when}
    ways = [
        sorted(range(len(axis.row())), key=partial(_away, m)) if axis.name in decide else [m]
        for axis, m in zip(space.axes, middle, strict=True)
    ]
    found: dict[tuple[str, ...], Place] = {}
    for place in islice(product(*ways), _MOST_CELLS):
        params = {axis.name: axis.row()[i] for axis, i in zip(space.axes, place, strict=True)}
        branch = space.branch(params)
        if branch not in found or not _allowed(space, found[branch]):
            found[branch] = place
    return list(found.values())


def _away(middle: int, i: int) -> int:
    return abs(i - middle)


def _allowed(space: Space, place: Place) -> bool:
    return space.allows(space.bare({axis.name: axis.row()[i] for axis, i in zip(space.axes, place, strict=True)}))


def _nearest(axis: AnyAxis, value: Any) -> int:
    if not isinstance(axis, Axis):
        return axis.place(value)
    place = axis.to_unit(value)
    return min(range(len(axis.row())), key=lambda i: abs(axis.to_unit(axis.row()[i]) - place))
