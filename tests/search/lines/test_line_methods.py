"""Every method that searches an interval: what it may ask for, when it ends, what it finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonesearch.core.axes import Axis
from zonesearch.search.lines.brent import Brent
from zonesearch.search.lines.golden import Golden
from zonesearch.search.lines.gp import Gp
from zonesearch.search.lines.method import LinePoint
from zonesearch.search.lines.parabolic import Parabolic
from zonesearch.search.lines.split import Split
from zonesearch.search.lines.ternary import Ternary

METHODS = [Split(8), Golden(9), Ternary(9), Parabolic(9), Brent(9), Gp(9)]
ADAPTIVE = METHODS[1:]
BY_NAME = {"ids": lambda method: type(method).__name__}

AXES = st.one_of(
    st.builds(
        lambda low, factor, whole: Axis("x", low, low * factor, "log", whole),
        st.integers(1, 100),
        st.integers(2, 300),
        st.booleans(),
    ),
    st.builds(
        lambda low, width, whole: Axis("x", low, low + width, "linear", whole, 4),
        st.integers(-50, 50),
        st.integers(1, 500),
        st.booleans(),
    ),
)


def search(method, axis, low, high, measure, known=(), most=60):
    """Ask until nothing more is wanted; gives the known points and how many were asked for."""
    points = {point.value: point for point in known}
    asked = 0
    for _ in range(most):
        wanted = method.propose(axis, low, high, sorted(points.values(), key=lambda point: point.value))
        if not wanted:
            return points, asked
        for value in wanted:
            assert axis.contains(value)
            assert low <= value <= high
            assert value not in points
            points[value] = measure(value)
        assert len(set(wanted)) == len(wanted)
        asked += len(wanted)
    raise AssertionError(f"{method} does not end")


def noisy(axis, top, sd, rng, se=None):
    def measure(value):
        u = axis.to_unit(value)
        return LinePoint(value, 0.9 - 0.4 * abs(u - top) ** 1.5 + rng.normal(0, sd), sd if se is None else se)

    return measure


@pytest.mark.parametrize("method", METHODS, **BY_NAME)
@settings(max_examples=60, deadline=None)
@given(
    axis=AXES,
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    before=st.lists(st.floats(0, 1), max_size=8),
    top=st.floats(0, 1),
    sd=st.sampled_from([0.0, 0.005, 0.05]),
    lost=st.floats(0, 0.5),
    seed=st.integers(0, 2**32),
)
def test_asks_for_allowed_unknown_values_inside_and_ends_in_time(method, axis, ends, before, top, sd, lost, seed):
    low, high = sorted(axis.from_unit(u) for u in ends)
    if axis.to_unit(high) - axis.to_unit(low) < 1e-3:
        return
    rng = np.random.default_rng(seed)
    measure = noisy(axis, top, sd, rng)

    def measured(value):
        return measure(value) if rng.random() >= lost else LinePoint(value, math.nan, math.inf)

    inside = {min(max(axis.from_unit(u), low), high) for u in before}
    _, asked = search(method, axis, low, high, measured, [measured(value) for value in inside])
    assert asked <= method.at_most()


@pytest.mark.parametrize("method", METHODS, **BY_NAME)
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_finds_the_optimum_of_noisy_unimodal_functions(method, scale) -> None:
    """In the mean over many tops the best value is within a sixteenth of the interval, as split(8) is by its grid."""
    axis = Axis("x", 8, 8 * 4096, scale, False, 8)
    distances, lost = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        top = rng.uniform(0.05, 0.95)
        ends = [
            LinePoint(v, noisy(axis, top, 0.0, rng)(v).mean, 0.002)
            for v in (axis.from_unit(0.5), *axis.between(8, 8 * 4096, 1))
        ]
        points, _ = search(method, axis, axis.low, axis.high, noisy(axis, top, 0.002, rng), ends)
        best = max(points.values(), key=lambda point: point.mean)
        distances.append(abs(axis.to_unit(best.value) - top))
        lost.append(0.4 * distances[-1] ** 1.5)
    assert np.mean(distances) < 1 / 16
    assert np.mean(lost) < 0.005


@pytest.mark.parametrize("method", ADAPTIVE, **BY_NAME)
def test_comes_nearer_than_a_split_of_as_many_values_without_noise(method) -> None:
    axis = Axis("x", 0.0, 1.0, "linear", False, 8)
    tops = np.random.default_rng(0).uniform(0, 1, 100)

    def mean_distance(of) -> float:
        distances = []
        for top in tops:
            points, _ = search(of, axis, 0.0, 1.0, noisy(axis, top, 0.0, np.random.default_rng(0)))
            distances.append(abs(max(points.values(), key=lambda point: point.mean).value - top))
        return float(np.mean(distances))

    assert mean_distance(method) < 0.7 * mean_distance(Split(8))


@pytest.mark.parametrize("method", ADAPTIVE, **BY_NAME)
def test_stops_early_when_the_rest_is_within_noise(method) -> None:
    axis = Axis("x", 0.0, 1.0, "linear", False, 8)
    rng = np.random.default_rng(0)

    def flat(value):
        return LinePoint(value, 0.9 + rng.normal(0, 0.001), 0.01)

    points, _ = search(method, axis, 0.0, 1.0, flat)
    assert len(points) < 9
    exact, _ = search(method, axis, 0.0, 1.0, noisy(axis, 0.37, 0.0, rng))
    assert len(points) < len(exact) <= 9


@pytest.mark.parametrize("kind", [Golden, Ternary, Parabolic, Brent, Gp])
def test_many_points_are_used_though_the_top_is_within_noise(kind) -> None:
    axis = Axis("x", 0.0, 1.0, "linear", False, 8)
    points, _ = search(kind(25), axis, 0.0, 1.0, noisy(axis, 0.37, 0.01, np.random.default_rng(0)))
    assert 13 <= len(points) <= 25
    if kind is not Gp:  # it knows where a better one may be; the others spend the rest where nothing was looked at
        assert max(np.diff(sorted([0.0, *points, 1.0]))) < 0.25


@pytest.mark.parametrize("kind", [Golden, Ternary, Parabolic, Brent, Gp])
def test_all_points_are_used_without_noise(kind) -> None:
    axis = Axis("x", 0.0, 1.0, "linear", False, 8)
    points, _ = search(kind(20), axis, 0.0, 1.0, noisy(axis, 0.37, 0.0, np.random.default_rng(0)))
    assert len(points) == 20


@pytest.mark.parametrize("method", ADAPTIVE, **BY_NAME)
def test_reuses_what_is_known(method) -> None:
    axis = Axis("x", 0.0, 1.0, "linear", False, 8)
    exact = noisy(axis, 0.37, 0.0, np.random.default_rng(0))
    alone, asked = search(method, axis, 0.0, 1.0, exact)
    again, asked_again = search(method, axis, 0.0, 1.0, exact, list(alone.values()))
    assert 0 == asked_again < asked == len(alone)
    assert again == alone
    known = [exact(value) for value in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert search(method, axis, 0.0, 1.0, exact, known)[1] <= 4


@pytest.mark.parametrize("method", METHODS, **BY_NAME)
def test_a_peak_on_the_rim_is_found(method) -> None:
    axis = Axis("x", 0.0, 1.0, "linear", False, 8)
    points, _ = search(method, axis, 0.0, 1.0, noisy(axis, 1.0, 0.0, np.random.default_rng(0)))
    assert max(points.values(), key=lambda point: point.mean).value > 0.93


@pytest.mark.parametrize("method", [Golden, Ternary, Parabolic, Brent, Gp])
@pytest.mark.parametrize("points", [2, 0, True, 2.5, "9"])
def test_wrong_settings_are_clear_errors(method, points) -> None:
    with pytest.raises(ValueError, match=f"{method.__name__.lower()} needs a whole number of points, at least 3"):
        method(points)
