"""What cells are expected to be worth, and which of them are peaks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from zonesearch.core.metric import Metric
from zonesearch.core.space import Space
from zonesearch.statistics.choosing import Setting, added, copies
from zonesearch.statistics.expected import expected_scores, expecting
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.targets import Known
from zonesearch.statistics.gp.uneven import uneven
from zonesearch.statistics.noise import Cell, measure_noise
from zonesearch.statistics.zones import find_zones

AXIS = {"low": 1, "high": 64, "scale": "log", "integer": True, "row": "doubling"}
SPACE = Space.parse({"a": AXIS, "b": AXIS})
ERROR = Metric.parse({"name": "error", "direction": "minimize"})


def height(params) -> float:
    """A hill at 8 x 8."""
    return 0.9 - 0.004 * (math.log2(params["a"]) - 3) ** 2 - 0.004 * (math.log2(params["b"]) - 3) ** 2


def mapped(space=SPACE, lucky=None, n=3, sd=0.004, metric=None, **more):
    """The cells of a map of the hill, one of them with lucky seeds."""
    cells = []
    for i, params in enumerate(space.grid()):
        values = height(params) + np.random.default_rng(i).normal(0, sd, n)
        if params == lucky:
            values = values - values.mean() + 0.9035
        if metric is not None:
            values = 1 - values
        cells.append(Cell(params, tuple(values.tolist()), **({} if metric is None else {"metric": metric}), **more))
    return cells


def zones_of(space, cells):
    noise = measure_noise(cells, space)
    zones = find_zones(space, cells, noise)
    return zones, expecting(space, cells, noise, zones)


@pytest.mark.parametrize("metric", [None, ERROR], ids=["accuracy", "error"])
def test_a_lucky_cell_is_not_the_peak_where_its_neighbours_contradict_it(metric) -> None:
    lucky = {"a": 16, "b": 16}
    [zone, *_], [found, *_] = zones_of(SPACE, mapped(lucky=lucky, metric=metric))
    assert zone.peak == lucky
    assert found.peak == {"a": 8, "b": 8}
    assert found.intervals == {"a": (4, 16), "b": (4, 16)}
    assert found.value == pytest.approx(next(c.mean for c in mapped(metric=metric) if c.params == found.peak))
    assert sorted(map(str, found.cells)) == sorted(map(str, zone.cells))
    assert found.cells[0] == found.peak
    assert (found.number, found.smoothed) == (zone.number, pytest.approx(zone.smoothed))


def test_without_noise_or_with_few_cells_the_best_mean_stays_the_peak() -> None:
    lucky = {"a": 16, "b": 16}
    exact = [replace(cell, values=(cell.mean,) * 3) for cell in mapped(lucky=lucky)]
    zones, found = zones_of(SPACE, exact)
    assert found == zones
    small = Space.parse({"a": AXIS})
    cells = [Cell({"a": 2**i}, (0.9 + 0.001 * i, 0.91, 0.89)) for i in range(7)]
    assert expected_scores(small, cells, measure_noise(cells, small)) is None
    zones, found = zones_of(small, cells)
    assert found == zones


def test_a_cell_that_lost_seeds_takes_no_peak_from_one_that_lost_none() -> None:
    lucky = {"a": 16, "b": 16}
    cells = [replace(c, n_lost=1) if c.params == {"a": 8, "b": 8} else c for c in mapped(lucky=lucky)]
    _, [found, *_] = zones_of(SPACE, cells)
    assert found.peak != {"a": 8, "b": 8}


def test_cells_without_a_value_have_no_expectation_and_branches_have_theirs() -> None:
    cells = mapped()
    holes = [replace(c, values=()) if i % 5 == 0 else c for i, c in enumerate(cells)]
    scores = expected_scores(SPACE, holes, measure_noise(holes, SPACE))
    assert scores is not None
    assert [math.isnan(score) for score in scores] == [i % 5 == 0 for i in range(len(holes))]
    axes = {"kind": ["x", "y"], "a": {**AXIS, "when": {"kind": "x"}}, "b": {"low": 1, "high": 9, "row": 3}}
    branches = Space.parse(axes)
    there = [Cell(p, (0.5 + 0.01 * i, 0.5)) for i, p in enumerate(branches.grid())]
    scores = expected_scores(branches, there, measure_noise(there, branches))
    assert scores is not None
    assert all(map(math.isfinite, scores))


def test_a_map_with_more_cells_than_the_process_uses_has_a_score_everywhere() -> None:
    many = Space.parse({"a": {"low": 0.0, "high": 1.0, "row": 30}, "b": {"low": 0.0, "high": 1.0, "row": 24}})
    cells = [Cell(p, (p["a"] - p["b"] ** 2,)) for p in many.grid()]
    scores = expected_scores(many, cells, measure_noise(cells, many))
    assert scores is not None
    assert len(scores) == many.n_cells > 600
    assert max(abs(score - cell.score) for score, cell in zip(scores, cells, strict=True) if cell.score > 0.3) < 0.05


def setting(point, schedule, *scores, results=None):
    by_seed = dict(enumerate(scores))
    return Setting(point, schedule, by_seed, by_seed if results is None else results)


def test_what_a_schedule_adds_is_compared_on_the_same_seeds_and_drawn_towards_its_usual_effect() -> None:
    own = {"p": {0: 0.5, 1: 0.7, 2: 0.6}, "q": {0: 0.3, 1: 0.4, 2: 0.2}}
    settings = [
        setting("p", "constant", 0.5, 0.7, 0.6),
        setting("p", "step", 0.52, 0.70, 0.64),
        setting("q", "step", 0.31, 0.42, 0.21),
        setting("r", "step", 0.9),
    ]
    usual, here, there, unknown = added(settings, own)
    assert usual == 0.0
    means = (0.02, 0.04 / 3)
    assert here == pytest.approx(there) == pytest.approx(sum(means) / 2)  # noise explains that they differ
    assert math.isnan(unknown)
    apart = [setting("p", "step", 0.6, 0.8, 0.7), setting("q", "step", 0.2, 0.3, 0.1)]
    assert added(apart, own) == pytest.approx([0.1, -0.1])  # no noise explains this


def test_copies_are_the_same_in_every_seed_and_result() -> None:
    curve = {0: (0.5, (0.4, 0.5)), 1: (0.7, (0.7, 0.6))}
    other = {0: (0.5, (0.4, 0.5)), 1: (0.7, (0.7, 0.5))}
    settings = [
        setting("p", "constant", 0.5, 0.7, results=curve),
        setting("p", "plateau", 0.5, 0.7, results=dict(curve)),
        setting("p", "step", 0.5, 0.7, results=other),
        setting("q", "plateau", 0.5, 0.7, results=dict(curve)),
        setting("p", "lost", results={}),
        setting("p", "lost too", results={}),
    ]
    assert copies(settings) == {1}


def test_a_noisy_cliff_does_not_smooth_the_top_of_the_map() -> None:
    """Below 16 on the first axis, seeds differ by ten times as much as on the ridge, which is a single cell wide."""
    rng = np.random.default_rng(3)
    cells, top = [], {"a": 16, "b": 8}
    for params in SPACE.grid():
        noisy = params["a"] < 16
        mean = 0.6 if noisy else 0.9 - 0.006 * abs(math.log2(params["a"] * params["b"]) - 7)
        mean += 0.006 * (params == top)
        cells.append(Cell(params, tuple((mean + rng.normal(0, 0.02 if noisy else 0.002, 3)).tolist())))
    scores = expected_scores(SPACE, cells, measure_noise(cells, SPACE))
    assert scores is not None
    best = [i for i, cell in enumerate(cells) if cell.mean > 0.885]
    assert max(abs(scores[i] - cells[i].mean) for i in best) < 0.004
    assert cells[int(np.argmax(scores))].params == top


def test_noise_of_similar_ranks_counts_as_repeats() -> None:
    """Points of equal noise keep their counts; quieter ones count more, and single ones once."""
    cube = Cube(SPACE)
    points = [*SPACE.grid()][:40]
    places = [tuple(cube.point(params).tolist()) for params in points]

    def counts(spreads, n=2):
        pairs = list(zip(places, spreads, strict=True))
        values = {p: [1.0 - 0.001 * i - s, 1.0 - 0.001 * i + s][:n] for i, (p, s) in enumerate(pairs)}
        data, scale = Known(values).data(cube)
        found = uneven(data, values, {p: s * s for p, s in pairs}, scale)
        return found.counts[np.argsort(-data.means)]

    assert counts([0.0001] * 40) == pytest.approx(2.0, rel=0.1)  # not exact, for the worst values are compressed
    rising = counts([0.0001] * 20 + [0.0002] * 20)
    assert rising[:12] == pytest.approx(8.0, rel=0.1)
    assert rising[-12:] == pytest.approx(2.0, rel=0.2)
    assert counts([0.0001] * 40, n=1) == pytest.approx(1.0)
