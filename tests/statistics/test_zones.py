from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import surfaces
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from zonesearch import Space
from zonesearch.core.metric import Metric
from zonesearch.statistics.noise import Cell, Noise, measure_noise
from zonesearch.statistics.zones import Zone, find_zones

SPACE = Space.parse(surfaces.SPACE)


def mapped(surface: surfaces.Surface, n_seeds: int = 1, space: Space = SPACE, **more: Any) -> list[Cell]:
    return [Cell(p, tuple(surface(p, s, 1) for s in range(n_seeds)), **more) for p in space.grid()]


def peaks(zones: tuple[Zone, ...]) -> list[tuple[Any, ...]]:
    return [tuple(zone.peak.values()) for zone in zones]


def test_two_peaks_are_two_zones() -> None:
    zones = find_zones(SPACE, mapped(surfaces.two_peaks), Noise())
    assert sorted(peaks(zones)) == [(256, 32), (1024, 256)]
    assert zones[0].number == 1
    assert dict(zones[0].intervals) in (
        {"width": (128, 512), "batch": (16, 64)},
        {"width": (512, 2048), "batch": (128, 512)},
    )


def test_two_noisy_peaks_are_found_and_noise_makes_no_more() -> None:
    found = []
    for repetition in range(20):
        seeds = range(3 * repetition, 3 * repetition + 3)
        surface = surfaces.noisy(surfaces.two_peaks, 0.004)
        cells = [Cell(p, tuple(surface(p, seed, 1) for seed in seeds)) for p in SPACE.grid()]
        found.append(sorted(peaks(find_zones(SPACE, cells, measure_noise(cells)))))
    both = [(256, 32), (1024, 256)]
    assert sum(zones == both for zones in found) >= 17  # equal peaks are said to differ in one of twenty maps
    assert all(set(zones) <= set(both) for zones in found)


def test_plateau_is_one_zone() -> None:
    (zone,) = find_zones(SPACE, mapped(surfaces.plateau), Noise())
    assert len(zone.cells) == SPACE.n_cells
    noisy = mapped(surfaces.noisy(surfaces.plateau, 0.002), 4)
    assert len(find_zones(SPACE, noisy, measure_noise(noisy), level=0.999)) == 1


def test_ridge_on_the_diagonal_is_one_zone() -> None:
    def ridge(params: dict[str, Any], seed: int, epochs: int) -> float:
        return 0.9 - 0.01 * abs(np.log2(params["width"] / params["batch"]) - 3)

    (zone,) = find_zones(SPACE, mapped(ridge), Noise())
    assert len(zone.cells) == 7


def test_peak_on_the_rim_says_which_axis_to_widen() -> None:
    zones = find_zones(SPACE, mapped(surfaces.rim), Noise())
    assert zones[0].rim == ("width",)
    assert "the peak lies on the edge of the search range: widen this axis (width)" in zones[0].advice
    assert zones[0].intervals["width"] == (2048, 4096)


def test_zones_min_and_max_bound_the_number() -> None:
    def uneven(params: dict[str, Any], seed: int, epochs: int) -> float:
        return surfaces.two_peaks(params) + (0.05 if params["width"] <= 512 else 0.0)

    cells = mapped(uneven)
    assert len(find_zones(SPACE, cells, Noise(), zones_min=1)) == 1
    assert len(find_zones(SPACE, cells, Noise(), zones_min=2)) == 2
    assert len(find_zones(SPACE, mapped(surfaces.two_peaks), Noise(), zones_max=1)) == 1


def test_lone_lucky_cell_ranks_below_a_broad_peak() -> None:
    cells = [
        Cell(c.params, (0.985,)) if c.params == {"width": 64, "batch": 512} else c for c in mapped(surfaces.two_peaks)
    ]
    zones = find_zones(SPACE, cells, Noise())
    assert peaks(zones)[-1] == (64, 512)


