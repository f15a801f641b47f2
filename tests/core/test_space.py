from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zonesearch import Axis, Choice, Space, SpaceError


def test_row_doubles() -> None:
    assert Axis("width", 64, 1000, "log").row() == (64, 128, 256, 512)


def test_row_with_midpoints() -> None:
    assert Axis("width", 128, 1024, "log", row_rule="midpoints").row() == (128, 192, 256, 384, 512, 768, 1024)


def test_row_of_equal_steps_on_the_scale() -> None:
    assert Axis("rate", 1e-4, 1e-2, "log", row_rule=2).row() == pytest.approx((1e-4, 1e-3, 1e-2))
    assert Axis("dropout", 0.0, 0.8, row_rule=4).row() == pytest.approx((0.0, 0.2, 0.4, 0.6, 0.8))


def test_space_reads_lists_and_tables() -> None:
    space = Space.parse({"width": {"low": 64, "high": 4096, "scale": "log", "row": "doubling"}, "batch": [16, 32, 64]})
    assert space.n_cells == 7 * 3
    batch = space["batch"]
    assert isinstance(batch, Axis)
    assert batch.scale == "log"
    assert isinstance(Space.parse({"activation": ["relu", "tanh"]})["activation"], Choice)
    assert Space.parse(space.describe()) == space


def test_interval_of_a_value_reaches_its_neighbours_or_the_rim() -> None:
    axis = Axis("width", 64, 1000, "log")
    assert axis.interval(128) == (64, 256)
    assert axis.interval(512) == (256, 1000)
    assert axis.interval(64) == (64, 128)
    assert axis.neighbours(64) == (128,)
    assert axis.on_rim(512)
    assert not axis.on_rim(128)


def test_split_rounds_integers_and_drops_duplicates() -> None:
    axis = Axis("batch", 4, 8, "log")
    assert axis.between(4, 8, 8) == (4, 5, 6, 7, 8)
    assert Axis("width", 64, 256, "log").between(64, 256, 2) == (64, 128, 256)


@given(
    low=st.integers(1, 5000), more=st.integers(0, 5000), parts=st.integers(1, 20), log=st.booleans(), u=st.floats(0, 1)
)
def test_axis_keeps_its_promises(low: int, more: int, parts: int, log: bool, u: float) -> None:
    axis = Axis("n", low, low + more, "log" if log else "linear", row_rule=parts)
    row = axis.row()
    assert list(row) == sorted(set(row))
    assert row[0] == low
    assert row[-1] == low + more
    assert all(axis.contains(value) for value in axis.between(row[0], row[-1], parts))
    value = axis.from_unit(u)
    assert axis.contains(value)
    assert axis.from_unit(axis.to_unit(value)) == value


@example(1.0, 1.001, 1.0000000000000002e-06)
@given(st.floats(1e-6, 1e3), st.floats(1.001, 1e4), st.floats(0, 1))
def test_unit_transform_is_a_round_trip_on_float_axes(low: float, factor: float, u: float) -> None:
    axis = Axis("x", low, low * factor, "log", row_rule=3)
    nine_digits = 1e-9 / math.log(factor)  # what a value may lose by being written short, on this axis
    assert axis.to_unit(axis.from_unit(u)) == pytest.approx(u, abs=2 * nine_digits)


def test_unit_cube_of_a_space() -> None:
    space = Space.parse({"width": {"low": 64, "high": 4096, "scale": "log"}, "kind": ["a", "b"]})
    np.testing.assert_allclose(space.unit({"width": 512, "kind": "b"}), [0.5, 0.75])
    assert space.from_unit([0.5, 0.75]) == {"width": 512, "kind": "b"}


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"width": {"low": 9, "high": 3}}, "low must not exceed high"),
        ({"width": {"low": 0, "high": 3, "scale": "log"}}, "log scale needs low > 0"),
        ({"width": {"lo": 1, "high": 3}}, 'did you mean "low"'),
        ({"width": {"high": 3}}, '"low" is missing'),
        ({"width": []}, "row is empty"),
        ({"width": {"low": 1, "high": 8, "row": []}}, "row is empty"),
        ({"width": {"low": 1, "high": 8, "row": [1, 9]}}, "outside"),
        ({"width": {"low": 1, "high": 8, "row": "dubling"}}, "doubling"),
        ({"width": {"low": 1.0, "high": float("nan")}}, "finite"),
        ({"width": {"low": "a", "high": 3}}, "finite number"),
        ({"kind": ["a", "a"]}, "twice"),
        ({}, "at least one axis"),
        ({"width": 3}, "table with low and high"),
    ],
)
def test_space_refuses_what_makes_no_sense(axes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpaceError, match=said) as caught:
        Space.parse(axes)
    if axes:
        assert next(iter(axes)) in str(caught.value)
