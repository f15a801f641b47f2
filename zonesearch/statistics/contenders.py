"""Which cells of a map get more seeds: those that may belong to a zone.

With a single seed everywhere, the noise is an estimate that the curvature of the surface inflates. So a few of the best
cells are repeated first, which measures the noise where it matters. Then every cell that may still belong to a zone
gets one more seed, until all of these have the number for zones. Cells that were merely lucky drop out on the way,
instead of getting three seeds like everything else.
"""

from __future__ import annotations

from collections.abc import Mapping

from zonesearch.core.seeds import Seeds
from zonesearch.statistics.rungs import Rung

__all__ = ["more_seeds"]

_HANDFUL = 8  # cells that are repeated first, to measure the noise; fewer for a small map
_SHARE = 4  # at most one cell in this many, but at least four


def more_seeds(rung: Rung, seeds: Mapping[int, int], wish: Seeds, most: int | None = None) -> dict[int, int]:
    """The seeds that a map needs next.

    Args:
        rung: the map as it is, with more zones than are kept, since their rank is not settled yet.
        seeds: what its cells were asked for, by their index.
        wish: what cells are to have.
        most: seeds beyond the first that all cells together may be asked for; None for as many as are needed.

    Returns:
        The new number of seeds of the cells that get more; empty at the end.
    """
    noise = rung.noise
    if noise.source == "seeds" and noise.seed_variance == 0.0:
        return {}  # all repeats are equal: there is no noise to measure
    alive = sorted((i for i, cell in rung.cells.items() if cell.values), key=lambda i: (-rung.cells[i].score, i))
    handful = alive[: min(_HANDFUL, max(4, len(alive) // _SHARE))]
    if all(n == wish.first for n in seeds.values()):
        return dict.fromkeys(handful if most is None else handful[:most], wish.first + 1)
    inside = {_identity(cell) for zone in (*rung.zones, *rung.maybe) for cell in zone.cells}
    wanted = [i for i in alive if _identity(rung.cells[i].params) in inside]
    more = {i: seeds[i] + 1 for i in wanted if seeds[i] < wish.zone}
    if most is None:
        return more
    spent = sum(n - wish.first for n in seeds.values())
    return dict(list(more.items())[: max(0, most - spent)])


def _identity(params: Mapping[str, object]) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(params.items()))
