"""The searches by which the choice of peaks and finalists is measured."""

from __future__ import annotations

import pytest

from zonesearch.core.trials import Training
from zonesearch.search.stages.polish import SCHEDULES


def test_the_truth_of_a_cell_is_that_of_its_seeds_and_between_cells_it_is_interpolated() -> None:
    from benchmarks.choosing import Surface

    surface = Surface("mnist_full", smooth=False)
    cells = surface.map.cells
    for k in (0, 24, 48):
        assert surface.truth(cells[k].params) == (pytest.approx(surface.map.means[k]), k)
    best = cells[int(surface.means.argmax())].params
    assert surface.lacks(best) == 0
    assert surface.lacks({**best, "schedule": SCHEDULES[1]}, on_validation=True) == pytest.approx(0.2)
    low, middle, high = (surface.truth({"width": w, "batch": 16})[0] for w in (128, 152, 181))
    assert min(low, high) < middle < max(low, high)


def test_a_copy_has_the_values_of_the_constant_rate_and_draws_differ() -> None:
    from benchmarks.choosing import Surface

    surface = Surface("mnist_full", smooth=False)
    params = {"width": 512, "batch": 64}
    value, copy, other = (
        surface.answer(Training({**params, **more}, 1000, 40, test=True), 7)
        for more in ({}, {"schedule": SCHEDULES[3]}, {"schedule": SCHEDULES[1]})
    )
    assert (copy.accuracy, copy.test_accuracy) == (value.accuracy, value.test_accuracy)
    assert other.accuracy != value.accuracy
    assert surface.answer(Training(params, 1000, 40), 8).accuracy != value.accuracy


def test_the_times_of_workers_become_a_table_with_their_efficiency() -> None:
    from benchmarks.workers import Times, markdown

    table = markdown({("this", 1): [Times(2, 40, 40)] * 3, ("this", 2): [Times(2, 25, 44)] * 3})
    assert (
        "| this | 2 | 3 | 2.00 s (2.00 to 2.00) | 25.00 s (25.00 to 25.00) | 44.00 s (44.00 to 44.00) | 80% |" in table
    )
