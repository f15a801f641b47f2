"""The surrogate: what it asks for, where it ends, what it hands on, and the process under it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surfaces import SPACE, noisy, plateau, two_peaks

from tests.search.asking import answered, asked
from zonesearch import run_pipeline
from zonesearch.core.reading import BEST
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.search.controller.stage import Controller
from zonesearch.search.stages.grid import Grid
from zonesearch.search.stages.interval import Interval
from zonesearch.search.stages.polish import Polish
from zonesearch.search.stages.surrogate.outcomes import Outcomes
from zonesearch.search.stages.surrogate.proposals import Acquisition, log_improvement, log_worth
from zonesearch.search.stages.surrogate.stage import FIRST_SEED, Surrogate
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.process import Data, Prior, fit, fit_draws
from zonesearch.statistics.gp.stack import Stack
from zonesearch.statistics.gp.success import Labels
from zonesearch.statistics.gp.targets import Known, Scale
from zonesearch.statistics.memory import learn

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


def first_design(n_trainings, space=PLANE, **settings):
    return np.array(
        [
            space.unit(t.params)
            for t in Surrogate(space, 1, n_trainings=n_trainings, **settings).plan(None, Trials()).trainings
        ]
    )


def test_the_first_design_has_one_point_in_each_part_of_every_axis() -> None:
    space = Space.parse({f"x{i}": {"low": 0.0, "high": 1.0} for i in range(4)})
    points = first_design(50, space)
    n = len(points)
    assert n >= 9
    for column in points.T:
        assert sorted(np.floor(column * n).astype(int)) == list(range(n))


@pytest.mark.parametrize(
    ("n_axes", "n", "more", "expected"),
    [
        (2, 100, {}, 20),
        (7, 100, {}, 12),
        (7, 50, {}, 12),
        (7, 20, {}, 10),
        (7, 100, {"first": 0.5}, 50),
        (7, 196, {}, 40),
    ],
)
def test_the_first_design_is_small_where_a_budget_is_scarce(n_axes, n, more, expected) -> None:
    space = Space.parse({f"x{i}": {"low": 0.0, "high": 1.0} for i in range(n_axes)})
    assert len(Surrogate(space, 1, n_trainings=n, **more).plan(None, Trials()).trainings) == expected


def test_any_number_of_the_first_points_is_spread_over_the_space() -> None:
    space = Space.parse({f"x{i}": {"low": 0.0, "high": 1.0} for i in range(3)})
    points = first_design(60, space)
    for n in range(2, len(points) + 1):
        apart = np.linalg.norm(points[:n, None] - points[:n], axis=2) + 9 * np.eye(n)
        alike = np.random.default_rng(n).random((200, n, 3))
        blind = np.linalg.norm(alike[:, :, None] - alike[:, None], axis=3) + 9 * np.eye(n)
        assert apart.min() > np.median(blind.min(axis=(1, 2)))


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


def test_zones_lie_where_trainings_come_to_something() -> None:
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


def acquisition(n_axes, seed=0, lost=False, choices=()):
    """One with draws of the hyperparameters at points of chance, and a region that fails."""
    rng = np.random.default_rng(seed)
    points = rng.random((25, n_axes))
    is_choice = np.isin(np.arange(n_axes), choices)
    points[:, is_choice] = (np.floor(points[:, is_choice] * 3) + 0.5) / 3
    values = np.sin(4 * points[:, 0]) - (points[:, -1] - 0.4) ** 2 + rng.normal(0, 0.1, 25)
    data = Data(points, values, np.ones(25), 0.0, is_choice)
    _, drawn = fit_draws(data, Prior(), 5, rng)
    stack = Stack(drawn)
    region = Labels({tuple(p): (int(p[0] < 0.7), int(p[0] >= 0.7)) for p in points.tolist()}).region(is_choice)
    incumbents = stack.at_points(points)[0].max(axis=1)
    return Acquisition(stack, incumbents, [region] if lost and region else [])


@pytest.mark.parametrize(("n_axes", "choices"), [(1, ()), (3, ()), (4, (2,))])
@pytest.mark.parametrize("lost", [False, True])
def test_slopes_of_the_worth_of_a_point_are_its_derivatives(n_axes, choices, lost) -> None:
    worth = acquisition(n_axes, lost=lost, choices=choices)
    points = np.random.default_rng(9).uniform(0.05, 0.65, (6, n_axes))
    points[:, list(choices)] = 0.5
    values, slopes = worth.slopes(points)
    assert values == pytest.approx(worth.at_points(points), abs=1e-6)
    for axis in range(n_axes):
        if axis in choices:
            assert (slopes[:, axis] == 0).all()
            continue
        step = np.zeros(n_axes)
        step[axis] = 1e-5
        numeric = (worth.at_points(points + step) - worth.at_points(points - step)) / 2e-5
        assert slopes[:, axis] == pytest.approx(numeric, rel=2e-3, abs=2e-3)


def test_draws_of_length_scales_spread_where_little_is_known_and_gather_where_much_is() -> None:
    def spread(n: int) -> float:
        rng = np.random.default_rng(1)
        points = rng.random((n, 2))
        values = np.sin(6 * points[:, 0]) + rng.normal(0, 0.1, n)
        data = Data(points, values, np.ones(n), 0.0, np.array([False, False]))
        _, drawn = fit_draws(data, Prior(), 12, rng)
        return float(np.std([np.log(one.hyper.scales[0]) for one in drawn]))

    assert spread(60) < spread(6)


def test_where_a_fifth_fails_it_still_finds_the_peak_beside_and_seldom_asks_there() -> None:
    def cliff(params, seed):
        u = PLANE.unit(params)
        return math.nan if u[0] > 0.8 else 0.9 - (u[0] - 0.75) ** 2 - (u[1] - 0.4) ** 2

    zones, trials, _ = asked(Surrogate(PLANE, epochs=1, n_trainings=40, batch=2), cliff)
    assert cliff(zones[0].peak, 0) > 0.89
    later = [trial for trial in trials if trial.seed > FIRST_SEED]
    assert sum(trial.state != "complete" for trial in later) < 0.25 * len(later)


def test_failures_by_chance_are_no_region() -> None:
    def flaky(params, seed):
        luck = np.random.default_rng([seed, *(int(1e6 * x) for x in PLANE.unit(params))])
        return math.nan if luck.random() < 0.2 else two_peaks(params)

    zones, _, _ = asked(Surrogate(PLANE, epochs=1, n_trainings=40), flaky)
    assert two_peaks(zones[0].peak) > two_peaks({"width": 256, "batch": 32}) - 0.02


def played(stage, outcome):
    """All trials of a stage; ``outcome`` makes a trial of a training."""
    trials = Trials()
    while missing := trials.missing(stage.plan(None, trials).trainings):
        trials |= Trials(map(outcome, missing))
    return trials


SIZES = Space.parse(
    {
        "width": {"low": 16, "high": 4096, "scale": "log"},
        "batch": {"low": 8, "high": 1024, "scale": "log"},
        "rate": {"low": 1e-4, "high": 1.0, "scale": "log", "row": 4},
    }
)


def test_running_out_of_memory_is_a_limit_that_is_learned() -> None:
    def outcome(training):
        if training.params["width"] * training.params["batch"] > 2**17:
            return Trial(training, "failed", error="MemoryError: out of memory on cpu: width 4096 does not fit")
        u = SIZES.unit(training.params)
        return Trial(training, accuracy=0.5 + 0.2 * u[0] + 0.1 * u[1] - (u[2] - 0.5) ** 2)

    trials = played(Surrogate(SIZES, epochs=1, n_trainings=40, batch=2), outcome)
    late = [trial.params for trial in trials if trial.state == "failed" and trial.seed > FIRST_SEED + 3]
    assert len(late) < 10
    assert all(params["width"] * params["batch"] < 1.5 * 2**17 for params in late)  # only right at the limit
    assert max(trial.accuracy or 0 for trial in trials) > 0.72  # and the best that fits is found


def test_nothing_is_asked_that_is_larger_in_every_respect_than_what_did_not_fit() -> None:
    cube = Cube(SIZES)
    small, large = (
        cube.point({"width": 64, "batch": 16, "rate": 0.1}),
        cube.point({"width": 512, "batch": 256, "rate": 0.1}),
    )
    memory = learn(SIZES, small[None], large[None])
    rates = np.linspace(0, 1, 5)
    larger = np.array([[*cube.point({"width": 1024, "batch": 256, "rate": 0.1})[:2], u] for u in rates])
    smaller = np.array([[*cube.point({"width": 32, "batch": 16, "rate": 0.1})[:2], u] for u in rates])
    assert (memory.log_probability(larger) < -10).all()
    assert (memory.log_probability(smaller) == 0).all()
    between = memory.log_probability(np.array([[0.5, u, 0.5] for u in (0.2, 0.4, 0.6)]))
    assert (np.diff(between) <= 0).all()


def test_what_is_infeasible_teaches_the_surface_and_is_no_peak() -> None:
    def outcome(training):
        u = PLANE.unit(training.params)
        return Trial(training, accuracy=0.5 + 0.4 * u[0], noted={"violation": float(u[0] - 0.6)})

    stage = Surrogate(PLANE, epochs=1, n_trainings=40, batch=2)
    trials = played(stage, outcome)
    zones = stage.plan(None, trials).output
    assert all(PLANE.unit(zone.peak)[0] <= 0.6 for zone in zones)
    assert PLANE.unit(zones[0].peak)[0] > 0.5
    nowhere = played(stage, lambda t: Trial(t, accuracy=0.5, noted={"violation": 1.0}))
    assert stage.plan(None, nowhere).output == ()


def test_what_was_pruned_counts_as_far_as_it_came_and_is_no_peak() -> None:
    def outcome(training):
        u = PLANE.unit(training.params)
        value = 0.9 - float((u[0] - 0.3) ** 2 + (u[1] - 0.6) ** 2)
        return (
            Trial(training, accuracy=value)
            if value > 0.8
            else Trial(training, "pruned", curve={"validation_accuracy": [value]})
        )

    stage = Surrogate(PLANE, epochs=1, n_trainings=30, batch=2)
    trials = played(stage, outcome)
    [zone, *_] = stage.plan(None, trials).output
    assert zone.value > 0.88
    later = [trial for trial in trials if trial.seed > FIRST_SEED + 2]
    assert sum(trial.state == "pruned" for trial in later) < 0.4 * len(later)


def test_failed_and_diverged_are_told_apart() -> None:
    cube = Cube(PLANE)
    points = np.random.default_rng(0).random((20, 2))

    def outcomes(state):
        found = [
            Trial(Training(cube.params(p), i), state if p[0] > 0.7 else "complete", None if p[0] > 0.7 else 0.5)
            for i, p in enumerate(points)
        ]
        return Outcomes(cube, found, BEST)

    far = np.array([[0.95, 0.5], [0.1, 0.5]])
    for state in ("failed", "diverged"):
        [chance] = outcomes(state).chances()
        high, low = chance.log_probability(far)[::-1]
        assert math.exp(low) < 0.3 < 0.8 < math.exp(high)
        assert len(outcomes(state).known().data(cube)[0]) == sum(points[:, 0] <= 0.7)


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


def test_the_first_design_begins_near_the_middle() -> None:
    points = first_design(20)
    away = np.linalg.norm(points - 0.5, axis=1)
    assert np.argmin(away) == 0 or away[0] < 0.3


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


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_values_as_large_as_numbers_can_be_do_not_end_a_search(direction: str) -> None:
    def explodes(params: dict, seed: int, epochs: int) -> float:
        x = params["x"]
        return (1.7e308 if params["y"] > 0.6 else (x - 0.3) ** 2) * (1 if direction == "minimize" else -1)

    space = {name: {"low": 0.0, "high": 1.0} for name in ("x", "y")}
    for stages in (["surrogate"], ["grid", "interval"]):
        result = run_pipeline(
            space,
            objective=explodes,
            metric={"name": "misfit", "direction": direction},
            stages=stages,
            budget={"trainings": 20},
        )
        states = {trial.state for trial in result.trials}
        assert states == {"complete", "diverged"}
        best = result.results.zones[0] if result.results.zones else None
        assert best is None or best.peak["y"] <= 0.6


def test_a_training_expected_at_a_known_point_is_another_repeat_there() -> None:
    points = np.array([[0.2], [0.7]])
    posterior = fit(Data(points, np.array([0.0, 1.0]), np.ones(2), 0.0, np.array([False])), Prior())
    believed = posterior.believing(np.array([[0.7], [0.4], [0.7]]))
    assert believed.data.points.tolist() == [[0.2], [0.7], [0.4]]
    assert believed.data.counts.tolist() == [1, 3, 1]
    assert believed.at_points(points)[1][1] < posterior.at_points(points)[1][1]
    assert np.allclose(believed.at_points(points)[0], posterior.at_points(points)[0], atol=0.05)


@pytest.mark.parametrize("stage", [Surrogate(PLANE, 1, n_trainings=12), Controller(PLANE, 1, n_trainings=12)])
def test_of_equal_settings_the_one_nearest_to_the_middle_is_passed_on_and_a_note_says_so(stage) -> None:
    zones, trials, _ = asked(stage, lambda params, seed: 0.5)
    apart = [float(np.linalg.norm(PLANE.unit(trial.params) - 0.5)) for trial in trials]
    assert np.linalg.norm(PLANE.unit(zones[0].peak) - 0.5) == pytest.approx(min(apart))
    assert any("have the same value, so nothing tells them apart" in note for note in stage.plan(None, trials).notes)


def test_a_note_says_whether_noise_tells_no_settings_apart() -> None:
    stage = Surrogate(PLANE, 1, n_trainings=12, study_seed=1)
    _, trials, _ = asked(stage, lambda params, seed: 0.5 + 0.01 * np.sin(1e4 * PLANE.unit(params).sum() + seed))
    assert any("None of the" in note and "nothing tells them apart" in note for note in stage.plan(None, trials).notes)
    _, trials, _ = asked(stage, on_plane)
    assert not any("nothing tells them apart" in note for note in stage.plan(None, trials).notes)
