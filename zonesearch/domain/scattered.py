"""Points that somebody else chose: whether they make a grid, and the cells that they are.

A grid search leaves points that fill the product of a few values on each axis; a sampler leaves points that share
nothing. Which of the two a search was is read off its points, without ever listing a product that they do not fill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zonesearch.domain.noise import Cell
from zonesearch.domain.reading import BEST, Reading
from zonesearch.domain.space import Space
from zonesearch.domain.trials import Trial

__all__ = ["cells_of_trials", "fills_grid", "on_grid"]

_LEAST_KNOWN = 0.5
"""The share of a grid's cells that has to be known before its holes are holes and not most of it."""


def cells_of_trials(trials: Iterable[Trial], reading: Reading = BEST) -> list[Cell]:
    """One cell per set of parameters, in the order in which they come; all trials of a set are its seeds."""
    groups: dict[Any, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.training.identity[0], []).append(trial)
    return [_cell(found, reading) for found in groups.values()]


def _cell(trials: Sequence[Trial], reading: Reading) -> Cell:
    complete = [trial for trial in trials if trial.complete]
    return Cell(
        dict(trials[0].params),
        tuple(trial.value(reading) for trial in complete),
        next((trial.n_validation for trial in complete if trial.n_validation), None),
        next((trial.n_parameters for trial in complete if trial.n_parameters is not None), None),
        len(trials) - len(complete),
    )


def fills_grid(n_values: Iterable[int], n_points: int) -> bool:
    """Whether ``n_points`` different points are most of the product of so many values on each axis."""
    n_cells = 1
    for n in n_values:
        n_cells *= n
        if n_cells * _LEAST_KNOWN > n_points:
            return False
    return n_points > 0


def on_grid(space: Space, cells: Iterable[Cell]) -> bool:
    """Whether the cells with a value are most of the grid that the rows of ``space`` make, and all of them lie on it.

    A cell that lacks an axis (a parameter that was not suggested there) lies on no grid.
    """
    rows: Mapping[str, set[Any]] = {axis.name: set(axis.row()) for axis in space.axes}
    known = [cell.params for cell in cells if cell.values]
    if not fills_grid((len(row) for row in rows.values()), len(known)):
        return False
    return all(set(params) == set(rows) and all(v in rows[n] for n, v in params.items()) for params in known)
