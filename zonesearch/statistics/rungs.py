"""Rungs: a map trained in steps, after each of which only cells that may still belong to a zone continue.

After each rung the zones of the map so far are computed. Their cells and those touching a peak continue; the others are
dropped and keep the values of the epochs they had. A later peak that touches a dropped cell resumes it, and so on
uphill, so every peak of the last map is surrounded by cells trained as long as itself. (Successive halving, Jamieson &
Talwalkar 2016, keeps a share of the points; here the noise of the map says how many stay.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.statistics.agreement import MapAgreement, compare_maps
from zonesearch.statistics.noise import Cell, Noise
from zonesearch.statistics.zones import Zone

__all__ = ["Rung", "agreements", "rungs_notes"]


@dataclass(frozen=True)
class Rung:
    """The map after a given number of epochs.

    Args:
        epochs: length of all its trainings.
        cells: by index in the grid, those that reached this rung.
        noise: of this map.
        zones: of this map.
        maybe: more zones than are kept, whose cells are candidates for more seeds.
    """

    epochs: int
    cells: dict[int, Cell]
    noise: Noise
    zones: tuple[Zone, ...]
    maybe: tuple[Zone, ...] = ()

    def in_zone(self, i: int) -> bool:
        """Whether the cell with this index lies in a zone."""
        own = dict(self.cells[i].params)
        return any(own == dict(cell) for zone in self.zones for cell in zone.cells)


def agreements(rungs: Sequence[Rung], level: float, metric: Metric = ACCURACY) -> list[MapAgreement]:
    """Each map but the last against the next, over the cells of both."""
    found = []
    for early, late in pairwise(rungs):
        shared = sorted(early.cells.keys() & late.cells.keys())
        found.append(
            compare_maps(
                [early.cells[i] for i in shared],
                [late.cells[i] for i in shared],
                (early.noise, late.noise),
                (early.epochs, late.epochs),
                [late.in_zone(i) for i in shared],
                metric,
                level=level,
            )
        )
    return found


def rungs_notes(rungs: Sequence[Rung], epochs_saved: float, level: float, metric: Metric = ACCURACY) -> tuple[str, ...]:
    """How many cells continued, the fraction of work saved, and where an early map was not yet right."""
    found = agreements(rungs, level, metric)
    went = ", ".join(f"{len(late.cells)} of {len(rungs[0].cells)} cells to {late.epochs} epochs" for late in rungs[1:])
    ranks = ", ".join(
        f"{a.early} to {a.late}: {'none' if math.isnan(a.spearman) else f'{a.spearman:.2f}'}" for a in found
    )
    notes = [f"{went} ({100 * epochs_saved:.0f} % of the epochs saved); rank correlation from {ranks}."]
    misled = [agreement.sentence for agreement in found if agreement.misled]
    if misled:
        notes += [*misled, "Zones may have been missed: raise the first rung, or train the map without rungs."]
    return tuple(notes)