def test_order_of_cells_changes_nothing() -> None:
    cells = mapped(surfaces.noisy(surfaces.two_peaks, 0.01), 2)
    shuffled = cells.copy()
    random.Random(1).shuffle(shuffled)
    assert find_zones(SPACE, cells, measure_noise(cells)) == find_zones(SPACE, shuffled, measure_noise(cells))


def test_rescaling_an_axis_changes_nothing() -> None:
    doubled = Space.parse({**surfaces.SPACE, "width": {"low": 128, "high": 8192, "scale": "log", "row": "doubling"}})
    surface = surfaces.noisy(surfaces.two_peaks, 0.01)
    cells = mapped(surface, 2)
    moved = [Cell({**c.params, "width": 2 * int(c.params["width"])}, c.values) for c in cells]
    noise = measure_noise(cells)
    ours, theirs = find_zones(SPACE, cells, noise), find_zones(doubled, moved, noise)
    assert [(2 * a, b) for a, b in peaks(ours)] == peaks(theirs)


def test_cells_without_a_value_are_left_out() -> None:
    cells = [Cell(c.params, (), n_lost=1) if c.params["width"] == 256 else c for c in mapped(surfaces.two_peaks)]
    assert (1024, 256) in peaks(find_zones(SPACE, cells, Noise()))
    assert find_zones(SPACE, [Cell(c.params, ()) for c in cells], Noise()) == ()


def test_choices_touch_each_other() -> None:
    space = Space.parse({"kind": ["a", "b", "c"]})
    cells = [Cell({"kind": k}, (v,)) for k, v in (("a", 0.9), ("b", 0.5), ("c", 0.8))]
    (zone,) = find_zones(space, cells, Noise())
    assert zone.peak == {"kind": "a"}
    assert zone.intervals["kind"] == ("a", "b", "c")


def test_a_cell_without_repeats_takes_its_variance_from_the_others() -> None:
    cells = [Cell({"x": 1}, (0.1, 0.3)), Cell({"x": 2}, (0.5, 0.5, 0.8)), Cell({"x": 3}, (0.9,))]
    noise = measure_noise(cells)
    assert noise.seed_variance == pytest.approx((0.02 + 0.06) / 3)
    assert noise.degrees == 3
    assert noise.source == "seeds"
    assert 0.0 < noise.se(cells[2]) < 1.0


def test_a_number_alone_counts_no_examples() -> None:
    """All cells answer the same examples: their luck is shared, and unknown where only a number is."""
    cell = Cell({"x": 1}, (0.9,) * 100, n_validation=400)
    assert Noise().se(cell) == 0.0
    assert Noise().examples(cell, cell).variance == 0.0


def test_noise_of_single_values_is_guessed_from_neighbours() -> None:
    cells = mapped(surfaces.noisy(surfaces.rim, 0.01))
    noise = measure_noise(cells, SPACE)
    assert noise.source == "differences"
    assert np.sqrt(noise.seed_variance) == pytest.approx(0.01, rel=0.4)


