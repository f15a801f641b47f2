from __future__ import annotations

import math

import numpy as np
import pytest

from zonesearch.statistics.agreement import compare_maps, rank_correlations
from zonesearch.statistics.noise import Cell, Noise

NOISE = Noise(1e-4, 50, "seeds")  # a standard deviation of 0.01


def cells(means):
    return [Cell({"x": i}, (float(mean),)) for i, mean in enumerate(means)]


def held(early, late, in_zones=None):
    inside = in_zones or [mean == max(late) for mean in late]
    return compare_maps(cells(early), cells(late), (NOISE, NOISE), (5, 20), inside)


def test_the_same_order_does_not_mislead() -> None:
    found = held([0.1, 0.3, 0.5, 0.7], [0.5, 0.7, 0.8, 0.9])
    assert (found.spearman, found.n_apart, found.n_turned) == (pytest.approx(1.0), 6, 0)
    assert not found.misled
    assert found.sentence == ""


def test_the_opposite_order_misleads_and_says_in_which_way() -> None:
    found = held([0.7, 0.5, 0.3, 0.1], [0.5, 0.7, 0.8, 0.9])
    assert (found.spearman, found.n_turned) == (pytest.approx(-1.0), 6)
    assert "after 5 epochs was not yet reliable" in found.sentence
    assert "x 0" in found.sentence
    assert "of 6 pairs of cells that differ significantly in both maps 6 changed places" in found.sentence
    assert "rank correlation -1.00 over 4 cells" in found.sentence


def test_a_plateau_in_another_order_does_not_mislead() -> None:
    rng = np.random.default_rng(3)
    early, late = rng.normal(0.9, 0.005, 20), rng.normal(0.95, 0.005, 20)
    found = held(early, late, [True] * 20)
    assert abs(found.spearman) < 0.6
    assert found.n_apart <= 3
    assert not found.misled


def test_a_incumbent_outside_the_later_zones_misleads() -> None:
    found = held([0.5, 0.9, 0.7, 0.1, 0.2], [0.7, 0.8, 0.9, 0.3, 0.4])
    assert found.n_turned <= 0.1 * found.n_apart or found.n_turned == 1
    assert not found.incumbent_stayed
    assert found.misled
    assert "is not in a zone after 20" in found.sentence


def test_cells_without_a_value_and_empty_maps_say_nothing() -> None:
    lost = [Cell({"x": 0}, ()), *cells([0.5, 0.6])]
    found = compare_maps(lost, lost, (NOISE, NOISE), (1, 2), [False, True, True])
    assert (found.n_cells, found.misled) == (2, False)
    empty = compare_maps([], [], (NOISE, NOISE), (1, 2), [])
    assert (empty.n_cells, empty.misled) == (0, False)
    assert math.isnan(empty.spearman)


def test_rank_correlations_of_constant_or_tiny_maps_are_nan() -> None:
    assert all(map(math.isnan, rank_correlations(np.ones(5), np.arange(5.0))))
    assert all(map(math.isnan, rank_correlations(np.arange(2.0), np.arange(2.0))))
    assert rank_correlations(np.arange(5.0), np.arange(5.0)) == (pytest.approx(1.0), pytest.approx(1.0))
