"""Stage grid: train a coarse grid and map the zones where accuracy peaks.

If the peak of a zone lies on an edge with a limit beyond it, the grid continues there, round by round: the map grows by
the next values of the row's rule and keeps everything it has. How far it has grown is derived from the trials.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Literal

from zonesearch.core.coarse import CELLS_MOST, coarser, examples, listed, refined
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.seeds import Seeds
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trials
from zonesearch.core.values import point
from zonesearch.core.widening import Side, has_limits, widened, widest
from zonesearch.errors import StudyError
from zonesearch.search.rims import to_widen, widening_notes
from zonesearch.search.stage import FEWER_CHOICES, Forecast, Plan, Stage, checked_seeds, require
from zonesearch.statistics.contenders import more_seeds
from zonesearch.statistics.expected import expecting
from zonesearch.statistics.map import Map
from zonesearch.statistics.noise import Cell, Noise, cell_of, measure_noise
from zonesearch.statistics.rungs import Rung, rungs_notes
from zonesearch.statistics.zones import Zone, bordering, find_zones

__all__ = ["Grid"]

_RIVALS = 2  # the least number of zones whose cells get more seeds
_SHARE = 4  # when a budget sizes the grid, one in this many cells is assumed to get the seeds of a zone

Asked = dict[Hashable, dict[int, int]]
"""By point and seed, the length in epochs of the wanted training."""


@dataclass(frozen=True)
class Grid:
    """All combinations of the rows; outputs the map with its zones.

    Args:
        space: what is searched.
        epochs: the length of each training.
        seeds: trainings per cell: a number for all cells, or ``first`` for all and ``zone`` for those that may belong
            to a zone (see :mod:`zonesearch.statistics.contenders`). With a single seed, the noise between seeds is not
            measured but estimated from differences between neighbours.
        reading: how a cell's value is read off its learning curves.
        level: at which two cells count as different.
        zones_min, zones_max: number of zones to keep (see :func:`zonesearch.statistics.zones.find_zones`).
        seeds_max: the most seeds beyond the first ones, over all cells; the most promising get them. No limit by
            default.
        cells_max: for a larger space, rows with equal steps are used that make at most this many cells.
        begun: the sizes that it had before a budget enlarged it, as pairs of ``cells_max`` and ``seeds_max``; it wants
            everything that they wanted. Set by a budget.
        rungs: increasing numbers of epochs after which only cells that may still belong to a zone continue, to the next
            rung and finally to ``epochs`` (see :mod:`zonesearch.statistics.rungs`); none by default.
        widen: the most rounds in which the grid continues beyond edges on which peaks lie, within ``limit_low`` and
            ``limit_high`` of the axes; without limits it never does.
        peaks: which cell of a zone is its peak: that with the highest posterior mean of a Gaussian process through the
            whole map (see :mod:`zonesearch.statistics.expected`), or that with the best mean of its own seeds.
    """

    heeds: ClassVar[frozenset[str]] = frozenset({"limits", "when", "constraints"})
    formers: ClassVar[Mapping[str, str]] = {"peaks": "mean"}

    space: Space
    epochs: int
    seeds: Seeds | int = 1
    reading: Reading = BEST
    level: float = 0.95
    zones_min: int = 2
    zones_max: int = 5
    seeds_max: int | None = None
    cells_max: int | None = None
    begun: tuple[tuple[int | None, int | None], ...] = ()
    rungs: tuple[int, ...] = ()
    widen: int = 3
    peaks: Literal["posterior", "mean"] = "posterior"
    name: str = "grid"

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "training", "epochs", "at least 1", self.epochs)
        object.__setattr__(self, "seeds", checked_seeds(self.seeds, self.name))
        require(self.seeds_max is None or self.seeds_max >= 0, self.name, "seeds_max", "0 or more", self.seeds_max)
        require(self.widen >= 0, self.name, "widen", "0 or more", self.widen)
        require(0 < self.level < 1, self.name, "level", "between 0 and 1", self.level)
        require(self.zones_max >= 1, self.name, "zones_max", "at least 1", self.zones_max)
        require(0 <= self.zones_min <= self.zones_max, self.name, "zones_min", "0..zones_max", self.zones_min)
        require(self.cells_max is None or self.cells_max >= 1, self.name, "cells_max", "at least 1", self.cells_max)
        pairs = tuple(tuple(pair) if isinstance(pair, list | tuple) else (pair,) for pair in self.begun)
        sound = all(len(pair) == 2 and all(n is None or type(n) is int for n in pair) for pair in pairs)
        require(sound, self.name, "begun", "pairs of cells_max and seeds_max", self.begun)
        object.__setattr__(self, "begun", pairs)
        whole = all(isinstance(rung, int) and not isinstance(rung, bool) for rung in self.rungs)
        rising = whole and list(self.rungs) == sorted({rung for rung in self.rungs if 1 <= rung <= self.epochs})
        expected = f"rising whole numbers of epochs from 1 to {self.epochs}, the length of a training"
        require(rising, self.name, "rungs", expected, list(self.rungs))

    def plan(self, given: Any, trials: Trials) -> Plan:
        """The grid's trainings; the output is the map, as a sequence its zones, best first.

        Args:
            given: a space that an earlier stage has narrowed, searched instead of the study's.
            trials: all that is known.
        """
        base = self._rows(given)
        listed(base, self.name)
        rounds: dict[tuple[str, Side], int] = {}
        before: Asked = {}
        for i, (_, seeds_max) in enumerate(self.begun):
            smaller = replace(self, begun=self.begun[:i], cells_max=self.begun[i][0], seeds_max=seeds_max)
            plan, before = smaller._explore(smaller._rows(given), before, trials)
            if plan.output is None:
                return plan
        for n in range(self.widen + 1):
            plan, before = self._explore(widened(base, rounds), before, trials)
            mapped = plan.output
            sides = to_widen(base, rounds, mapped) if isinstance(mapped, Map) and n < self.widen else ()
            if not sides:
                break
            rounds |= {side: rounds.get(side, 0) + 1 for side in sides}
        if not isinstance(mapped, Map):
            return plan
        return replace(plan, notes=(*plan.notes, *widening_notes(base, rounds, mapped, self.widen)))

    def _explore(self, space: Space, before: Asked, trials: Trials) -> tuple[Plan, Asked]:
        """The grid of one space, without output while something is missing, and the trainings that it wants.

        Args:
            space: its rows make the cells.
            before: the trainings that a smaller grid wanted, which this one includes.
            trials: all that is known.
        """
        points = list(space.grid())
        lengths = tuple(dict.fromkeys((*self.rungs, self.epochs)))
        wish = Seeds.parse(self.seeds)
        old = [before.get(point(params), {}) for params in points] if before else [{}] * len(points)
        # the length in epochs for a seed of a cell
        asked = {(i, seed): epochs for i, seeds in enumerate(old) for seed, epochs in seeds.items()}
        going, dead = set(range(len(points))), set[int]()
        maps: list[Rung] = []
        for epochs in lengths:
            had = [sum(length >= epochs for length in seeds.values()) for seeds in old]
            going |= {i for i, n in enumerate(had) if n}
            seeds: dict[int, int] = {}
            more = {i: max(wish.first, had[i]) for i in going}
            while True:
                seeds |= more
                for i in more:
                    asked |= {(i, seed): max(epochs, asked.get((i, seed), 0)) for seed in range(seeds[i])}
                trainings = self._trainings(space, asked)
                if trials.missing(trainings):
                    return Plan(trainings), {}
                rung = self._map(space, points, seeds, epochs, trials)
                dead |= {i for i, cell in rung.cells.items() if not cell.values}
                more = self._more(rung, seeds, asked)
                if not more:
                    near = bordering(space, rung.zones, points) - dead if len(lengths) > 1 else going
                    more = {i: max(wish.first, had[i]) for i in sorted(near - going)}
                    going |= near
                if not more:
                    break
            maps.append(rung)
            going &= near
        last = {i: epochs for (i, seed), epochs in asked.items() if seed == 0}
        saved = 1 - sum(last.values()) / (len(points) * self.epochs)
        notes = rungs_notes(maps, saved, self.level, trials.metric) if len(maps) > 1 else ()
        wanted: Asked = {}
        for (i, seed), epochs in asked.items():
            wanted.setdefault(point(points[i]), {})[seed] = epochs
        return Plan(trainings, self._output(space, points, maps, asked), notes), wanted

    def within(self, n: int, given: Any, paid: Container[Any]) -> Grid:
        """This grid with coarser rows, so that it has at most ``n`` trainings.

        If zones get more seeds than other cells, a quarter of the cells are assumed to need them; if more do, the most
        promising get them.

        Raises:
            StudyError: choices, which cannot be reduced, already make more cells than that.
        """
        seeds = Seeds.parse(self.seeds)
        rows = self._rows(given)
        usual = seeds.first + (seeds.zone - seeds.first) / _SHARE
        # as many rounds beyond the edges as could be paid for if all were needed
        widen = next((k for k in range(self.widen, -1, -1) if widest(rows, k).n_cells * usual <= n), 0)
        if widest(rows, widen) != widest(rows, self.widen):
            return replace(self, widen=widen).within(n, given, paid)
        if widest(rows, widen).n_cells * seeds.zone <= n:
            return self
        small = self
        if self._rows(given).n_cells * usual > n:
            small = replace(self, cells_max=max(1, int(n / usual)))
        n_first = widest(small._rows(given), small.widen).n_cells * seeds.first
        if n_first > n:
            raise StudyError(
                f"[search] budget: stage {self.name} may get {n} trainings, but its choices alone make "
                f"{small._rows(given).n_cells} cells with {seeds.first} each{FEWER_CHOICES}"
            )
        left = n - n_first
        if seeds.everywhere or (small.seeds_max is not None and small.seeds_max <= left):
            return small
        return replace(small, seeds_max=left)

    def check_size(self) -> None:
        """Check that the whole grid is small enough to list, if no budget makes it smaller.

        Raises:
            StudyError: it is too large.
        """
        listed(self._rows(None), self.name)

    def containing(self, small: Stage) -> Grid:
        """This grid, with everything that a smaller one wants."""
        assert isinstance(small, Grid)
        size = (small.cells_max, small.seeds_max)
        cut = size != (self.cells_max, self.seeds_max) and (not small.begun or size != small.begun[-1])
        return replace(self, begun=(*small.begun, *([size] if cut else [])))

    def enlarged(self, small: Stage, n: int, given: Any, paid: Container[Any]) -> Grid | None:
        """This grid with at most ``n`` trainings, among them all that ``small`` wants; None if that is no more.

        A coarse grid gets more values between those that it has, if its axes have no limits beyond which they may grow;
        with limits, it may grow in more rounds.
        """
        assert isinstance(small, Grid)
        rows = small._rows(given)
        seeds = Seeds.parse(self.seeds)
        if has_limits(rows):
            usual = seeds.first + (seeds.zone - seeds.first) / _SHARE
            rounds = range(self.widen, small.widen, -1)
            widen = next((k for k in rounds if widest(rows, k).n_cells * usual <= n), small.widen)
            left = None if small.seeds_max is None else n - widest(rows, widen).n_cells * seeds.first
            return replace(small, widen=widen, seeds_max=left) if widen > small.widen and seeds.everywhere else None
        larger = self.containing(small).within(n, given, paid)
        same = larger._rows(given).n_cells <= rows.n_cells and larger.seeds_max == small.seeds_max
        return None if same else larger

    def _rows(self, given: Any) -> Space:
        space = given if isinstance(given, Space) else self.space
        begun = self.begun[0][0] if self.begun else None
        if begun is not None and begun < space.n_cells:
            most = CELLS_MOST if self.cells_max is None else self.cells_max
            return refined(space, coarser(space, min(begun, most)), most)
        return space if self.cells_max is None or space.n_cells <= self.cells_max else coarser(space, self.cells_max)

    def _trainings(self, space: Space, asked: Mapping[tuple[int, int], int]) -> tuple[Training, ...]:
        """The trainings of each cell for its seeds."""
        most = Seeds.parse(self.seeds).zone
        wanted = {epochs: _cells(space, most, epochs) for epochs in set(asked.values())}
        return tuple(wanted[asked[i, seed]][i][seed] for i, seed in sorted(asked))

    def _map(
        self, space: Space, points: Sequence[Params], seeds: Mapping[int, int], epochs: int, trials: Trials
    ) -> Rung:
        """The map of the points that have ``seeds``, after ``epochs`` epochs."""
        wanted = _cells(space, Seeds.parse(self.seeds).zone, epochs)
        places = sorted(seeds)
        cells = [cell_of(points[i], wanted[i][: seeds[i]], trials, self.reading) for i in places]
        noise = measure_noise(cells, space)
        by_place = dict(zip(places, cells, strict=True))
        if Seeds.parse(self.seeds).everywhere:
            return Rung(epochs, by_place, noise, self._zones(space, cells, noise, self.zones_min, self.zones_max))
        maybe = self._zones(space, cells, noise, max(_RIVALS, self.zones_min), 2 * self.zones_max)
        zones = maybe[: self.zones_max]
        if self.zones_min < _RIVALS:
            zones = self._zones(space, cells, noise, self.zones_min, self.zones_max)
        return Rung(epochs, by_place, noise, zones, maybe)

    def _zones(self, space: Space, cells: Sequence[Cell], noise: Noise, least: int, most: int) -> tuple[Zone, ...]:
        return find_zones(space, cells, noise, level=self.level, zones_min=least, zones_max=most)

    def _more(self, rung: Rung, seeds: Mapping[int, int], asked: Mapping[tuple[int, int], int]) -> dict[int, int]:
        """Which cells of the map get how many seeds next; empty when all have what they need."""
        wish = Seeds.parse(self.seeds)
        if wish.everywhere:
            return {}
        left = None
        if self.seeds_max is not None:
            left = self.seeds_max - sum(seed >= wish.first for i, seed in asked if i not in seeds)
        return more_seeds(rung, seeds, wish, left)

    def _output(
        self, space: Space, points: Sequence[Params], maps: list[Rung], asked: Mapping[tuple[int, int], int]
    ) -> Map:
        last = maps[-1]
        counts = Counter(i for i, _ in asked)
        left = {i: (rung.epochs, cell) for rung in maps for i, cell in rung.cells.items() if i not in last.cells}
        cells = tuple(last.cells[i] if i in last.cells else Cell(point, ()) for i, point in enumerate(points))
        zones = expecting(space, cells, last.noise, last.zones) if self.peaks == "posterior" else last.zones
        return Map(
            space=space,
            cells=cells,
            noise=last.noise,
            zones=zones,
            level=self.level,
            epochs=self.epochs,
            n_seeds=tuple(counts[i] for i in range(len(points))),
            left=left,
            zones_min=self.zones_min,
            zones_max=self.zones_max,
        )

    def forecast(self, given: Any) -> Forecast:
        """The whole grid, as if every cell might belong to a zone, with the largest number of zones."""
        space = widest(self._rows(None), self.widen)
        seeds = Seeds.parse(self.seeds)
        example = examples(space, self.epochs)
        most = space.n_cells * seeds.zone
        if self.seeds_max is not None:
            most = min(most, space.n_cells * seeds.first + self.seeds_max)
        return Forecast(most, self.epochs, min(self.zones_max, space.n_cells), example)


@lru_cache(maxsize=8)
def _cells(space: Space, seeds: int, epochs: int) -> tuple[tuple[Training, ...], ...]:
    """The trainings of each cell, cached since every round of a run needs the same ones."""
    return tuple(tuple(Training(point, seed, epochs) for seed in range(seeds)) for point in space.grid())
