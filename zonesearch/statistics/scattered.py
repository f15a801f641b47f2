"""Points chosen elsewhere: whether they form a grid, and their cells.

A grid search leaves points that fill the product of a few values on each axis; a sampler leaves points that share no
values. Which of the two a search was is determined from its points, without ever listing a product that they do not
fill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from zonesearch.core.reading import BEST, Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trials
from zonesearch.statistics.noise import Cell, cell_of

__all__ = ["cells_of_trials", "fills_grid", "on_grid"]

_LEAST_KNOWN = 0.5
"""The fraction of a grid's cells that must be known for the points to count as a grid with holes."""


def cells_of_trials(trials: Trials, reading: Reading = BEST) -> list[Cell]:
    """One cell per set of parameters, in order of first appearance; all trials of a set are its seeds."""
    groups: dict[Any, list[Training]] = {}
    for trial in trials:
        groups.setdefault(trial.training.identity[0], []).append(trial.training)
    return [cell_of(seeds[0].params, seeds, trials, reading) for seeds in groups.values()]


def fills_grid(n_values: Iterable[int], n_points: int) -> bool:
    """Whether ``n_points`` different points fill most of the product of these numbers of values per axis."""
    n_cells = 1
    for n in n_values:
        n_cells *= n
        if n_cells * _LEAST_KNOWN > n_points:
            return False
    return n_points > 0


def on_grid(space: Space, cells: Iterable[Cell]) -> bool:
    """Whether the cells with a value all lie on the grid of ``space`` and fill most of it.

    A cell without a value on some axis (a parameter that was not suggested there) is not on the grid.
    """
    rows: Mapping[str, set[Any]] = {axis.name: set(axis.row()) for axis in space.axes}
    known = [cell.params for cell in cells if cell.values]
    if not fills_grid((len(row) for row in rows.values()), len(known)):
        return False
    return all(set(params) == set(rows) and all(v in rows[n] for n, v in params.items()) for params in known)
