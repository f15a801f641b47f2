"""The map of a search: its cells, their noise and the zones found in them, passed on as one object.

Stages after the grid use the grid's results from here and measure nothing again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.space import Space
from zonesearch.core.values import Params
from zonesearch.statistics.grid_zones import Zone, grid_zones
from zonesearch.statistics.noise import Cell, Gap, Noise, preferred, t_quantile

__all__ = ["Limit", "Map"]

_NEAR = 24  # number of best cells: those that may or may not belong to a zone


@dataclass(frozen=True)
class Limit:
    """What limits how sharp a map is: two cells near the best differ significantly only by more than this.

    Args:
        seeds: half-width of the interval of such a difference due to noise between seeds; ``examples`` that due to the
            finite validation set, NaN if it is not known which examples were right.
        n_validation: number of validation examples; None when unknown.
        metric: the metric whose unit they have.
        measured: whether any cell was repeated; if not, both parts are guesses, and the part of the examples includes
            what is redrawn with each seed.
        some: whether it is known for some cells, but not for all, which examples were right.
    """

    seeds: float
    examples: float
    n_validation: int | None
    metric: Metric = ACCURACY
    measured: bool = True
    some: bool = False

    @property
    def by_examples(self) -> bool:
        """Whether the validation examples are the larger part."""
        return self.examples > self.seeds

    @property
    def sentence(self) -> str:
        """Which part limits the map, or what is not known about it; empty if nothing limits it."""
        if math.isnan(self.seeds) or (self.seeds == 0.0 and not self.examples > 0.0 and self.n_validation is None):
            return ""
        seeds = _amount(self.seeds, self.metric)
        if not self.measured:
            return (
                "No cell was repeated, so the noise between seeds is only guessed from neighbouring cells "
                f"(±{seeds}): more seeds will sharpen this map."
            )
        if self.n_validation is None:
            return (
                f"The noise between seeds limits this map to ±{seeds}; only numbers are known, and no examples behind "
                "them, so the zones count that noise alone."
            )
        n = f"{self.n_validation:,}"
        if math.isnan(self.examples):
            of = " of every cell" if self.some else ""
            which = f"which of the {n} validation examples were right was not recorded{of}"
            which += ", so the zones hold for these examples."
            if self.seeds == 0.0:
                return f"Repeats gave the same values; {which}"
            return f"The noise between seeds limits this map to ±{seeds}; {which}"
        if self.seeds == self.examples == 0.0:
            return ""
        examples = _amount(self.examples, self.metric)
        if self.examples == 0.0:
            return (
                f"More validation examples will not sharpen this map: the noise between seeds limits it to ±{seeds}, "
                f"and the choice of its {n} examples adds nothing."
            )
        if self.by_examples:
            return (
                f"More seeds will not sharpen this map: {n} validation examples limit it to ±{examples} "
                f"(the seeds to ±{seeds})."
            )
        return (
            f"More validation examples will not sharpen this map: the noise between seeds limits it to ±{seeds} "
            f"({n} examples to ±{examples})."
        )


def _amount(difference: float, metric: Metric) -> str:
    if metric.is_share:
        return f"{100 * difference:.2g} points"
    return f"{difference:.2g} {metric.unit}".rstrip()


@dataclass(frozen=True)
class Map(Sequence[Zone]):
    """A map; as a sequence, its zones.

    Args:
        space: its grid values define the cells.
        cells: cells of the grid, the last axis changing fastest; without a value if no training completed, or if the
            cell was dropped before full length. Arbitrary points if the map is ``scattered``.
        noise: of the map.
        zones: best first.
        level: at which two cells count as different.
        epochs: the length of the trainings.
        n_seeds: number of seeds planned per cell.
        left: cells dropped at a rung, by index: the number of epochs they had, and the cell at that time.
        zones_min, zones_max: how many zones are kept (see :func:`zonesearch.statistics.grid_zones.grid_zones`).
        scattered: whether the cells are arbitrary points of the space.
        notes: sentences about it that the user should read.
    """

    space: Space
    cells: tuple[Cell, ...]
    noise: Noise
    zones: tuple[Zone, ...]
    level: float = 0.95
    epochs: int = 1
    n_seeds: tuple[int, ...] = ()
    left: Mapping[int, tuple[int, Cell]] = field(default_factory=dict)
    zones_min: int = 1
    zones_max: int = 5
    scattered: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.zones)

    def __iter__(self) -> Iterator[Zone]:
        return iter(self.zones)

    @overload
    def __getitem__(self, at: int) -> Zone: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Zone, ...]: ...
    def __getitem__(self, at: int | slice) -> Zone | tuple[Zone, ...]:
        return self.zones[at]

    def found(self) -> dict[str, Any]:
        """The fields of the search results that it fills."""
        return {"map": self, "zones": self.zones}

    @property
    def metric(self) -> Metric:
        """The metric of the cells' values."""
        return next((cell.metric for cell in self.cells if cell.values), ACCURACY)

    @cached_property
    def best(self) -> Cell | None:
        """The feasible cell with the best mean; None if there is none."""
        return max(
            (cell for cell in self.cells if cell.values and cell.feasible), key=lambda cell: cell.score, default=None
        )

    @property
    def others(self) -> tuple[Params, ...]:
        """The cells with a value, best mean first; after the feasible ones the others, least violation first."""
        alive = (cell for cell in self.cells if cell.values)
        return tuple(cell.params for cell in sorted(alive, key=preferred))

    def zones_of(self, cells: Sequence[Cell]) -> tuple[Zone, ...]:
        """The zones of these cells with other values and the same noise, for example after fewer epochs."""
        return grid_zones(
            self.space, cells, self.noise, level=self.level, zones_min=self.zones_min, zones_max=self.zones_max
        )

    @cached_property
    def limit(self) -> Limit:
        """What limits how sharp it is: the median over the best cells, each against the very best."""
        known = sorted((cell for cell in self.cells if cell.values), key=lambda cell: -cell.score)[: _NEAR + 1]
        n_validation = next((cell.n_validation for cell in known if cell.n_validation), None)
        measured, some = self.noise.source == "seeds", any(cell.right for cell in known)
        if len(known) < 2 or self.noise.source == "none" or (self.scattered and not measured):
            return Limit(math.nan, math.nan, n_validation, self.metric)
        gaps = [self.noise.gap(known[0], cell) for cell in known[1:]]
        answered = all(cell.right for cell in known)
        seeds, examples = (float(np.median([_half(gap, part, self.level) for gap in gaps])) for part in _PARTS)
        return Limit(
            seeds, examples if answered else math.nan, n_validation, self.metric, measured, some and not answered
        )


_PARTS = ("seeds", "examples")


def _half(gap: Gap, part: str, level: float) -> float:
    """Half-width of the interval of the difference if this were the only source of noise."""
    return t_quantile(level, gap.degrees) * math.sqrt(getattr(gap, part))
