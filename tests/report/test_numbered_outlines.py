"""Every outline that a picture of the map shows bears the number of its zone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.report.made import SPACE, searched
from zonesearch import Training, Trial
from zonesearch.report.figures.look import edges
from zonesearch.report.figures.map import map_frame
from zonesearch.report.figures.view import views_of
from zonesearch.report.map_summary import MapSummary

CUBE = {**SPACE, "rate": {"low": 0.1, "high": 0.4, "scale": "log", "row": "doubling"}}


def diagonal(training: Training) -> Trial:
    """Good where width and batch double together: cells that touch at their corners only."""
    steps = round(math.log2(training.params["width"] / training.params["batch"]))
    tilted = round(math.log2(training.params.get("rate", 0.1) / 0.1))
    good = 0.9 if steps - tilted == 2 else 0.6
    value = good + 0.004 * float(np.random.default_rng(training.seed).normal())
    return Trial(training, accuracy=value, curve={"validation_accuracy": [value] * training.epochs})


@pytest.mark.parametrize("space", [SPACE, CUBE], ids=["two axes", "three axes"])
def test_each_outline_bears_the_number_of_its_zone(space: dict) -> None:
    summary = MapSummary(searched(space, train=diagonal, epochs=1))
    [zone] = summary.results.zones
    assert len(zone.cells) >= 7
    n_apart = 0
    for view in views_of(summary):
        frame = map_frame(view, -1)
        ex, ey = edges(view.px), edges(view.py)
        corners = list(zip(*frame["corners"], strict=True))
        badges = [(ex.index(x), ey.index(y) - 1) for x, y in corners]
        assert frame["badges"] == ["1"] * len(badges)
        left = view.zone_cells(zone)
        n_pieces = 0
        while left:
            piece = {left.pop()}
            while more := {c for c in left if any(abs(c[0] - i) + abs(c[1] - j) == 1 for i, j in piece)}:
                piece |= more
                left -= more
            assert len(piece & set(badges)) == 1
            n_pieces += 1
        assert len(badges) == n_pieces
        n_apart += n_pieces - 1
    assert n_apart >= 6
