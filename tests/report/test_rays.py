"""The picture of rays holds every ray and the means."""

from __future__ import annotations

import pytest

from zonesearch.report.rays import rays_figure


def test_rays_figure_has_every_ray_and_one_mean_a_solution() -> None:
    figure = rays_figure([0, 1], {"SGD": [[0.1, 0.3], [0.1, 0.5]], "SWA": [[0.1, 0.2]]})
    assert len(figure.data) == 3 + 2
    means = {trace.name: list(trace.y) for trace in figure.data if trace.name}
    assert means["SGD"] == pytest.approx([10, 40])
    assert means["SWA"] == pytest.approx([10, 20])
