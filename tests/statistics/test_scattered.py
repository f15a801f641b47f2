"""Whether points that somebody else chose fill a grid."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.statistics.scattered import cells_of_trials, fills_grid, on_grid

SPACE = Space.parse({"x": [1, 2, 3], "k": ["a", "b"]})


def trials(points, seeds=1):
    return Trials(Trial(Training(p, s), accuracy=0.5 + s / 10) for p in points for s in range(seeds))


def grid():
    return [{"x": x, "k": k} for x, k in product([1, 2, 3], "ab")]


def test_all_trials_of_a_point_are_its_seeds() -> None:
    made = trials(grid(), 2) | Trials([Trial(Training({"x": 1, "k": "a"}, 2), "pruned")])
    cells = cells_of_trials(made)
    assert len(cells) == 6
    assert {cell.values for cell in cells} == {(0.5, 0.6)}
    assert sum(cell.n_lost for cell in cells) == 1


@pytest.mark.parametrize(("n", "fills"), [(6, True), (3, True), (2, False), (0, False)])
def test_a_grid_may_have_holes_but_not_more_holes_than_cells(n: int, fills: bool) -> None:
    assert on_grid(SPACE, cells_of_trials(trials(grid()[:n]))) is fills


@pytest.mark.parametrize("stranger", [{"x": 1.5, "k": "a"}, {"x": 1}, {"x": 1, "k": "a", "z": 0}])
def test_a_point_beside_the_grid_makes_it_scattered(stranger) -> None:
    assert not on_grid(SPACE, cells_of_trials(trials([*grid(), stranger])))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(0, 10_000))
def test_fills_grid_is_the_product_without_listing_it(n_values, n_points) -> None:
    n_cells = 1
    for n in n_values:
        n_cells *= n
    assert fills_grid(n_values, n_points) == (n_points > 0 and n_points >= n_cells / 2)
