from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import surfaces

from zonesearch import Space
from zonesearch.domain.noise import Cell, Noise, measure_noise
from zonesearch.domain.zones import Zone, find_zones

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
    assert "the peak lies on the rim: widen this axis (width)" in zones[0].advice
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
