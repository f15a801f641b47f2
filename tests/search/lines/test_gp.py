"""What the Gaussian process believes of a line, and what follows from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonesearch.core.axes import Axis
from zonesearch.search.lines.golden import Golden
from zonesearch.search.lines.gp import Gp, believe
from zonesearch.search.lines.line import Line
from zonesearch.search.lines.method import LinePoint

AXIS = Axis("x", 0.0, 1.0, "linear", False, 8)
PLACES = np.linspace(0, 1, 33)


def line(known, axis=AXIS):
    return Line(axis, axis.low, axis.high, known)


def two_peaks(x):
    """A broad lower peak at 0.3, where unimodal methods stay, and a higher one at 0.85."""
    return 0.7 + 0.15 * math.exp(-(((x - 0.3) / 0.15) ** 2)) + 0.2 * math.exp(-(((x - 0.85) / 0.07) ** 2))


def found(method, function, axis=AXIS, sd=0.0, seed=0):
    rng = np.random.default_rng(seed)
    known: list[LinePoint] = []
    while wanted := method.propose(axis, axis.low, axis.high, sorted(known, key=lambda point: point.value)):
        known += [LinePoint(value, function(value) + rng.normal(0, sd), sd) for value in wanted]
    return known


def test_passes_through_exact_points_and_is_unsure_between_them() -> None:
    known = [LinePoint(x, 0.9 - (x - 0.4) ** 2, 0.0) for x in (0.0, 0.25, 0.5, 0.75, 1.0)]
    belief = believe(line(known), PLACES)
    # The last one is so far down that it counts as bad only.
    assert belief.means[:32:8] == pytest.approx([point.mean for point in known[:-1]], abs=0.01)
    assert belief.deviations[4::8].min() > belief.deviations[8:25:8].max()
    assert np.max(np.abs(belief.means - (0.9 - (PLACES - 0.4) ** 2))[:25]) < 0.02


def test_a_lucky_point_among_its_neighbours_is_not_believed() -> None:
    sd = 0.02
    known = [LinePoint(x, 0.8 + (0.05 if x == 0.5 else 0.0), sd) for x in np.linspace(0, 1, 11).tolist()]
    assert believe(line(known), PLACES).best < 0.83
    exact = [LinePoint(point.value, point.mean, 1e-4) for point in known]
    assert believe(line(exact), PLACES).best > 0.84


def test_the_second_peak_is_found_where_unimodal_methods_stay_at_the_first() -> None:
    best = [max(two_peaks(point.value) for point in found(method, two_peaks)) for method in (Gp(12), Golden(12))]
    assert best[0] > 0.88
    assert best[0] > best[1]


def test_more_points_are_better_under_noise() -> None:
    def lacks(points: int) -> float:
        lost = []
        for seed in range(6):
            top = np.random.default_rng(seed).uniform(0.1, 0.9)
            hill = lambda x, top=top: 0.9 - 0.5 * (x - top) ** 2  # noqa: E731
            known = sorted(found(Gp(points), hill, sd=0.03, seed=seed), key=lambda point: point.value)
            lost.append(0.9 - hill(Gp(points).best(AXIS, 0.0, 1.0, known)))
        return float(np.mean(lost))

    assert lacks(25) < lacks(9)


def test_the_best_of_a_line_is_that_of_the_curve_and_not_the_luckiest() -> None:
    known = [
        LinePoint(x, 0.9 - 0.4 * (x - 0.3) ** 2 + (0.17 if x == 0.9 else 0), 0.04)
        for x in np.linspace(0, 1, 11).round(1).tolist()
    ]
    assert max(known, key=lambda point: point.mean).value == 0.9
    assert 0.1 <= Gp(25).best(AXIS, 0.0, 1.0, known) <= 0.6


def test_a_cliff_and_lost_trainings_do_not_bend_the_curve() -> None:
    xs = np.linspace(0, 1, 9).tolist()
    fine = [LinePoint(x, 0.9 - 0.2 * (x - 0.4) ** 2, 0.002) for x in xs]
    for bad in (LinePoint(1.0, math.nan, math.inf), LinePoint(1.0, -50.0, 0.002)):
        belief = believe(line([*fine[:-1], bad]), PLACES)
        assert np.max(np.abs(belief.means[:24] - (0.9 - 0.2 * (PLACES[:24] - 0.4) ** 2))) < 0.01


def test_nothing_but_lost_trainings_goes_on_in_the_gaps() -> None:
    axis = Axis("x", 1, 9, "linear", True, 8)
    known = [LinePoint(value, math.nan, math.inf) for value in (1, 5, 9)]
    assert Gp(9).propose(axis, 1, 9, known) in ((3,), (7,))


def test_a_short_whole_number_axis_ends_when_all_is_known() -> None:
    axis = Axis("depth", 1, 4, "log", True, [1, 2, 3, 4])
    assert sorted(point.value for point in found(Gp(9), float, axis)) == [1, 2, 3, 4]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(7)), st.floats(0.1, 10), st.floats(-5, 5))
def test_neither_order_nor_unit_of_the_values_changes_what_is_wanted(order, factor, shift) -> None:
    rng = np.random.default_rng(3)
    known = [LinePoint(x, two_peaks(x) + rng.normal(0, 0.01), 0.01) for x in np.linspace(0.05, 0.9, 7).tolist()]
    other = [LinePoint(known[i].value, factor * known[i].mean + shift, factor * 0.01) for i in order]
    assert Gp(9).propose(AXIS, 0.0, 1.0, known) == Gp(9).propose(AXIS, 0.0, 1.0, other)
