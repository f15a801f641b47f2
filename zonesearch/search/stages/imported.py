"""Stage imported: existing trainings that were chosen elsewhere.

It wants the existing trials and nothing more, so an imported run is complete. If the points fill a grid, the map is
made as in stage grid; zones of scattered points are found by a Gaussian process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from zonesearch.core.reading import BEST, Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Trials
from zonesearch.search.stage import Forecast, Plan, require
from zonesearch.statistics.noise import Cell, measure_noise
from zonesearch.statistics.scattered import cells_of_trials, on_grid
from zonesearch.statistics.scattered_zones import scattered_zones
from zonesearch.statistics.zones import Zones, find_zones

__all__ = ["ImportedTrials"]


@dataclass(frozen=True)
class ImportedTrials:
    """The known trials, as a map if the points fill a grid; trains nothing.

    Args:
        space: the axes, with the tried values as rows if there are few.
        epochs: the length of a training; only for information.
        reading: how a value is read off a learning curve.
        level, zones_min, zones_max: as in stage grid.
    """

    heeds: ClassVar[frozenset[str]] = frozenset({"when", "constraints"})

    space: Space
    epochs: int = 1
    reading: Reading = BEST
    level: float = 0.95
    zones_min: int = 2
    zones_max: int = 5
    name: str = "imported"

    def __post_init__(self) -> None:
        require(0 < self.level < 1, self.name, "level", "between 0 and 1", self.level)
        require(self.zones_max >= 1, self.name, "zones_max", "at least 1", self.zones_max)
        require(0 <= self.zones_min <= self.zones_max, self.name, "zones_min", "0..zones_max", self.zones_min)

    def plan(self, given: Any, trials: Trials) -> Plan:
        """All trainings that finished; the output is the zones, of scattered points as a map."""
        trainings = tuple(trial.training for trial in trials)
        cells = cells_of_trials(trials, self.reading)
        known = [cell for cell in cells if cell.values]
        if not known:
            return Plan(trainings, Zones(), ("no training was complete, so there is nothing to find zones in",))
        if not on_grid(self.space, known):
            found = scattered_zones(self.space, known, level=self.level, zones_max=self.zones_max)
            return Plan(trainings, found, (*self._notes(known), *(note.rstrip(".") for note in found.notes)))
        zones = find_zones(
            self.space,
            known,
            measure_noise(known, self.space),
            level=self.level,
            zones_min=self.zones_min,
            zones_max=self.zones_max,
        )
        n_holes = self.space.n_cells - len(known)
        return Plan(trainings, Zones(zones), (f"{n_holes} cells of the grid have no value",) if n_holes else ())

    def forecast(self, given: Any) -> Forecast:
        """Nothing is trained."""
        return Forecast(0, self.epochs, self.zones_max)

    def _notes(self, cells: Sequence[Cell]) -> tuple[str, ...]:
        notes = [
            f"its {len(cells):,} points lie scattered, on no grid; zones are read off a Gaussian process through them"
        ]
        absent = {axis.name: sum(axis.name not in cell.params for cell in cells) for axis in self.space.axes}
        for axis in self.space.axes:
            for parent, values in axis.when:
                said = " or ".join(map(repr, values))
                notes.append(f"{axis.name} applies where {parent} is {said}, as all trials with a value have it")
        absent = {name: n for name, n in absent.items() if not self.space[name].when}
        partly = [f"{name} (in {len(cells) - n:,} of {len(cells):,} points)" for name, n in absent.items() if n]
        if partly:
            notes.append(f"not every trial has a value of {', '.join(partly)}, and no other parameter alone says when")
        return tuple(notes)
