"""Curves as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zonesearch.cli.ascii_plot import ascii_plot


def test_ascii_plot_draws_a_line_from_corner_to_corner() -> None:
    lines = ascii_plot([4.0, 3.0, 2.0, 1.0], x_from="0", x_to="3", height=4).splitlines()
    assert lines == ["4 │•", "  │ •", "  │  •", "1 │   •", "  └────", "   0  3"]


def test_ascii_plot_of_a_constant_is_one_line() -> None:
    assert ascii_plot([0.1] * 5).splitlines() == ["0.1 │•••••", "    └─────"]


def test_ascii_plot_points_at_marks() -> None:
    assert ascii_plot([1.0, 2.0, 3.0], marks={"here": 1}, height=3).splitlines()[-1].endswith("^ here")


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=200), st.booleans())
def test_ascii_plot_draws_anything_within_its_width(values: list[float], log: bool) -> None:
    assert all(len(line) <= 72 + 20 for line in ascii_plot(values, log=log).splitlines())
