"""Coarser rows and example cells of spaces with conditions and constraints: what they give belongs to the space."""

from __future__ import annotations

import pytest

from zonesearch import Space
from zonesearch.core.coarse import coarser, example_cells

NARROW = {"low": 1, "high": 64, "scale": "log"}
SPACES = {
    "plain": Space.parse({f"x{i}": NARROW for i in range(6)}),
    "conditional": Space.parse(
        {"opt": ["sgd", "adam"], "momentum": {"low": 0.0, "high": 0.9, "when": {"opt": "sgd"}}}
        | {f"x{i}": NARROW for i in range(5)}
    ),
    "constrained": Space.parse({f"x{i}": NARROW for i in range(6)}, ["x0 * x1 <= 64", "x2 != 8"]),
}


@pytest.mark.parametrize("kind", SPACES)
def test_example_cells_are_different_cells_of_the_space(kind: str) -> None:
    space = SPACES[kind]
    cells = list(example_cells(space, 300))
    assert 20 <= len(cells) <= 320
    assert len({tuple(sorted(cell.items())) for cell in cells}) == len(cells)
    assert all(space.contains(cell) for cell in cells)


@pytest.mark.parametrize("kind", SPACES)
def test_coarser_rows_keep_conditions_and_constraints(kind: str) -> None:
    space = SPACES[kind]
    few = coarser(space, 200)
    assert 1 <= few.n_cells <= 200
    assert all(space.contains(cell) for cell in few.grid())
