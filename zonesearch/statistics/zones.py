"""Zones of any set of points: from the cells of a grid if they form one, else from a Gaussian process.

A grid's cells have neighbours to be compared with (:mod:`zonesearch.statistics.grid_zones`); scattered points, from an
imported study or a sampler, have none (:mod:`zonesearch.statistics.scattered_zones`).
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
        space: its grid values define the grid and which of its cells touch.
        cells: in any order; cells without a value and infeasible cells belong to no zone.
        noise: noise of the map. Scattered points are compared by the Gaussian process, which estimates its own noise.
        level: the probability that the truly best cell lies in a zone; see
            :func:`zonesearch.statistics.grid_zones.grid_zones`.
        zones_min: on a grid, keep at least this many of the best zones, if they exist, even those significantly worse
            than the best.
        zones_max: keep at most this many.

    Returns:
        The zones, best first, numbered from 1; empty if no cell has a value or scattered points show no zone.
    """
    if on_rows(space, cells):
        return grid_zones(space, cells, noise, level=level, zones_min=zones_min, zones_max=zones_max)
    from zonesearch.statistics.scattered_zones import scattered_zones  # loads scipy, which a grid does not need

    zones = scattered_zones(space, cells, level=level, zones_max=zones_max).zones
    return zones[:zones_max]  # for all branches together
