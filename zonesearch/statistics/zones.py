"""Zones of any set of points: read off the cells of a grid where they make one, else off a Gaussian process.

A grid's cells have neighbours to be compared with (:mod:`zonesearch.statistics.grid_zones`); points that lie anywhere,
as an imported study or a sampler leaves them, have none (:mod:`zonesearch.statistics.scattered_zones`).
"""

from __future__ import annotations

from collections.abc import Sequence

from zonesearch.core.space import Space
from zonesearch.statistics.grid_zones import Zone, Zones, bordering, grid_zones, level_inwards, on_rows, peak_zone
from zonesearch.statistics.noise import Cell, Noise

__all__ = ["Zone", "Zones", "bordering", "find_zones", "level_inwards", "peak_zone"]


def find_zones(
    space: Space, cells: Sequence[Cell], noise: Noise, *, level: float = 0.95, zones_min: int = 1, zones_max: int = 5
) -> tuple[Zone, ...]:
    """The zones of ``cells``, wherever they lie.

    Args:
        space: whose rows say what a grid is, and which of its cells touch.
        cells: in any order; those without a value, or that violate what a training reported, are no cells of a zone.
        noise: of the map. Points that are on no grid are compared by the Gaussian process, which has noise of its own.
        level: the probability that the truly best cell lies in a zone; see
            :func:`zonesearch.statistics.grid_zones.grid_zones`.
        zones_min: of a grid keep so many of the best zones (where there are as many), even when significantly worse
            than the best.
        zones_max: never more than this.

    Returns:
        The zones, best first, numbered from 1; empty when no cell has a value, or where scattered points show none.
    """
    if on_rows(space, cells):
        return grid_zones(space, cells, noise, level=level, zones_min=zones_min, zones_max=zones_max)
    from zonesearch.statistics.scattered_zones import scattered_zones  # scipy, which a grid does not need

    zones = scattered_zones(space, cells, level=level, zones_max=zones_max).zones
    return zones[:zones_max]  # those of all branches together
