"""Stage grid: train a coarse grid and map the zones where accuracy peaks."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Any

from zonesearch.domain.coarse import coarser
from zonesearch.domain.noise import cell_of, measure_noise
from zonesearch.domain.reading import BEST, Reading
from zonesearch.domain.rungs import Rung, rungs_notes
from zonesearch.domain.space import Space
from zonesearch.domain.trials import Params, Training, Trials
from zonesearch.domain.zones import bordering, find_zones
from zonesearch.errors import StudyError
from zonesearch.stages.stage import Forecast, Plan, require

__all__ = ["Grid"]


@dataclass(frozen=True)
class Grid:
    """All combinations of the rows, every cell with the same seeds; hands on the zones.

    Args:
        space: what is searched.
        epochs: the length of each training.
        seeds: trainings per cell. With one, only the finite validation set counts as noise, and zones are found that
            another seed would move; with two or more the seed noise is measured.
        reading: how a cell's value is read off its learning curves.
        level: at which two cells count as different.
        zones_min, zones_max: how many zones are kept (see :func:`zonesearch.domain.zones.find_zones`).
        cells_max: of a space with more cells rows of equal steps are taken, as many as make no more cells than this.
        rungs: epochs, rising, after which only cells that may still belong to a zone go on, to the next rung and at
            last to ``epochs`` (see :mod:`zonesearch.domain.rungs`); none by default.
    """

    space: Space
    epochs: int
    seeds: int = 1
    reading: Reading = BEST
    level: float = 0.95
    zones_min: int = 2
    zones_max: int = 5
    cells_max: int | None = None
    rungs: tuple[int, ...] = ()
    name: str = "grid"

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "training", "epochs", "at least 1", self.epochs)
        require(self.seeds >= 1, self.name, "seeds", "at least 1", self.seeds)
        require(0 < self.level < 1, self.name, "level", "between 0 and 1", self.level)
        require(self.zones_max >= 1, self.name, "zones_max", "at least 1", self.zones_max)
        require(0 <= self.zones_min <= self.zones_max, self.name, "zones_min", "0..zones_max", self.zones_min)
        require(self.cells_max is None or self.cells_max >= 1, self.name, "cells_max", "at least 1", self.cells_max)
        whole = all(isinstance(rung, int) and not isinstance(rung, bool) for rung in self.rungs)
        rising = whole and list(self.rungs) == sorted({rung for rung in self.rungs if 1 <= rung <= self.epochs})
        expected = f"rising whole numbers of epochs from 1 to {self.epochs}, the length of a training"
        require(rising, self.name, "rungs", expected, list(self.rungs))

    def plan(self, given: Any, trials: Trials) -> Plan:
        """The grid's trainings; the output is a tuple of zones, best first.

        Args:
            given: a space that a stage before has narrowed; searched in place of the study's.
            trials: all that is known.
        """
        space = self._rows(given)
        points = list(space.grid())
        lengths = tuple(dict.fromkeys((*self.rungs, self.epochs)))
        reached = dict.fromkeys(range(len(points)), lengths[0])
        going, dead = set(reached), set[int]()
        maps: list[Rung] = []
        for epochs in lengths:
            while True:
                reached.update(dict.fromkeys(going, epochs))
                trainings = self._trainings(space, reached)
                if trials.missing(trainings):
                    return Plan(trainings)
                rung = self._map(space, {i: points[i] for i in sorted(going)}, epochs, trials)
                dead |= {i for i, cell in rung.cells.items() if not cell.values}
                near = bordering(space, rung.zones, points) - dead if len(lengths) > 1 else going
                if near <= going:
                    break
                going |= near
            maps.append(rung)
            going &= near
        saved = 1 - sum(reached.values()) / (len(points) * self.epochs)
        return Plan(trainings, rung.zones, rungs_notes(maps, saved, self.level) if len(maps) > 1 else ())

    def within(self, n: int, given: Any, paid: Container[Any]) -> Grid:
        """This grid with rows so coarse that it has no more than ``n`` trainings.

        Raises:
            StudyError: choices, which cannot be made fewer, make more cells than that.
        """
        if self._rows(given).n_cells * self.seeds <= n:
            return self
        small = replace(self, cells_max=n // self.seeds)
        n_cells = small._rows(given).n_cells
        if n_cells * self.seeds > n:
            raise StudyError(
                f"[search] budget: stage {self.name} may get {n} trainings, but its choices alone make {n_cells} cells "
                f"with {self.seeds} each; give more, or leave out choices"
            )
        return small

    def _rows(self, given: Any) -> Space:
        space = given if isinstance(given, Space) else self.space
        return space if self.cells_max is None or space.n_cells <= self.cells_max else coarser(space, self.cells_max)

    def _trainings(self, space: Space, reached: Mapping[int, int]) -> tuple[Training, ...]:
        """All seeds of each cell, as far as it is to be trained."""
        return tuple(chain(*(_cells(space, self.seeds, reached[i])[i] for i in sorted(reached))))

    def _map(self, space: Space, points: Mapping[int, Params], epochs: int, trials: Trials) -> Rung:
        """The map of ``points`` after ``epochs`` epochs."""
        wanted = _cells(space, self.seeds, epochs)
        cells = [cell_of(point, wanted[i], trials, self.reading) for i, point in points.items()]
        noise = measure_noise(cells, space)
        zones = find_zones(space, cells, noise, level=self.level, zones_min=self.zones_min, zones_max=self.zones_max)
        return Rung(epochs, dict(zip(points, cells, strict=True)), noise, zones)

    def forecast(self, given: Any) -> Forecast:
        """The whole grid; as many zones as are ever kept."""
        space = self._rows(None)
        example = tuple(Training(point, 0, self.epochs) for point in space.grid())
        return Forecast(space.n_cells * self.seeds, self.epochs, min(self.zones_max, space.n_cells), example)


@lru_cache(maxsize=8)
def _cells(space: Space, seeds: int, epochs: int) -> tuple[tuple[Training, ...], ...]:
    """The trainings of each cell: a grid is asked in every round of a run, and they are always the same."""
    return tuple(tuple(Training(point, seed, epochs) for seed in range(seeds)) for point in space.grid())
