"""Figures of learning rates hold the numbers they are given."""

from __future__ import annotations

import numpy as np

from zonesearch.report.learning_rates import range_figure, schedule_figure
from zonesearch.statistics.lr_range import read_sweep, sweep_rates


def test_schedule_figure_has_a_point_for_every_step() -> None:
    figure = schedule_figure([0.1, 0.1, 0.05, 0.05], 2, "step")
    assert list(figure.data[0].x) == [0, 0.5, 1, 1.5]
    assert list(figure.data[0].y) == [0.1, 0.1, 0.05, 0.05]


def test_range_figure_shows_every_seed_and_marks_what_was_found() -> None:
    rates = sweep_rates(1e-5, 1, 80)
    losses = 2.3 - 2 / (1 + np.exp(-6 * (np.log10(rates) + 2)))
    test = read_sweep(rates, [losses, losses + 0.01])
    figure = range_figure(test)
    assert len(figure.data) == 3
    assert list(figure.data[2].y) == list(test.smoothed)
    marks = {shape.x0 for shape in figure.layout.shapes}
    assert marks == {test.suggestion, test.low}
