"""The few distributions of ours against scipy's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from zonesearch.statistics.distributions import f_quantile, normal_cdf, normal_quantile, t_quantile, t_tail

DEGREES = st.floats(math.log(0.5), math.log(1e8)).map(math.exp)
SHARES = st.one_of(st.floats(1e-3, 0.999), st.floats(-9, -1).map(lambda power: 10**power))


@given(SHARES)
def test_normal_quantile_is_that_of_scipy(p: float) -> None:
    assert normal_quantile(p) == pytest.approx(special.ndtri(p), rel=1e-13, abs=1e-13)


@given(st.floats(-30, 8))
def test_normal_cdf_is_that_of_scipy(x: float) -> None:
    assert normal_cdf(x) == pytest.approx(special.ndtr(x), rel=1e-12)


@given(SHARES, DEGREES)
def test_t_quantile_is_that_of_scipy(p: float, degrees: float) -> None:
    assert t_quantile(p, degrees) == pytest.approx(special.stdtrit(degrees, p), rel=2e-9, abs=1e-9)
    assert t_quantile(1 - p, degrees) == pytest.approx(special.stdtrit(degrees, 1 - p), rel=2e-9, abs=1e-9)


@given(st.floats(0, 60), DEGREES)
def test_t_tail_is_that_of_scipy(t: float, degrees: float) -> None:
    assert t_tail(t, degrees) == pytest.approx(special.stdtr(degrees, -t), rel=1e-7, abs=1e-15)


@given(st.floats(1, 64), st.floats(1, 400), st.floats(0.01, 0.999))
def test_f_quantile_is_that_of_scipy(degrees: float, below: float, p: float) -> None:
    assert f_quantile(p, degrees, below) == pytest.approx(special.fdtri(degrees, below, p), rel=1e-10)


def test_many_degrees_of_freedom_are_the_normal_distribution() -> None:
    assert t_quantile(0.975, math.inf) == pytest.approx(special.ndtri(0.975), rel=1e-14)
    assert t_tail(1.5, math.inf) == pytest.approx(special.ndtr(-1.5), rel=1e-14)
    for at in (1e4, 1e6):  # where one formula follows the other
        below, above = t_quantile(0.995, at * (1 - 1e-9)), t_quantile(0.995, at * (1 + 1e-9))
        assert below == pytest.approx(above, rel=1e-9)


def test_ends_are_infinite() -> None:
    assert normal_quantile(0.0) == t_quantile(0.0, 3.0) == -math.inf
    assert normal_quantile(1.0) == t_quantile(1.0, 3.0) == math.inf
    assert (t_quantile(0.5, 3.0), t_tail(0.0, 3.0)) == (0.0, 0.5)
