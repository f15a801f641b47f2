"""Zones of points in any place: imported studies, searches by a sampler, runs that were cut short."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from zonesearch.core.metric import Metric
from zonesearch.core.space import Space
from zonesearch.statistics.noise import Cell, measure_noise
from zonesearch.statistics.scattered_zones import scattered_zones
from zonesearch.statistics.zones import find_zones


def points(n, n_axes, surface, sd=0.02, seed=0, **more):
    """A space of so many axes from 0 to 1, and points drawn over it."""
    rng = np.random.default_rng(seed)
    space = Space.parse({f"x{i}": {"low": 0.0, "high": 1.0} for i in range(n_axes)})
    places = rng.random((n, n_axes))
    values = [float(surface(place) + sd * rng.normal()) for place in places]
    cells = [
        Cell({f"x{i}": float(u) for i, u in enumerate(place)}, (value,), **more)
        for place, value in zip(places, values, strict=True)
    ]
    return space, cells


def hill(place):
    return 0.9 - float(((place[:2] - 0.3) ** 2).sum())


def test_a_hundred_points_in_nine_axes_show_the_zone_around_the_peak() -> None:
    space, cells = points(120, 9, hill)
    found = scattered_zones(space, cells)
    assert found.scattered
    assert found.notes == ()
    peak = found[0].peak
    assert peak in [cell.params for cell in cells]
    assert math.dist((peak["x0"], peak["x1"]), (0.3, 0.3)) < 0.25
    assert len(found[0].cells) < 30
    assert found[0].cells[0] == peak
    low, high = found[0].intervals["x0"]
    assert low <= peak["x0"] <= high


def test_two_hills_are_two_zones() -> None:
    def two(place):
        return max(math.exp(-float(((place - c) ** 2).sum()) / 0.03) for c in (np.full(2, 0.2), np.full(2, 0.8)))

    space, cells = points(150, 2, two)
    assert len(scattered_zones(space, cells)) == 2


def test_values_to_be_minimized_have_their_zone_where_they_are_low() -> None:
    space, cells = points(60, 2, lambda place: 1 - hill(place), metric=Metric("loss"))
    zone = scattered_zones(space, cells)[0]
    assert math.dist(tuple(zone.peak.values()), (0.3, 0.3)) < 0.2
    assert 0.0 < zone.value < 0.2
    turned = [Cell(c.params, (-c.values[0],)) for c in cells]
    other = scattered_zones(space, turned)[0]
    assert other.cells == zone.cells
    assert other.value == -zone.value


def test_too_few_points_say_how_many_more_would_show_a_zone() -> None:
    space, cells = points(6, 4, hill)
    found = scattered_zones(space, cells)
    assert len(found) == 0
    assert found.notes == (
        "6 points with a value are too few for a zone; about 34 more trials would probably show a zone",
    )
    assert len(scattered_zones(space, [])) == 0


def test_pure_chance_shows_no_zone() -> None:
    n = 25
    shown = sum(len(scattered_zones(*points(60, 5, lambda place: 0.0, 1.0, seed))) > 0 for seed in range(n))
    assert shown <= 4
    found = scattered_zones(*points(60, 5, lambda place: 0.0, 1.0, 3))
    assert "more trial" in found.notes[0]


def test_a_conditional_study_shows_its_zones_branch_by_branch() -> None:
    rng = np.random.default_rng(0)
    space = Space.parse(
        {
            "kind": ["svm", "forest"],
            "c": {"low": 0.01, "high": 100.0, "scale": "log"},
            "depth": {"low": 2, "high": 32, "scale": "log"},
        }
    )
    cells = []
    for _ in range(60):
        c, depth = float(np.exp(rng.uniform(np.log(0.01), np.log(100)))), int(rng.integers(2, 33))
        cells.append(Cell({"kind": "svm", "c": c}, (0.9 - 0.02 * math.log10(c) ** 2 + 0.002 * rng.normal(),)))
        cells.append(
            Cell({"kind": "forest", "depth": depth}, (0.8 - 0.02 * math.log2(depth / 8) ** 2 + 0.002 * rng.normal(),))
        )
    found = scattered_zones(space, cells)
    assert [set(zone.peak) for zone in found] == [{"kind", "c"}, {"kind", "depth"}]
    assert [zone.number for zone in found] == [1, 2]
    assert 0.3 < found[0].peak["c"] < 3
    assert set(found[1].intervals) == {"kind", "depth"}
    few = scattered_zones(space, [*cells[:40], Cell({"kind": "svm", "c": 1.0, "depth": 3}, (0.5,))])
    assert any(note.startswith("Among the points with kind, c, depth, one point with a value") for note in few.notes)


def test_order_and_repeats_change_nothing_they_should_not() -> None:
    space, cells = points(80, 3, hill)
    shuffled = cells.copy()
    random.Random(1).shuffle(shuffled)
    assert scattered_zones(space, shuffled).zones == scattered_zones(space, cells).zones
    apart = [Cell(c.params, (v,)) for c in cells for v in (c.values[0], c.values[0] + 0.01)]
    together = [Cell(c.params, (c.values[0], c.values[0] + 0.01)) for c in cells]
    assert scattered_zones(space, apart).zones == scattered_zones(space, together).zones


def test_points_without_a_value_count_as_bad_and_are_no_cells() -> None:
    space, cells = points(80, 2, hill)
    lost = [Cell(c.params, (), n_lost=1) if c.params["x0"] > 0.6 else c for c in cells]
    found = scattered_zones(space, lost)
    known = [c.params for c in lost if c.values]
    assert all(params in known for zone in found for params in zone.cells)


def test_thousands_of_points_are_thinned() -> None:
    space, cells = points(3000, 6, hill)
    zone = scattered_zones(space, cells)[0]
    assert math.dist((zone.peak["x0"], zone.peak["x1"]), (0.3, 0.3)) < 0.2
    assert all(params in [c.params for c in cells] for params in zone.cells[:3])


def test_a_zone_names_its_cheapest_point() -> None:
    space, cells = points(60, 2, hill, sd=0.05)
    costly = [Cell(c.params, c.values, n_parameters=int(1000 * c.params["x0"]) + 1) for c in cells]
    zone = scattered_zones(space, costly)[0]
    assert zone.cheapest in zone.cells
    assert zone.cheapest["x0"] == min(params["x0"] for params in zone.cells)


@pytest.mark.parametrize("unit", [1e-120, 1e-14, 1e90])
def test_scattered_zones_are_the_same_in_whatever_unit_values_are(unit: float) -> None:
    metric = Metric("gain")
    space, cells = points(60, 3, hill, metric=metric)
    scaled = [Cell(cell.params, (cell.values[0] * unit,), metric=metric) for cell in cells]
    plain, other = scattered_zones(space, cells), scattered_zones(space, scaled)
    assert plain.zones
    assert [zone.cells for zone in other] == [zone.cells for zone in plain]
    assert other[0].value == pytest.approx(plain[0].value * unit, rel=1e-6)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_find_zones_takes_points_that_lie_anywhere(direction: str) -> None:
    metric = Metric("score", direction)
    surface = hill if metric.maximized else lambda place: -hill(place)
    space, cells = points(60, 3, surface, metric=metric)
    found = find_zones(space, cells, measure_noise(cells, space))
    assert found == scattered_zones(space, cells).zones
    assert found
    assert math.dist((found[0].peak["x0"], found[0].peak["x1"]), (0.3, 0.3)) < 0.25
    assert len(find_zones(space, cells, measure_noise(cells), zones_max=1)) == 1
    assert find_zones(space, cells[:3], measure_noise(cells[:3])) == ()


def test_find_zones_reads_a_part_of_a_grid_as_a_grid() -> None:
    space = Space.parse({name: {"low": 0.0, "high": 1.0, "row": 6} for name in ("x", "y")})
    rng = np.random.default_rng(0)
    cells = [
        Cell(params, tuple(hill(np.array(list(params.values()))) + 0.01 * rng.normal(size=3)))
        for i, params in enumerate(space.grid())
        if i % 5
    ]
    [zone, *_] = find_zones(space, cells, measure_noise(cells, space))
    assert math.dist(tuple(zone.peak.values()), (0.3, 0.3)) < 0.3
    beyond = [*cells, Cell({"x": 0.37, "y": 0.31}, (0.9, 0.91, 0.89))]
    assert {"x": 0.37, "y": 0.31} in [
        cell for zone in find_zones(space, beyond, measure_noise(beyond)) for cell in zone.cells
    ]