@given(st.integers(0, 400), st.integers(1, 3), st.floats(0.001, 0.05))
@settings(max_examples=40, deadline=None)
def test_a_zone_is_one_piece_and_holds_its_peak(seed: int, n_seeds: int, sd: float) -> None:
    surface = surfaces.noisy(surfaces.two_peaks, sd)
    cells = [Cell(p, tuple(surface(p, seed * 7 + s, 1) for s in range(n_seeds))) for p in SPACE.grid()]
    rows = [{value: i for i, value in enumerate(axis.row())} for axis in SPACE.axes]
    seen: set[Any] = set()
    for zone in find_zones(SPACE, cells, measure_noise(cells, SPACE), zones_min=3):
        places = {tuple(row[cell[a.name]] for row, a in zip(rows, SPACE.axes, strict=True)) for cell in zone.cells}
        assert zone.cells[0] == zone.peak
        assert not places & seen
        seen |= places
        reached, edge = set(), [next(iter(places))]
        while edge:
            x, y = edge.pop()
            if (x, y) in places and (x, y) not in reached:
                reached.add((x, y))
                edge += [(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        assert reached == places


def test_a_second_hill_that_cannot_be_told_apart_is_joined_over_the_pass() -> None:
    space = Space.parse({"x": [1, 2, 3, 4, 5]})
    means = [0.90, 0.87, 0.885, 0.80, 0.70]  # the pass is told apart from the peak, the hill behind it is not
    cells = [Cell({"x": i + 1}, (mean,)) for i, mean in enumerate(means)]
    zones = find_zones(space, cells, Noise(0.01**2, 100, "seeds"))
    assert [sorted(cell["x"] for cell in zone.cells) for zone in zones] == [[1, 2, 3]]


def test_a_noisy_cell_down_a_slope_is_left_out() -> None:
    space = Space.parse({"x": [1, 2, 3, 4, 5]})
    values = [(0.90, 0.901, 0.902), (0.85, 0.851, 0.852), (0.80, 0.801, 0.802), (0.4, 0.8, 1.0), (0.6, 0.601, 0.602)]
    cells = [Cell({"x": i + 1}, v) for i, v in enumerate(values)]
    zone = find_zones(space, cells, measure_noise(cells))[0]
    assert {"x": 4} not in zone.cells


def test_the_best_cell_lies_in_a_zone_as_often_as_the_level_says() -> None:
    """A plateau of nearly equal cells, where the highest of many is high by luck; noise grows with the error."""
    space, inside, shares = Space.parse({"x": {"low": 0, "high": 29, "row": 29}}), 0, []
    n = 150
    for seed in range(n):
        rng = np.random.default_rng(seed)
        errors = np.array([0.02 + (1e-5 * i if i < 12 else 0.02 * (i - 11)) for i in range(30)])
        values = 1 - errors[:, None] * (1 + 0.15 * rng.normal(size=(30, 3)))
        cells = [Cell({"x": i}, tuple(row)) for i, row in enumerate(values.tolist())]
        found = [cell for zone in find_zones(space, cells, measure_noise(cells)) for cell in zone.cells]
        inside += {"x": 0} in found
        shares.append(len(found) / 30)
    assert inside >= stats.binom.ppf(0.001, n, 0.95)
    assert np.mean(shares) < 0.6


def test_the_cheapest_cell_of_a_zone_is_named_where_costs_are_known() -> None:
    def cell(x: int, mean: float, **cost: Any) -> Cell:
        return Cell({"x": x}, (mean, mean + 0.002), **cost)

    space = Space.parse({"x": [1, 2, 3]})
    rows = [cell(1, 0.9, n_parameters=100), cell(2, 0.901, n_parameters=400), cell(3, 0.7, n_parameters=1)]
    zone = find_zones(space, rows, measure_noise(rows))[0]
    assert (zone.peak, zone.cheapest) == ({"x": 2}, {"x": 1})
    assert zone.cheapest_value == pytest.approx(0.901)
    assert zone.describe()["cheapest"] == {"x": 1}
    bare = [cell(1, 0.9), cell(2, 0.901), cell(3, 0.7)]
    assert find_zones(space, bare, measure_noise(bare))[0].cheapest is None
    same = [cell(x, m, n_parameters=9, n_steps=s) for x, m, s in ((1, 0.9, 50), (2, 0.901, 90), (3, 0.7, 1))]
    assert find_zones(space, same, measure_noise(same))[0].cheapest == {"x": 1}


def test_values_to_be_minimized_have_the_zones_of_the_turned_map() -> None:
    loss = Metric("loss")
    cells = mapped(surfaces.noisy(surfaces.two_peaks, 0.004), 3, metric=Metric("score"))
    turned = [Cell(c.params, tuple(-v for v in c.values), metric=loss) for c in cells]
    ours, theirs = (find_zones(SPACE, c, measure_noise(c)) for c in (cells, turned))
    assert [zone.cells for zone in ours] == [zone.cells for zone in theirs]
    assert [zone.value for zone in ours] == [-zone.value for zone in theirs]
    assert [zone.smoothed for zone in ours] == [-zone.smoothed for zone in theirs]
    assert theirs[0].metric == loss
