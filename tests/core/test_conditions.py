"""Axes that apply only where others have certain values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zonesearch import Space, SpaceError
from zonesearch.statistics.gp.cube import Cube

TABLES = {
    "opt": ["sgd", "adam", "rms"],
    "momentum": {"low": 0.0, "high": 0.9, "row": 2, "when": {"opt": ["sgd", "rms"]}},
    "nesterov": {"values": [True, False], "when": {"opt": "sgd", "momentum": [0.45, 0.9]}},
    "rate": {"low": 0.01, "high": 1.0, "scale": "log", "row": 2},
}
SPACE = Space.parse(TABLES)


def test_grid_has_a_branch_each() -> None:
    cells = list(SPACE.grid())
    # sgd: momentum 0 without nesterov, two with two each; rms three; adam one; three rates
    assert len(cells) == SPACE.n_cells == (1 + 2 * 2 + 3 + 1) * 3
    assert {SPACE.branch(cell) for cell in cells} == {
        ("opt", "rate"),
        ("opt", "momentum", "rate"),
        ("opt", "momentum", "nesterov", "rate"),
    }
    assert all(SPACE.contains(cell) for cell in cells)
    assert not SPACE.contains({"opt": "adam", "momentum": 0.45, "rate": 0.1})
    assert not SPACE.contains({"opt": "rms", "rate": 0.1})
    assert Space.parse(SPACE.describe()) == SPACE


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_points_of_the_cube_are_points_of_the_space(u: list[float]) -> None:
    params = SPACE.from_unit(u)
    assert SPACE.contains(params)
    cube = Cube(SPACE)
    snapped = cube.snap(np.array([u]))
    assert np.allclose(cube.snap(snapped), snapped)
    assert SPACE.contains(cube.params(snapped[0]))
    assert np.allclose(cube.point(cube.params(snapped[0])), snapped[0], atol=1e-5)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"a": [1, 2], "b": {"low": 1, "high": 2, "when": {"c": 1}}}, "is not an axis"),
        ({"a": ["x", "y"], "b": {"low": 1, "high": 2, "when": {"a": "z"}}}, "which is not one of its values"),
        ({"a": ["x", "y"], "b": {"low": 1, "high": 2, "when": "a"}}, "when must be a table"),
        ({"a": ["x", "y"], "b": {"low": 1, "high": 2, "when": {"a": []}}}, "names no value"),
        (
            {"a": {"values": ["x"], "when": {"b": "y"}}, "b": {"values": ["y"], "when": {"a": "x"}}},
            "form a circle",
        ),
    ],
)
def test_conditions_that_make_no_sense_are_refused(tables: dict[str, Any], said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        Space.parse(tables)


@pytest.mark.parametrize(
    ("parent", "value"),
    [({"low": 0.0, "high": 1.0}, 0.3), ({"low": 0.001, "high": 1.0, "scale": "log", "row": 3}, 0.02)],
)
def test_a_condition_on_a_single_real_number_is_refused(parent: dict[str, Any], value: float) -> None:
    with pytest.raises(SpaceError, match=r'axis "b": when asks for a = .*, which a search of real numbers'):
        Space.parse({"a": parent, "b": {"low": 0.0, "high": 1.0, "when": {"a": value}}})


@pytest.mark.parametrize(
    ("parent", "value"),
    [
        ({"low": 0.0, "high": 1.0, "step": 0.1}, 0.3),
        ({"low": 0.0, "high": 1.0, "row": [0.0, 0.3, 1.0]}, 0.3),
        ([0.1, 0.3], 0.3),
        ({"low": 1, "high": 8}, 3),
        ({"choices": [0.1, 0.3]}, 0.3),
    ],
)
def test_a_condition_on_a_value_that_is_met_is_taken(parent: Any, value: float) -> None:
    space = Space.parse({"a": parent, "b": {"low": 0.0, "high": 1.0, "when": {"a": value}}})
    assert space.contains({"a": value, "b": 0.5})
