"""Reading a range test: on curves whose phases are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zonesearch.errors import StudyError
from zonesearch.statistics.lr_range import local_line, read_sweep, sweep_rates


def three_phases(rates, start=1e-3, steepest=1e-2, top=1e-1, noise=0.0, seed=0):
    """Flat, falling as a logistic in log(rate) around ``steepest``, rising beyond ``top``."""
    x = np.log10(rates)
    fall = 2 / (1 + np.exp(-6 * (x - np.log10(steepest))))
    rise = np.exp(np.clip(4 * (x - np.log10(top)), None, 1)) * (x > np.log10(top))
    return 2.3 - fall + rise + np.random.default_rng(seed).normal(0, noise, len(rates))


def test_sweep_rates_have_equal_factors_or_equal_steps() -> None:
    exponential, linear = sweep_rates(1e-4, 1, 41), sweep_rates(0.1, 1, 10, "linear")
    assert exponential[0] == pytest.approx(1e-4)
    assert exponential[-1] == pytest.approx(1)
    assert np.diff(np.log(exponential)) == pytest.approx(np.full(40, np.log(1e4) / 40))
    assert np.diff(linear) == pytest.approx(np.full(9, 0.1))


@pytest.mark.parametrize(
    "arguments", [(0, 1, 50), (1, 0.1, 50), (1e-3, 1, 9), (1e-3, 1, 50, "cubic"), (1e-3, float("inf"), 20)]
)
def test_sweep_rates_refuses_what_is_no_sweep(arguments) -> None:
    with pytest.raises(StudyError):
        sweep_rates(*arguments)


@given(a=st.floats(-3, 3), b=st.floats(-3, 3), width=st.floats(0.2, 3), n=st.integers(3, 60))
def test_local_line_is_exact_for_straight_lines_at_both_ends(a: float, b: float, width: float, n: int) -> None:
    """No lag: neither the value nor the slope of a line is bent anywhere."""
    x = np.linspace(0, 5, n)
    width = max(width, 2 * 5 / n)
    value, slope = local_line(x, a + b * x, width)
    assert value == pytest.approx(a + b * x, abs=1e-6)
    assert slope == pytest.approx(np.full(n, b), abs=1e-6)


def test_read_sweep_finds_the_steepest_descent_over_the_logarithm() -> None:
    rates = sweep_rates(1e-5, 1, 150)
    found = read_sweep(rates, [three_phases(rates)])
    assert found.suggestion == pytest.approx(1e-2, rel=0.15)
    assert found.low < found.suggestion < found.high <= 0.1
    assert found.warnings == ()


def test_read_sweep_is_the_same_on_a_linear_sweep_as_on_an_exponential_one() -> None:
    linear = sweep_rates(1e-3, 0.2, 400, "linear")
    found = read_sweep(linear, [three_phases(linear)], smoothing=0.05)
    assert found.suggestion == pytest.approx(1e-2, rel=0.2)


def test_read_sweep_scales_with_the_rates_and_not_with_the_loss() -> None:
    rates = sweep_rates(1e-5, 1, 150)
    losses = three_phases(rates, noise=0.02)
    once = read_sweep(rates, [losses])
    scaled = read_sweep([10 * rate for rate in rates], [3 * losses])
    for name in ("suggestion", "low", "high"):
        assert getattr(scaled, name) == pytest.approx(10 * getattr(once, name))


def test_read_sweep_averages_over_seeds() -> None:
    rates = sweep_rates(1e-5, 1, 150)
    rows = [three_phases(rates, noise=0.2, seed=seed) for seed in range(20)]
    together = read_sweep(rates, rows)
    assert together.suggestion == pytest.approx(1e-2, rel=0.4)
    alone = [read_sweep(rates, [row]).suggestion for row in rows]
    assert abs(np.log(together.suggestion / 1e-2)) <= np.mean(np.abs(np.log(np.array(alone) / 1e-2)))


def test_read_sweep_is_not_led_by_what_happens_after_an_explosion() -> None:
    """A loss that shot up and comes down again falls faster than anything before."""
    rates = sweep_rates(1e-5, 1, 150)
    losses = three_phases(rates)
    losses[120:135] = 8.0
    losses[135:] = 2.5
    assert read_sweep(rates, [losses]).suggestion == pytest.approx(1e-2, rel=0.15)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e9])
def test_read_sweep_stops_where_the_first_seed_diverged(bad: float) -> None:
    rates = sweep_rates(1e-5, 1, 150)
    rows = [three_phases(rates), three_phases(rates)]
    rows[1][115:] = bad
    found = read_sweep(rates, rows)
    assert len(found.learning_rates) == 115
    assert found.n_diverged == 1
    assert all(np.isfinite(found.smoothed))


def test_read_sweep_says_which_phase_is_missing() -> None:
    high = sweep_rates(8e-3, 1, 100)
    assert "start the sweep at a lower rate" in read_sweep(high, [three_phases(high)]).warnings[0]
    low = sweep_rates(1e-5, 2e-2, 100)
    assert "end the sweep at a higher rate" in read_sweep(low, [three_phases(low)]).warnings[0]
    rising = list(np.linspace(1, 2, 100))
    assert "never fell" in read_sweep(sweep_rates(1e-3, 1, 100), [rising]).warnings[0]


def test_read_sweep_refuses_a_training_that_diverges_at_once() -> None:
    with pytest.raises(StudyError, match="diverged at a learning rate of"):
        read_sweep(sweep_rates(1e-3, 1, 100), [[2.3, 2.3, float("nan")] + [2.3] * 97])


def test_read_sweep_describes_itself_as_plain_data() -> None:
    rates = sweep_rates(1e-5, 1, 60)
    described = read_sweep(rates, [three_phases(rates)]).describe()
    assert len(described["learning_rates"]) == len(described["smoothed_loss"]) == len(described["losses"][0]) == 60
    assert described["schedule"].startswith("triangular2(low=")
