"""The surrogate: what it asks for, where it ends, what it hands on, and the process under it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surfaces import SPACE, noisy, plateau, two_peaks

from tests.search.asking import answered, asked
from zonesearch.core.space import Space
from zonesearch.core.trials import Trials
from zonesearch.errors import StudyError
from zonesearch.search.stages.grid import Grid
from zonesearch.search.stages.interval import Interval
from zonesearch.search.stages.polish import Polish
from zonesearch.search.stages.surrogate.proposals import log_improvement, log_worth
from zonesearch.search.stages.surrogate.stage import FIRST_SEED, Surrogate
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.process import Data, Prior, fit
from zonesearch.statistics.gp.targets import Known, Scale

PLANE = Space.parse(SPACE)
MIXED = Space.parse(
    {
        "rate": {"low": 1e-4, "high": 1.0, "scale": "log", "row": 4},
        "depth": {"low": 1, "high": 6, "row": 5},
        "kind": ["a", "b", "c"],
        "fixed": {"low": 2, "high": 2, "row": 1},
    }
)


def on_plane(params, seed):
    return noisy(two_peaks, 0.004)(params, seed, 1)


def mixed(params, seed):
    u = MIXED.unit(params)
    luck = np.random.default_rng([seed, *(int(1e6 * x) for x in u)]).normal(0, 0.01)
    return 0.9 - (u[0] - 0.7) ** 2 - 0.5 * (u[1] - 0.4) ** 2 - 0.2 * (params["kind"] != "b") + luck


@pytest.fixture(scope="module")
def run():
    return asked(Surrogate(PLANE, epochs=1, n_trainings=50, batch=5), on_plane)


def test_both_of_two_equal_peaks_are_zones_each_with_its_interval(run) -> None:
    zones, _, _ = run
    for width, batch in ((256, 32), (1024, 256)):
        near = [z for z in zones if abs(math.log2(z.peak["width"] / width)) < 0.75]
        low, high = near[0].intervals["batch"]
        assert low <= batch <= high
        assert high / low < 64  # of 64 on the whole axis
    assert [zone.number for zone in zones] == list(range(1, len(zones) + 1))
    for zone in zones:
        assert zone.cells[0] == zone.peak
        assert PLANE.contains(zone.peak)
        assert zone.value == pytest.approx(two_peaks(zone.peak), abs=0.02)
        assert 0 < zone.se < 0.05


def test_it_takes_the_trainings_that_it_may_each_round_with_its_own_seed(run) -> None:
    _, trials, trainings = run
    assert len(trials) == len(trainings) == 50
    seeds = [training.seed for training in trainings]
    assert seeds.count(FIRST_SEED) == 10  # a fifth is the design
    assert {seeds.count(FIRST_SEED + i) for i in range(1, 9)} == {5}


def test_the_last_trainings_repeat_points_that_it_knows() -> None:
    _, trials, _ = asked(Surrogate(PLANE, 1, n_trainings=50, batch=5, repeats=0.1), on_plane)
    last = max(trial.seed for trial in trials)
    known = [trial.params for trial in trials if trial.seed < last]
    assert all(trial.params in known for trial in trials if trial.seed == last)


def test_the_first_design_touches_every_rim() -> None:
    points = np.array(
        [PLANE.unit(t.params) for t in Surrogate(PLANE, 1, n_trainings=40).plan(None, Trials()).trainings]
    )
    assert points.min(axis=0) == pytest.approx([0, 0])
    assert points.max(axis=0) == pytest.approx([1, 1])


def test_a_round_that_was_cut_short_is_completed_as_it_was_meant() -> None:
    stage = Surrogate(PLANE, epochs=1, n_trainings=30, batch=6)
    first = stage.plan(None, Trials()).trainings
    trials = Trials(answered(t, on_plane) for t in first)
    meant = trials.missing(stage.plan(None, trials).trainings)
    half = trials | Trials(answered(t, on_plane) for t in meant[:4])
    assert half.missing(stage.plan(None, half).trainings) == meant[4:]


def test_what_later_stages_train_does_not_change_its_zones(run) -> None:
    zones, trials, _ = run
    stage = Surrogate(PLANE, epochs=1, n_trainings=50, batch=5)
    candidates, more, _ = asked(Interval(PLANE, epochs=1), on_plane, zones, trials)
    verdict, more, _ = asked(Polish(PLANE, epochs=1, schedules=(), keep=2, repeats=3), on_plane, candidates, more)
    assert len(more) > len(trials)
    assert verdict is not None
    assert stage.plan(None, more).output == zones


def test_points_that_a_stage_before_trained_are_known_from_the_start() -> None:
    coarse = Space.parse({"width": [64, 512, 4096], "batch": [8, 64, 512]})
    zones, trials, _ = asked(Grid(coarse, epochs=1, seeds=2, zones_min=2), on_plane)
    stage = Surrogate(PLANE, epochs=1, seeds=2, n_trainings=12)
    alone = stage.plan(None, asked(stage, on_plane)[1])
    _, _, trainings = asked(stage, on_plane, zones, trials)
    assert len(trainings) == 12
    assert set(trainings) != set(alone.trainings)


def test_whole_numbers_choices_and_a_fixed_axis() -> None:
    zones, trials, trainings = asked(Surrogate(MIXED, epochs=1, n_trainings=40), mixed)
    assert len(trainings) == 40
    assert all(MIXED.contains(trial.params) for trial in trials)
    assert zones[0].peak["kind"] == "b"
    assert mixed(zones[0].peak, 0) > 0.85
    assert zones[0].intervals["kind"] == ("a", "b", "c")


@pytest.mark.parametrize("n_axes", [1, 7])
def test_from_one_axis_to_seven(n_axes: int) -> None:
    space = Space.parse({f"x{i}": {"low": 0.0, "high": 1.0} for i in range(n_axes)})
    hill = lambda params, seed: 0.9 - sum((u - 0.6) ** 2 for u in params.values()) / n_axes  # noqa: E731
    zones, _, _ = asked(Surrogate(space, epochs=1, n_trainings=30, batch=2), hill)
    assert hill(zones[0].peak, 0) > 0.87


def test_a_space_smaller_than_the_budget_is_repeated() -> None:
    space = Space.parse({"kind": ["a", "b", "c"]})
    means = {"a": 0.5, "b": 0.8, "c": 0.6}
    zones, trials, _ = asked(Surrogate(space, epochs=1, n_trainings=14), lambda p, seed: means[p["kind"]])
    assert len(trials) == 14
    assert zones[0].peak == {"kind": "b"}


def test_a_plateau_is_one_zone() -> None:
    zones, _, _ = asked(Surrogate(PLANE, epochs=1, n_trainings=30), lambda p, s: noisy(plateau, 0.01)(p, s, 1))
    assert len(zones) <= 2
    assert len(zones[0].cells) >= 10


def test_lost_trainings_count_as_the_worst() -> None:
    holed = lambda p, seed: math.nan if p["width"] > 1500 else two_peaks(p)  # noqa: E731
    zones, _, _ = asked(Surrogate(PLANE, epochs=1, n_trainings=40), holed)
    assert all(zone.peak["width"] <= 1500 for zone in zones)


def test_nothing_complete_is_no_zone() -> None:
    zones, _, trainings = asked(Surrogate(PLANE, epochs=1, n_trainings=10), lambda p, seed: math.nan)
    assert zones == ()
    assert len(trainings) == 10


def test_forecast_is_what_it_takes() -> None:
    stage = Surrogate(PLANE, epochs=3, n_trainings=17)
    assert stage.forecast(None).n_trainings == 17
    assert stage.forecast(None).epochs == 3


def test_another_study_seed_is_another_search() -> None:
    one, other = (Surrogate(PLANE, epochs=1, study_seed=seed).plan(None, Trials()).trainings for seed in (0, 1))
    assert one != other


@pytest.mark.parametrize(
    "wrong",
    [{"n_trainings": 0}, {"batch": 0}, {"first": 0}, {"repeats": 1}, {"level": 1.0}, {"n_trainings": 600, "batch": 1}],
)
def test_wrong_settings_are_clear_errors(wrong) -> None:
    with pytest.raises(StudyError, match=r"\[surrogate\]"):
        Surrogate(PLANE, epochs=1, **wrong)


def test_the_noise_is_measured_where_points_are_repeated() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((30, 2))
    true = np.sin(5 * points[:, 0])
    singles = true[:, None] + rng.normal(0, 0.3, size=(30, 8))
    squares = float(((singles - singles.mean(axis=1, keepdims=True)) ** 2).sum())
    data = Data(points, singles.mean(axis=1), np.full(30, 8.0), squares, np.array([False, False]))
    posterior = fit(data, Prior())
    assert posterior.hyper.noise == pytest.approx(0.09, rel=0.3)
    means, sds = posterior.at_points(points)
    assert np.abs(means - true).mean() < np.abs(singles[:, 0] - true).mean() / 2
    assert np.mean(np.abs(means - true) < 2 * sds) > 0.8


def test_the_bad_end_is_compressed_and_the_good_end_is_not() -> None:
    scale = Scale.of(np.array([0.1, 0.88, 0.9, 0.91, 0.92, 0.93, 0.94]))
    near, far = scale.forth(np.array([0.92, 0.94])), scale.forth(np.array([0.1, 0.3]))
    assert near[1] - near[0] == pytest.approx(0.02 / scale.unit)
    assert abs(far[1] - far[0]) < near[1] - near[0]
    assert far[0] < far[1] < near[0]


@given(st.floats(-3, 3), st.floats(0.01, 2))
def test_scale_leads_back(value, unit) -> None:
    scale = Scale(0.5, unit)
    assert scale.back(float(scale.forth(np.array([value]))[0])) == pytest.approx(value, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(6)))
def test_known_values_have_no_order(order) -> None:
    values = [((i / 7, (i * i % 5) / 5), [0.1 * i, 0.1 * i + 0.05]) for i in range(6)]
    cube = Cube(PLANE)
    one, other = (Known(dict(v)).data(cube)[0] for v in (values, [values[i] for i in order]))
    assert np.array_equal(one.points, other.points)
    assert np.array_equal(one.means, other.means)
    assert one.squares == other.squares


def test_expected_improvement_grows_with_mean_and_uncertainty_and_never_underflows() -> None:
    means, sds = np.array([0.0, 0.0, -1.0, -50.0, -1e6]), np.array([1.0, 2.0, 1.0, 1.0, 1.0])
    log_ei = log_improvement(means, sds, incumbent=0.0)
    assert np.isfinite(log_ei).all()
    assert log_ei[1] > log_ei[0] > log_ei[2] > log_ei[3] > log_ei[4]
    draws = np.random.default_rng(0).normal(-1.0, 1.0, 400_000)
    assert math.exp(log_ei[2]) == pytest.approx(np.maximum(draws, 0).mean(), rel=0.03)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-0.2, 1.2)] * 4), min_size=1, max_size=8))
def test_snapped_points_are_allowed_and_stay(points) -> None:
    cube = Cube(MIXED)
    snapped = cube.snap(np.array(points))
    for point in snapped:
        params = cube.params(point)
        assert MIXED.contains(params)
        assert cube.point(params) == pytest.approx(point, abs=1e-5)
    assert np.array_equal(cube.snap(snapped), snapped)


def test_the_first_design_begins_in_the_middle() -> None:
    points = [PLANE.unit(t.params) for t in Surrogate(PLANE, 1, n_trainings=20).plan(None, Trials()).trainings]
    assert np.abs(np.array(points) - 0.5).max(axis=1).min() < 0.02


def test_one_more_noisy_training_is_worth_little_where_much_is_known() -> None:
    sds = np.geomspace(1e-4, 10.0, 50)
    worth = np.exp(log_worth(sds, noise=0.1))
    assert (np.diff(worth) > 0).all()
    assert worth[0] < 1e-6
    assert worth[-1] > 0.95


def test_the_scale_is_that_of_the_space_wherever_the_points_are() -> None:
    cube = Cube(PLANE)
    spread = {tuple(p): [two_peaks(cube.params(p))] for p in cube.design(64, 1)}
    near = np.random.default_rng(0).normal([0.5, 0.5], 0.01, (200, 2))
    gathered = spread | {tuple(p): [two_peaks(cube.params(p))] for p in cube.snap(near)}
    _, before = Known(spread).data(cube)
    _, after = Known(gathered).data(cube)
    assert after.centre == pytest.approx(before.centre, abs=0.1 * before.unit)
    assert after.unit == pytest.approx(before.unit, rel=0.2)
