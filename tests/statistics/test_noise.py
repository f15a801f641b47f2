"""Noise that follows the value: trends of variances, single cells drawn to them, and what examples add."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.reading import Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.statistics.differences import residuals
from zonesearch.statistics.examples import Answering, crossed, n_right, shared
from zonesearch.statistics.noise import Badness, Cell, Noise, cell_of, measure_noise
from zonesearch.statistics.variance_trend import Slope, fit_residuals, fit_variances
from zonesearch.statistics.zones import find_zones

SPACE = Space.parse({"x": {"low": 0, "high": 9, "row": 9}, "y": {"low": 0, "high": 9, "row": 9}})


def grown(rng, n_seeds, share=0.2):
    """A map whose noise is a share of the error, which grows from 1 % in one corner to 40 % in the other."""
    cells = []
    for params in SPACE.grid():
        error = 0.01 * 40 ** ((params["x"] + params["y"]) / 18)
        values = 1 - error * (1 + share * rng.normal(size=n_seeds))
        cells.append(Cell(params, tuple(values.tolist())))
    return cells


def test_the_trend_finds_noise_that_grows_with_the_error() -> None:
    cells = grown(np.random.default_rng(0), 3)
    noise = measure_noise(cells)
    best, worst = cells[0], cells[-1]
    assert noise.source == "seeds"
    assert noise.degrees == 200
    assert noise.se(best) == pytest.approx(0.2 * 0.01 / math.sqrt(3), rel=0.4)
    assert noise.se(worst) == pytest.approx(0.2 * 0.4 / math.sqrt(3), rel=0.5)
    pooled = math.sqrt(noise.seed_variance / 3)
    assert pooled > 8 * noise.se(best)


def test_the_trend_is_found_from_single_values_too() -> None:
    found = []
    for seed in range(6):
        noise = measure_noise(grown(np.random.default_rng(seed), 1), SPACE)
        assert noise.source == "differences"
        found.append(noise.se(Cell({"x": 0, "y": 0}, (0.99,))) / 0.002)
    assert 0.5 < float(np.median(found)) < 2.0


def test_a_cell_of_its_own_is_drawn_towards_the_trend_and_not_onto_it() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=200)
    variances = stats.chi2.rvs(2, size=200, random_state=2) / 2
    trend = fit_variances(x, variances, np.full(200, 2.0), Slope())
    moderated, degrees = trend.moderated(np.zeros(2), np.array([0.01, 30.0]), np.array([2.0, 2.0]))
    usual = float(trend.variance(np.array([0.0]))[0])
    assert 0.6 < usual < 1.5
    assert 0.01 < moderated[0] < usual < moderated[1] < 30.0
    assert (degrees > 2.0).all()


def test_one_wild_cell_does_not_bend_the_trend() -> None:
    x, variances = np.linspace(-2, 2, 60), stats.chi2.rvs(2, size=60, random_state=4) / 2
    wild = variances.copy()
    wild[3] = 1e4
    tame, bent = (fit_variances(x, v, np.full(60, 2.0), Slope()) for v in (variances, wild))
    at = np.array([-1.8, 0.0, 1.8])
    assert np.abs(np.log(bent.variance(at) / tame.variance(at))).max() < 0.7


def test_variances_of_zero_are_no_trouble() -> None:
    trend = fit_variances(np.arange(5.0), np.array([0.0, 1e-4, 0.0, 2e-4, 0.0]), np.full(5, 1.0), Slope())
    assert np.isfinite(trend.variance(np.arange(5.0))).all()
    same = [Cell({"x": i}, (0.5, 0.5)) for i in range(4)]
    assert measure_noise(same).se(same[0]) == 0.0
    assert measure_noise([Cell({"x": 1}, ())]).source == "none"


def test_the_scale_of_single_residuals_is_that_of_the_noise_where_few_are_curvature() -> None:
    rng = np.random.default_rng(5)
    squares = rng.normal(0, 0.1, 400) ** 2
    squares[:40] = 9.0
    trend = fit_residuals(rng.normal(size=400), squares, Slope())
    assert math.sqrt(float(trend.variance(np.array([0.0]))[0])) == pytest.approx(0.1, rel=0.25)


def test_contrasts_of_neighbours_are_zero_for_what_is_smooth() -> None:
    points = list(SPACE.grid())
    parabola = np.array([3 + p["x"] ** 2 - 2 * p["x"] for p in points])
    for places, found in residuals(SPACE, points, parabola):
        assert np.abs(found).max() < 1e-9
        assert len(places) == len(found)
    noise = np.random.default_rng(6).normal(0, 1, len(points))
    assert all(abs(found.std() - 1) < 0.25 for _, found in residuals(SPACE, points, noise))
    choices = Space.parse({"kind": ["a", "b", "c"]})
    assert residuals(choices, list(choices.grid()), np.zeros(3)) == []


@given(st.floats(0.1, 10.0), st.floats(-5.0, 5.0), st.integers(0, 20))
def test_noise_of_a_metric_without_a_scale_of_its_own_follows_its_units(scale: float, shift: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = [tuple((10 + i + (12 - i) * 0.05 * rng.normal(size=2)).tolist()) for i in range(12)]
    plain = [Cell({"x": i}, v, metric=Metric("score")) for i, v in enumerate(values)]
    other = [Cell(c.params, tuple(shift + scale * x for x in c.values), metric=c.metric) for c in plain]
    turned = [Cell(c.params, tuple(-x for x in c.values), metric=Metric("loss")) for c in plain]
    one, two, three = measure_noise(plain), measure_noise(other), measure_noise(turned)
    for a, b, c in zip(plain, other, turned, strict=True):
        assert two.se(b) == pytest.approx(scale * one.se(a), rel=1e-3)
        assert three.se(c) == pytest.approx(one.se(a), rel=1e-6)


def test_the_badness_of_a_share_is_the_log_odds_of_its_error() -> None:
    badness = Badness.of([Cell({"x": 1}, (0.9,), n_validation=5000)])
    assert badness(np.array([0.9]))[0] == pytest.approx(math.log(0.1 / 0.9), abs=1e-3)
    assert Badness.of([Cell({"x": 1}, (2.0,)), Cell({"x": 2}, (3.0,))]).scores
    assert Badness.of([Cell({"x": 1}, (0.5,), metric=ACCURACY)]).slope.mean == 1.0


# -- examples


def bits(rows):
    return [np.packbits(np.asarray(row, dtype=bool)).tobytes() for row in rows]


@given(st.integers(2, 5), st.integers(9, 60), st.integers(0, 1000))
def test_crossed_factors_are_those_of_the_analysis_of_variance(k: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    a, b = (rng.random((k, n)) < 1 - 0.5 * hard for _ in range(2))
    d = a.astype(float) - b
    found = crossed(bits(a), bits(b), n)
    mean, rows, columns = d.mean(), d.mean(1), d.mean(0)
    ms_s = n * ((rows - mean) ** 2).sum() / (k - 1)
    ms_e = k * ((columns - mean) ** 2).sum() / (n - 1)
    ms_r = ((d - rows[:, None] - columns + mean) ** 2).sum() / ((k - 1) * (n - 1))
    assert found.mean == pytest.approx(mean)
    assert found.variance == pytest.approx(max(ms_s + ms_e - ms_r, ms_s, ms_e) / (k * n))
    assert found.degrees >= 1.0


def test_the_same_answers_share_all_their_luck_and_other_ones_none_of_it() -> None:
    rng = np.random.default_rng(0)
    n = 2000
    one = rng.random(n) < 0.9
    same = shared(bits([one] * 2), bits([one] * 2), n, Answering())
    assert same.variance == 0.0
    other = rng.random(n) < 0.9
    apart = shared(bits([one] * 2), bits([other] * 2), n, Answering())
    assert apart.variance == pytest.approx(2 * 0.09 / n, rel=0.2)
    assert n_right(bits([one])[0]) == one.sum()


def test_examples_are_known_where_a_trial_has_answers_at_what_is_read() -> None:
    right = bits([[True] * 9 + [False]])[0]
    curve = {"validation_accuracy": [0.5, 0.9, 0.8]}
    trials = Trials(
        Trial(Training({"x": 1}, seed, 3), accuracy=0.9, curve=curve, n_validation=10, right=right) for seed in (0, 1)
    )
    wanted = [Training({"x": 1}, seed, 3) for seed in (0, 1)]
    assert cell_of({"x": 1}, wanted, trials).right == (right, right)
    assert cell_of({"x": 1}, wanted, trials, Reading("last")).right == ()
    short = [Training({"x": 1}, seed, 1) for seed in (0, 1)]
    assert cell_of({"x": 1}, short, trials).right == ()


def test_pairs_on_the_same_examples_are_known_better_than_apart() -> None:
    rng = np.random.default_rng(2)
    n, hard = 300, rng.normal(size=300)
    cells = []
    for i, level in enumerate((2.2, 2.1, 1.6)):
        answers = bits([level - 1.2 * hard + 0.8 * rng.normal(size=n) > 0 for _ in range(3)])
        cells.append(Cell({"x": i}, tuple(n_right(a) / n for a in answers), n, right=tuple(answers)))
    noise = measure_noise(cells)
    gap = noise.gap(cells[0], cells[2])
    independent = sum(c.mean * (1 - c.mean) / n for c in (cells[0], cells[2]))
    assert gap.difference > 0
    assert 0.0 < gap.examples < independent
    assert noise.gap(cells[2], cells[0]).difference == -gap.difference
    bare = Noise(1e-4, 5, "seeds").gap(Cell({"x": 1}, (0.5,), 300), Cell({"x": 2}, (0.6,), 300))
    assert bare.examples == 0.0
    assert bare.se == pytest.approx(math.sqrt(2e-4))


@pytest.mark.parametrize("unit", [1e-120, 1e-14, 1.0, 1e90])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("n_seeds", [1, 3])
def test_zones_are_the_same_in_whatever_unit_values_are(unit: float, direction: str, n_seeds: int) -> None:
    metric = Metric("bias", direction)
    rng = np.random.default_rng(3)
    cells = []
    for params in SPACE.grid():
        lack = ((params["x"] - 4) ** 2 + (params["y"] - 5) ** 2) / 20 + 2
        values = lack * (1 + 0.05 * rng.normal(size=n_seeds))
        cells.append(Cell(params, tuple((metric.value(-values)).tolist()), metric=metric))
    scaled = [Cell(cell.params, tuple(v * unit for v in cell.values), metric=metric) for cell in cells]
    plain, other = (find_zones(SPACE, each, measure_noise(each, SPACE)) for each in (cells, scaled))
    assert 1 < len(plain[0].cells) < len(cells)
    assert [zone.cells for zone in other] == [zone.cells for zone in plain]
    assert other[0].se == pytest.approx(plain[0].se * unit, rel=1e-6)
