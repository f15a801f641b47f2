"""Stage grid: train a coarse grid and map the zones where accuracy peaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zonesearch.domain.noise import map_cells, measure_noise
from zonesearch.domain.reading import BEST, Reading
from zonesearch.domain.space import Space
from zonesearch.domain.trials import Training, Trials
from zonesearch.domain.zones import find_zones
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
    """

    space: Space
    epochs: int
    seeds: int = 1
    reading: Reading = BEST
    level: float = 0.95
    zones_min: int = 2
    zones_max: int = 5
    name: str = "grid"

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "training", "epochs", "at least 1", self.epochs)
        require(self.seeds >= 1, self.name, "seeds", "at least 1", self.seeds)
        require(0 < self.level < 1, self.name, "level", "between 0 and 1", self.level)
        require(self.zones_max >= 1, self.name, "zones_max", "at least 1", self.zones_max)
        require(0 <= self.zones_min <= self.zones_max, self.name, "zones_min", "0..zones_max", self.zones_min)

    def plan(self, given: Any, trials: Trials) -> Plan:
        """The grid's trainings; the output is a tuple of zones, best first.

        Args:
            given: a space that a stage before has narrowed; searched in place of the study's.
            trials: all that is known.
        """
        space = given if isinstance(given, Space) else self.space
        points = list(space.grid())
        trainings = tuple(Training(point, seed, self.epochs) for point in points for seed in range(self.seeds))
        if trials.missing(trainings):
            return Plan(trainings)
        cells = map_cells(points, trials, seeds=range(self.seeds), epochs=self.epochs, reading=self.reading)
        noise = measure_noise(cells, space)
        zones = find_zones(space, cells, noise, level=self.level, zones_min=self.zones_min, zones_max=self.zones_max)
        return Plan(trainings, zones)

    def forecast(self, given: Any) -> Forecast:
        """The whole grid; as many zones as are ever kept."""
        example = tuple(Training(point, 0, self.epochs) for point in self.space.grid())
        return Forecast(self.space.n_cells * self.seeds, self.epochs, min(self.zones_max, self.space.n_cells), example)
