"""The map of a search, computed once: its cells, their noise, their values and zones after every epoch.

All summaries and figures use it, so that the curves of a large map's 10,000 cells are read only once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.core.coarse import coarser
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.reading import Reading
from zonesearch.core.seeding import FRESH
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trial
from zonesearch.core.values import point, told_apart
from zonesearch.statistics.map import Map
from zonesearch.statistics.noise import Cell, Noise, map_cells, measure_noise
from zonesearch.statistics.scattered import cells_of_trials, on_grid
from zonesearch.statistics.search_results import SearchResults
from zonesearch.statistics.zones import Zone, find_zones

__all__ = ["MapSummary"]

_MOST_VALUES = 40_000  # maximum cells x epochs evaluated; a longer history is thinned, keeping its end

Array = npt.NDArray[np.float64]


class MapSummary:
    """A summary of the coarse map in ``results``.

    Args:
        results: results of a search in any state, even without trials.
    """

    def __init__(self, results: SearchResults) -> None:
        self.results = results
        self._places: dict[int, npt.NDArray[np.intp]] = {}  # keyed by id: zones live as long as the summary

    @property
    def metric(self) -> Metric:
        """The metric of the values, with its direction."""
        return self.results.metric

    @cached_property
    def _map(self) -> Map | None:
        """The map output by the grid stage; None before that stage has finished, or without a grid."""
        found = self.results.map
        return None if found is None or found.scattered else found

    @cached_property
    def space(self) -> Space:
        """The mapped space: the study's, or as narrowed by a stage before the grid; with coarser rows if the number of
        cells is limited.
        """
        if self._map is not None:
            return self._map.space
        narrowed = [record.output for record in self.results.stages if isinstance(record.output, Space)]
        space = narrowed[-1] if narrowed else self.results.space
        most = next((n for r in self.results.stages if (n := r.settings.get("cells_max")) is not None), None)
        return space if most is None or space.n_cells <= most else coarser(space, most)

    @cached_property
    def scattered(self) -> bool:
        """Whether the points were chosen elsewhere and are not on a grid, so that there is no map of cells."""
        if not any(record.settings.get("kind") == "imported" for record in self.results.stages):
            return False
        return not on_grid(self.results.space, self.tried)

    @cached_property
    def tried(self) -> list[Cell]:
        """The unique trained points, on a grid or not, with all their seeds."""
        return cells_of_trials(self.results.trials, self.results.reading)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of a cell: those requested by the first stage with trainings on the grid."""
        space = self.space
        for record in self.results.stages:
            wanted = {t.seed for t in record.wanted if set(t.params) == set(space.branch(t.params))}
            if wanted:
                return tuple(sorted(wanted))
        return self.results.map_seeds

    @cached_property
    def points(self) -> list[dict[str, Any]]:
        """The parameters of all cells, the last axis changing fastest; empty if the points are not on a grid.

        Includes forbidden cells. Where an axis does not apply, the cells along it are a single cell, which is repeated
        so that it is drawn at each of that axis's values.
        """
        return [] if self.scattered else list(self.space.lattice())

    @cached_property
    def forbidden(self) -> npt.NDArray[np.bool_]:
        """Which cells the constraints forbid, shape ``shape``."""
        return np.array([not self.space.allows(params) for params in self.points], dtype=bool).reshape(self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of row values on each axis; zeros if the points are not on a grid."""
        return tuple(0 if self.scattered else len(axis.row()) for axis in self.space.axes)

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells of the grid, including those without a value."""
        found = self.results
        if self._map is not None and len(self._map.cells) == len(self.points):
            return list(self._map.cells)
        if self._map is not None:
            known = {point(cell.params): cell for cell in self._map.cells}
            return [known.get(point(params), Cell(params, ())) for params in self.points]
        return map_cells(self.points, found.trials, seeds=self.seeds, epochs=found.epochs, reading=found.reading)

    @cached_property
    def left(self) -> dict[int, tuple[int, float]]:
        """Cells dropped at a rung before full length, by position: the number of epochs, and their value.

        Summaries of the map, which use values after all epochs, exclude them; figures show them as they were.
        """
        found = self.results
        if self._map is not None:
            early_on = {point(cell.params): (epochs, cell.mean) for epochs, cell in self._map.left.values()}
            places = enumerate(map(point, self.points)) if early_on else ()
            return {i: early_on[told] for i, told in places if told in early_on}
        shorter = {
            training.identity[0]: training.epochs
            for record in found.stages
            for training in record.wanted
            if training.epochs < found.epochs
        }
        left = {}
        for i, (params, cell) in enumerate(zip(self.points, self.cells, strict=True)):
            epochs = shorter.get(Training(params).identity[0])
            if epochs is None or cell.values:
                continue
            early = map_cells([params], found.trials, seeds=self.seeds, epochs=epochs, reading=found.reading)[0]
            if early.values:
                left[i] = epochs, early.mean
        return left

    @property
    def left_sentence(self) -> str:
        """How many cells were dropped, and how they are shown; empty if none were."""
        if not self.left:
            return ""
        when = sorted({epochs for epochs, _ in self.left.values()})
        return (
            f"{len(self.left):,} of {len(self.points):,} cells left after {' or '.join(map(str, when))} of "
            f"{self.results.epochs} epochs (rungs) and are shown as they were then."
        )

    @cached_property
    def noise(self) -> Noise:
        """The noise of the map."""
        if self._map is not None:
            return self._map.noise
        return measure_noise(self.cells, self.space)

    @cached_property
    def means(self) -> Array:
        """The value of each cell, shape ``shape``; NaN where unknown."""
        return np.array([cell.mean for cell in self.cells]).reshape(self.shape)

    @cached_property
    def errors(self) -> Array:
        """The standard error of each cell, shape ``shape``; NaN where the value is unknown."""
        errors = [self.noise.se(cell) if cell.values else math.nan for cell in self.cells]
        return np.array(errors).reshape(self.shape)

    @property
    def n_mapped(self) -> int:
        """The number of cells with a value."""
        return int(np.isfinite(self.means).sum())

    @cached_property
    def _trials(self) -> list[list[Trial]]:
        """The complete full-length trials of each cell."""
        trials = self.results.trials
        found = []
        for i, params in enumerate(self.points):
            epochs = self.left[i][0] if i in self.left else self.results.epochs
            back = [trials.get(Training(params, seed, epochs)) for seed in self.seeds]
            found.append([trial for trial in back if trial is not None and trial.complete])
        return found

    @cached_property
    def epochs(self) -> tuple[int, ...]:
        """The epochs after which the map is known, ascending; only the last if no curves were recorded.

        Large maps are thinned to the epochs that matter most, denser at the beginning.
        """
        longest = max((len(t.validation_curve) for trials in self._trials for t in trials), default=0)
        if longest < 2:
            return (self.results.epochs,)
        n = max(2, min(longest, _MOST_VALUES // max(1, len(self.points))))
        places = {round(longest ** (i / (n - 1))) for i in range(n)} if n < longest else set(range(1, longest + 1))
        return tuple(sorted(places | {longest}))

    @cached_property
    def history(self) -> Array:
        """The value of each cell after each of ``epochs``, shape (n_epochs, *shape): by the study's reading.

        A training that stopped early keeps its last value, and so does a dropped cell.
        """
        means = np.full((len(self.points), len(self.epochs)), math.nan)
        for i, (_, value) in self.left.items():
            means[i] = value
        if len(self.epochs) == 1:
            return np.where(np.isfinite(self.means), self.means, means[:, 0].reshape(self.shape))[None]
        places = np.array(self.epochs) - 1
        for i, trials in enumerate(self._trials):
            curves = [running(trial.validation_curve, self.results.reading, self.metric) for trial in trials]
            curves = [curve[np.minimum(places, len(curve) - 1)] for curve in curves if len(curve)]
            if curves:
                means[i] = np.mean(curves, axis=0)
        return means.T.reshape(len(self.epochs), *self.shape)

    @cached_property
    def zones_by_epoch(self) -> list[tuple[Zone, ...]]:
        """The zones that the grid stage would have found after each of ``epochs``; for the last, those it did find."""
        earlier = [self._zones(values.ravel()) for values in self.history[:-1]]
        return [*earlier, self.results.zones]

    def _zones(self, values: Array) -> tuple[Zone, ...]:
        settings = next((r.settings for r in self.results.stages if r.settings.get("kind") == "grid"), {})
        chosen = {key: settings[key] for key in ("level", "zones_min", "zones_max") if key in settings}
        cells = [
            replace(cell, values=(float(value),) * len(cell.values), n_lost=0)
            for cell, value in zip(self.cells, values, strict=True)
            if cell.values and math.isfinite(value)
        ]
        if self.space.conditional:  # each cell once
            cells = list({point(cell.params): cell for cell in cells}.values())
        return find_zones(self.space, cells, self.noise, **chosen)

    @cached_property
    def lost(self) -> list[Cell]:
        """The cells with diverged or failed trainings."""
        return [cell for cell in self.cells if cell.n_lost]

    @cached_property
    def off_grid(self) -> list[tuple[Params, float]]:
        """Points trained off the grid, and their values: inside the zones, or by a method without a grid.

        Best first; trainings with fresh seeds or another schedule are excluded.
        """
        rows: dict[str, set[Any]] = {axis.name: set(map(told_apart, axis.row())) for axis in self.space.axes}
        found: dict[Any, tuple[Params, list[float]]] = {}
        for trial in self.results.trials:
            params = trial.params
            counts = (
                len(params) == len(self.space.active(params))
                and trial.complete
                and trial.seed < FRESH
                and self.space.contains(params)
            )
            if counts and any(told_apart(value) not in rows[name] for name, value in params.items()):
                _, values = found.setdefault(trial.training.identity[0], (params, []))
                values.append(trial.value(self.results.reading))
        means = [(dict(params), math.fsum(values) / len(values)) for params, values in found.values()]
        return sorted(means, key=lambda point: -self.metric.score(point[1]))

    def places(self, zone: Zone) -> npt.NDArray[np.intp]:
        """The indices of the cells of ``zone`` in an array of shape ``shape``; shape (n_cells, n_axes)."""
        key = id(zone)
        if key not in self._places:
            rows = [{told_apart(value): i for i, value in enumerate(axis.row())} for axis in self.space.axes]
            found = [
                place
                for cell in zone.cells
                for place in product(  # an axis that does not apply is covered from end to end
                    *(
                        [row.get(told_apart(cell[axis.name]), -1)] if axis.name in cell else range(len(row))
                        for axis, row in zip(self.space.axes, rows, strict=True)
                    )
                )
            ]
            places = np.array(found, dtype=np.intp).reshape(-1, len(rows))
            self._places[key] = places[(places >= 0).all(axis=1)]
        return self._places[key]

    @cached_property
    def held_at(self) -> tuple[int, ...]:
        """The index of ``held`` in the row of each axis; 0 if it is not in the row."""
        rows: list[list[Any]] = [list(map(told_apart, axis.row())) for axis in self.space.axes]
        held = map(told_apart, self.held.values())
        return tuple(row.index(value) if value in row else 0 for row, value in zip(rows, held, strict=True))

    @cached_property
    def held(self) -> dict[str, Any]:
        """The values at which axes that are not drawn are held: the peak of the first zone, else the best cell, else
        the first row values.
        """
        if self.results.zones:
            peak: Params = self.results.zones[0].peak
        elif self.n_mapped:
            best = np.nanargmax(self.means) if self.metric.maximized else np.nanargmin(self.means)
            peak = self.cells[int(best)].params
        else:
            peak = {}
        return {axis.name: peak.get(axis.name, axis.row()[0]) for axis in self.space.axes}


def running(curve: Sequence[float], reading: Reading, metric: Metric = ACCURACY) -> Array:
    """The ``reading`` of each prefix of ``curve``, shape (len(curve),)."""
    values = np.asarray(curve, dtype=float)
    if reading.kind == "best":
        accumulated: Array = (np.maximum if metric.maximized else np.minimum).accumulate(values)
        return accumulated
    if reading.kind == "last":
        return values
    return np.array([reading(curve[: i + 1]) for i in range(len(values))])
