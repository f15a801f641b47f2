"""The test surfaces know their own peaks."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.surfaces import HARD, SHAPES, Surface, make_surface, surfaces

VARIANTS = [make_surface(f"{shape}-{n}#{17 * n + i}") for n in (2, 4, 7) for i, shape in enumerate(SHAPES)]
HARDER = [make_surface(f"{shape}-{n}#{variant}") for shape in HARD for n in (2, 5) for variant in (0, 3)]
ALL = [*HARDER, *surfaces(axes=(2, 3, 4, 5, 6, 7)), *VARIANTS]


@pytest.mark.parametrize("surface", ALL, ids=lambda surface: surface.name)
def test_nothing_is_better_than_the_known_peaks(surface: Surface) -> None:
    points = np.random.default_rng(0).random((20_000, len(surface.space.axes)))
    assert surface.means(points).max() <= surface.best + 1e-9
    assert surface.means(np.array(surface.peaks)) == pytest.approx(surface.best, abs=1e-6)
    assert surface.best - surface.median > 2 * surface.sd


@pytest.mark.parametrize("surface", ALL, ids=lambda surface: surface.name)
def test_regret_is_nothing_at_a_peak_and_one_for_a_blind_pick(surface: Surface) -> None:
    for peak in surface.peaks:
        near = 0.03 if surface.name.startswith("folded") else 0.01  # its rim is steep
        assert surface.regret(surface.space.from_unit(peak)) < near  # whole numbers do not hit it exactly
    points = np.random.default_rng(1).random((2001, len(surface.space.axes)))
    regrets = (surface.best - surface.means(points)) / (surface.best - surface.median)
    assert np.median(regrets) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("name", ["peaks2-2", "peaks3-3", "peaks3-6"])
def test_between_equal_peaks_the_surface_falls_below_the_noise(name: str) -> None:
    surface = make_surface(name)
    peaks = np.array(surface.peaks)
    for i in range(len(peaks)):
        for j in range(i):
            way = peaks[i] + np.linspace(0, 1, 101)[:, None] * (peaks[j] - peaks[i])
            assert surface.means(way).min() < surface.best - 3 * surface.sd


def test_noise_depends_on_point_and_seed_alone_and_has_the_said_size() -> None:
    surface = make_surface("ridge-3", sd=0.02)
    point = surface.space.from_unit([0.5, 0.5, 0.5])
    assert surface(point, 3) == surface(dict(reversed(point.items())), 3)
    drawn = np.array([surface(point, seed) for seed in range(400)])
    assert drawn.std() == pytest.approx(0.02, rel=0.15)
    assert drawn.mean() == pytest.approx(surface.mean(point), abs=0.004)


def test_a_variant_moves_inner_peaks_and_leaves_those_on_a_rim() -> None:
    places = {make_surface(f"one-3#{variant}").peaks for variant in range(10)}
    assert len(places) == 10
    assert make_surface("one-3#4").peaks == make_surface("one-3#4").peaks
    assert {make_surface(f"slope-2#{variant}").peaks[0] for variant in range(20)} == {
        (a, b) for a in (0, 1) for b in (0, 1)
    }


@pytest.mark.parametrize("name", ["cliff-2", "ridge", "ridge-9", "peaks2-1", "ridge-3#x", "ridge-3#"])
def test_a_surface_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"SHAPE-AXES|2 axes"):
        make_surface(name)


@pytest.mark.parametrize("name", ["peaks2-2#3", "peaks3-3", "peaks3-7#5"])
def test_the_zone_of_a_peak_holds_what_is_within_noise_of_it_and_nothing_of_the_others(name: str) -> None:
    surface = make_surface(name)
    zones = range(len(surface.peaks))
    for i, peak in enumerate(surface.peaks):
        assert [surface.covers(surface.space.from_unit(peak), j) for j in zones] == [i == j for j in zones]
    middle = surface.space.from_unit(np.mean(surface.peaks, axis=0))
    assert not any(surface.covers(middle, i) for i in zones)


@pytest.mark.parametrize("name", ["failing-2#1", "failing-5#4"])
def test_a_fifth_of_a_failing_surface_fails_and_no_peak_does(name: str) -> None:
    surface = make_surface(name)
    points = np.random.default_rng(0).random((5000, len(surface.space.axes)))
    assert surface.fails is not None
    assert surface.fails(points).mean() == pytest.approx(0.2, abs=0.03)
    assert not surface.fails(np.array(surface.peaks)).any()
    lost = surface.space.from_unit(points[surface.fails(points)][0])
    assert surface.lost(lost)
    assert np.isnan(surface(lost))


def test_a_folded_rim_is_bad_and_the_best_lies_just_inside() -> None:
    surface = make_surface("folded-2")
    [(right, _)] = surface.peaks
    inside, rim = surface.means(np.array([[right, 0.1], [1.0, 0.1]]))
    assert 0.85 < right < 0.95
    assert inside - rim > 5 * surface.sd


def test_mixed_surfaces_have_choices_and_few_whole_numbers_and_their_peak_is_one_of_them() -> None:
    surface = make_surface("mixed-5#2")
    assert sum(not axis.ordered for axis in surface.space.axes) == 2
    assert surface.regret(surface.space.from_unit(surface.peaks[0])) == pytest.approx(0, abs=1e-9)
