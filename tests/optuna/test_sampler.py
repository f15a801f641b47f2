"""The zone search as an Optuna sampler: Optuna's own test cases, then workers, seeds, failures and the end."""

from __future__ import annotations

import math
import pickle
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import timedelta

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase
from optuna.trial import TrialState

from tests import preloaded
from zonesearch import StudyError, Training, ZoneSampler, run_pipeline
from zonesearch.optuna.claims import Wish, claim
from zonesearch.optuna.known import read_study_trials, what
from zonesearch.optuna.space import OptunaSpace

SPACE = {
    "width": {"low": 16, "high": 256, "scale": "log"},
    "rate": {"low": 1e-4, "high": 1.0, "scale": "log", "row": 4},
}


@pytest.fixture(autouse=True)
def _quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


class TestOptunasOwn(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self):
        return ZoneSampler


def accuracy(width, rate):
    return 0.9 - 0.03 * math.log2(width / 70) ** 2 - 0.02 * (math.log10(rate) + 1.7) ** 2


def objective(trial):
    return accuracy(trial.suggest_int("width", 16, 256, log=True), trial.suggest_float("rate", 1e-4, 1, log=True))


def points(study):
    return [tuple(sorted(trial.params.items())) for trial in study.trials]


def same_search(n_trials, direction="maximize", sign=1.0, **settings):
    study = optuna.create_study(direction=direction, sampler=ZoneSampler(SPACE, **settings))
    study.optimize(lambda trial: sign * objective(trial), n_trials=n_trials)
    return study


def test_wants_what_run_pipeline_wants() -> None:
    result = run_pipeline(SPACE, objective=lambda params, seed, epochs: accuracy(**params), seeds=2)
    wanted = Counter(tuple(sorted(trial.params.items())) for trial in result.trials)
    study = same_search(sum(wanted.values()), seeds=2)
    assert Counter(points(study)) == wanted


def test_minimising_is_maximising_the_negative() -> None:
    assert points(same_search(40)) == points(same_search(40, "minimize", -1.0))


def test_a_study_goes_on_with_another_sampler_and_through_pickle() -> None:
    whole = points(same_search(40))
    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(SPACE))
    study.optimize(objective, n_trials=13)
    study.sampler = pickle.loads(pickle.dumps(ZoneSampler(SPACE)))
    study.optimize(objective, n_trials=27)
    assert points(study) == whole


def test_without_a_space_it_is_read_off_the_first_trial() -> None:
    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(seed=0))
    study.optimize(objective, n_trials=40)
    grid = {point for point in points(study) if dict(point)["width"] in (16, 32, 64, 128, 256)}
    assert len(grid) >= 25
    assert study.best_value > 0.89


def test_steps_and_choices_keep_to_their_values() -> None:
    switches = [None, "on", 0.5, True]

    def mixed(trial):
        x = trial.suggest_float("x", -1.0, 1.0, step=0.25)
        n = trial.suggest_int("n", 3, 30, step=3)
        kind = trial.suggest_categorical("kind", switches)
        return -abs(x - 0.5) - abs(n - 12) / 10 + switches.index(kind) / 10

    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(coordinate={"n_trainings": 30}))
    study.optimize(mixed, n_trials=80)
    assert study.best_params == {"x": 0.5, "n": 12, "kind": True}


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (FloatDistribution(-10.2, 10.2, step=0.1), [-10.2, -0.1, 0.3, 10.2]),
        (IntDistribution(3, 30, step=3), [3, 12, 30]),
        (IntDistribution(1, 1000, log=True), [1, 37, 1000]),
        (FloatDistribution(1e-7, 1.0, log=True), [1e-7, 0.1, 1.0]),
        (CategoricalDistribution([None, "a", 3, 2.5, True]), [None, "a", 3, 2.5, True]),
    ],
)
def test_points_go_there_and_back(distribution, values) -> None:
    space = OptunaSpace({"x": distribution}, {})
    for value in values:
        point = space.encode({"x": value, "other": 3})
        assert point is not None
        assert space.space.contains(point)
        assert space.decode(point)["x"] == pytest.approx(value) if isinstance(value, float) else True
        assert type(space.decode(point)["x"]) is type(value)
    for u in np.linspace(0, 1, 13):
        value = space.decode(space.space.from_unit([u]))["x"]
        assert distribution._contains(distribution.to_internal_repr(value))
        assert space.encode({"x": value}) == space.space.from_unit([u])
    assert space.encode({}) is None
    assert (
        space.encode({"x": "no value of it"} if isinstance(distribution, CategoricalDistribution) else {"x": 1e9})
        is None
    )


def test_parameters_of_branches_are_drawn_at_random_and_do_not_stop_the_search() -> None:
    def branching(trial):
        extra = trial.suggest_float("extra", 0, 1) if trial.number % 2 else 0.0
        return objective(trial) + 1e-6 * extra

    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(SPACE))
    study.optimize(branching, n_trials=40)
    assert points(same_search(40))[:25] == [
        tuple(sorted((k, v) for k, v in t.params.items() if k != "extra")) for t in study.trials[:25]
    ]
    assert len({t.params["extra"] for t in study.trials if "extra" in t.params}) == 20


class TestWorkers:
    def test_threads_never_train_the_same_unless_all_is_running(self) -> None:
        at_work: Counter = Counter()
        most = 0
        lock = threading.Lock()

        def slow(trial):
            nonlocal most
            value = objective(trial)
            point = tuple(sorted(trial.params.items()))
            with lock:
                at_work[point] += 1
                most = max(most, at_work[point])
            time.sleep(random.uniform(0, 0.01))
            with lock:
                at_work[point] -= 1
            return value

        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(SPACE, stages=["grid"]))
        study.optimize(slow, n_trials=25, n_jobs=5)
        # The last of the 25 cells may be running when a worker asks for the 25th trial, never before.
        assert set(Counter(points(study)).values()) == {1}
        assert most == 1

    def test_processes_on_one_storage_share_the_grid(self, tmp_path) -> None:
        journal = str(tmp_path / "journal.log")
        storage = JournalStorage(JournalFileBackend(journal))
        study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
        script = f"""
import sys, time, random, math, optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from zonesearch import ZoneSampler
optuna.logging.set_verbosity(optuna.logging.ERROR)
def objective(trial):
    width, rate = trial.suggest_int("width", 16, 256, log=True), trial.suggest_float("rate", 1e-4, 1, log=True)
    time.sleep(random.uniform(0, 0.02))
    return -math.log2(width / 70) ** 2 - (math.log10(rate) + 1.7) ** 2
study = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend({journal!r})),
                          sampler=ZoneSampler({SPACE!r}, stages=["grid"], seeds=2))
study.optimize(objective, n_trials=int(sys.argv[1]))
"""
        workers = [preloaded.start("-c", script, n, log=tmp_path / f"log-{n}") for n in (26, 24)]
        assert [worker.wait(120) for worker in workers] == [0, 0]
        assert len(study.trials) == 50
        other = [point for point, n in Counter(points(study)).items() if n != 2]
        assert len(other) <= 2  # where both ask at once for what is wanted last, one of them gets a new point

    def test_claims_are_never_shared(self) -> None:
        """Without the sampler's own lock: only the claims in the storage keep the workers apart."""
        study = optuna.create_study()
        space = OptunaSpace({"x": IntDistribution(0, 99)}, {})
        chosen: list[int] = []

        def work():
            for _ in range(10):
                trial = study._storage.get_trial(study._storage.create_new_trial(study._study_id))

                def wish(known):
                    time.sleep(random.uniform(0, 0.003))
                    return Wish(next(t for x in range(100) if not known.n_running(t := Training({"x": x}))))

                training = claim(study, trial, space, 1, wish)
                assert training is not None
                chosen.append(training.params["x"])  # type: ignore[arg-type]

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(chosen) == list(range(80))

    def test_what_is_running_counts_as_asked_then_gets_one_more_seed(self) -> None:
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(SPACE, stages=["grid"]))
        asked = []
        for _ in range(26):
            trial = study.ask()
            objective(trial)
            asked.append(tuple(sorted(trial.params.items())))
        assert len(set(asked[:25])) == 25
        assert asked[25] in asked[:25]

    def test_a_worker_that_died_between_claim_and_start_stops_nobody(self) -> None:
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(SPACE, stages=["grid"]))
        for _ in range(5):
            study.ask().suggest_int("width", 16, 256, log=True)
        study.optimize(objective, n_trials=25)
        assert len({point for point in points(study) if len(point) == 2}) == 25


class TestOutcomes:
    def test_a_failed_trial_is_tried_once_more_and_then_lost(self) -> None:
        def failing(trial):
            value = objective(trial)
            if trial.params["width"] == 32:
                raise RuntimeError("out of memory")
            return value

        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(SPACE, stages=["grid"]))
        study.optimize(failing, n_trials=30, catch=RuntimeError)
        often = Counter(points(study))
        assert {n for point, n in often.items() if dict(point)["width"] == 32} == {2}
        assert {n for point, n in often.items() if dict(point)["width"] != 32} == {1}

    def test_nothing_but_failures_goes_on_at_random(self) -> None:
        def broken(trial):
            objective(trial)
            raise RuntimeError

        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(SPACE))
        study.optimize(broken, n_trials=60, catch=RuntimeError)
        assert len(set(points(study)[50:])) == 10

    def test_pruned_trials_have_no_value_and_are_not_asked_for_again(self) -> None:
        space = OptunaSpace({"x": IntDistribution(0, 9)}, {})
        study = optuna.create_study(direction="minimize")
        for x, reports in ((1, [5.0, 3.0]), (2, [])):
            trial = study.ask({"x": IntDistribution(x, x)})
            for step, value in enumerate(reports):
                trial.report(value, step)
            study.tell(trial, state=TrialState.PRUNED)
        known = read_study_trials(study, space, 1).trials
        assert {(trial.params["x"], trial.state, trial.accuracy) for trial in known} == {
            (1, "pruned", None),
            (2, "pruned", None),
        }

    def test_infinite_values_are_diverged_trainings(self) -> None:
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(SPACE))
        study.optimize(lambda trial: objective(trial) if trial.number % 3 else -math.inf, n_trials=40)
        assert len(study.trials) == 40

    def test_trials_with_the_same_params_are_seeds_whoever_made_them(self) -> None:
        space = OptunaSpace({"x": IntDistribution(0, 9)}, {})
        study = optuna.create_study(direction="maximize")
        for x, value in ((1, 0.1), (2, 0.5), (1, 0.2), (1, 0.3)):
            study.add_trial(optuna.create_trial(params={"x": x}, distributions=dict(space.distributions), value=value))
        known = read_study_trials(study, space, 1)
        assert {(trial.params["x"], trial.seed, trial.accuracy) for trial in known.trials} == {
            (1, 0, 0.1),
            (1, 1, 0.2),
            (1, 2, 0.3),
            (2, 0, 0.5),
        }
        assert known.fresh({"x": 1}) == 3
        assert known.fresh({"x": 5}) == 0

    def test_known_trials_are_not_asked_for_again(self) -> None:
        study = same_search(10, stages=["grid"])
        other = optuna.create_study(direction="maximize", sampler=ZoneSampler(SPACE, stages=["grid"]))
        other.add_trials(study.trials)
        other.enqueue_trial({"width": 256, "rate": 1.0})
        other.optimize(objective, n_trials=15)
        assert len(set(points(other))) == 25


class TestAfterThePipeline:
    def test_further_trainings_go_to_what_may_be_best(self) -> None:
        rng = np.random.default_rng(0)
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(SPACE, stages=["grid"], seeds=2))
        study.optimize(lambda trial: objective(trial) + rng.normal(0, 0.01), n_trials=90)
        often = Counter(points(study)[50:])
        of_grid = max(accuracy(**dict(point)) for point in points(study)[:50])
        truths = [accuracy(**dict(point)) for point in often.elements()]
        assert np.median(truths) > of_grid - 0.01  # most are as good as the grid's best cell
        assert any(n > 1 for n in often.values())  # further seeds, and new points between the cells of the grid
        assert max(truths) > of_grid

    def test_further_seeds_tell_the_best_of_few_points(self) -> None:
        rng = np.random.default_rng(0)
        space = {"x": {"low": 0, "high": 4}, "y": ["a", "b"]}
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(space, stages=["grid"], seed=0))

        def noisy(trial: optuna.Trial) -> float:
            good = trial.suggest_categorical("y", ["a", "b"]) == "b"
            return float(good - abs(trial.suggest_int("x", 0, 4) - 3) + rng.normal(0, 0.5))

        study.optimize(noisy, n_trials=44)
        often = Counter((trial.params["x"], trial.params["y"]) for trial in study.trials)
        assert often[3, "b"] > 7  # the best
        assert often[0, "a"] <= 2  # the worst

    @pytest.mark.parametrize("settings", [{"afterwards": "random"}, {"seeds": 2}])
    def test_at_new_points_when_asked_to_or_when_there_is_no_noise(self, settings) -> None:
        study = same_search(70, stages=["grid"], **settings)
        assert len(set(points(study)[50:])) == 20

    def test_new_points_are_near_the_best_when_there_is_no_noise(self) -> None:
        study = same_search(70, stages=["grid"], seeds=2)
        of_grid = max(accuracy(**dict(point)) for point in points(study)[:50])
        found = [accuracy(**dict(point)) for point in points(study)[50:]]
        assert max(found) > of_grid
        assert np.median(found) > np.median([accuracy(**dict(point)) for point in points(study)[:50]])


class TestWhatCannotBeHad:
    """Each of these asked for the same training again and again, within one suggestion or from trial to trial."""

    pytestmark = pytest.mark.timeout(60)

    def test_an_axis_that_is_never_suggested_is_said(self) -> None:
        space = {"x": {"low": 0.0, "high": 1.0, "row": 4}, "q": [1, 2]}
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(space))
        with pytest.raises(StudyError, match=r"axis q, which the objective suggested in none of 5 trials"):
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=10)
        assert len(study.trials) == 6
        assert {trial.state for trial in study.trials} == {TrialState.COMPLETE, TrialState.FAIL}

    def test_a_misspelt_axis_is_said_with_what_is_suggested(self) -> None:
        space = {"x": {"low": 0.0, "high": 1.0, "row": 4}, "momentun": {"low": 0.0, "high": 1.0, "row": 2}}
        study = optuna.create_study(sampler=ZoneSampler(space))
        with pytest.raises(StudyError, match=r"axis momentun.*it suggests momentum beside the space"):
            study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("momentum", 0, 1), n_trials=30)

    def test_a_space_of_which_nothing_is_suggested_is_said(self) -> None:
        study = optuna.create_study(sampler=ZoneSampler(SPACE))
        with pytest.raises(StudyError, match="axes width, rate"):
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=30)

    def test_an_axis_of_a_branch_is_waited_for(self) -> None:
        """Of the grid only the last trainings are in the branch."""
        space = {"x": {"low": 0.0, "high": 1.0, "row": 20}, "y": {"low": 0.0, "high": 1.0, "row": 2}}

        def late(trial):
            x = trial.suggest_float("x", 0, 1)
            return x + (trial.suggest_float("y", 0, 1) if x > 0.96 else 0.0)

        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(space, stages=["grid"]))
        study.optimize(late, n_trials=19)
        assert "y" not in {name for trial in study.trials for name in trial.params}

    @pytest.mark.parametrize("choices", [[True, 1, "a"], [0, False], [1, 1.0]])
    def test_choices_that_optuna_cannot_tell_apart_are_said(self, choices) -> None:
        study = optuna.create_study(sampler=ZoneSampler())
        with pytest.raises(StudyError, match="which Optuna cannot tell apart because they are equal"):
            study.optimize(lambda trial: float(str(trial.suggest_categorical("c", choices)) == "1"), n_trials=20)

    def test_several_objectives_are_refused(self) -> None:
        study = optuna.create_study(directions=["minimize", "maximize"], sampler=ZoneSampler())
        with pytest.raises(StudyError, match="the study has 2 objectives"):
            study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 1.0), n_trials=2)

    def test_a_point_that_never_comes_back_as_claimed_is_given_up(self) -> None:
        """The objective's range is narrower than the axis, and moves."""
        study = optuna.create_study(
            direction="maximize", sampler=ZoneSampler({"x": {"low": 0.0, "high": 1.0, "row": 4}}, stages=["grid"])
        )
        study.optimize(lambda trial: trial.suggest_float("x", 0, 0.4 + 0.01 * (trial.number % 3)), n_trials=20)
        assert len(study.trials) == 20
        assert 0.25 in {trial.params["x"] for trial in study.trials}

    def test_steps_of_the_objective_are_kept_to(self) -> None:
        space = {"x": {"low": 0.0, "high": 1.0, "row": [0.0, 0.3, 0.55, 1.0]}}
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(space, stages=["grid"]))
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1, step=0.5), n_trials=8)
        assert {trial.params["x"] for trial in study.trials[:4]} >= {0.0, 0.5, 1.0}

    def test_constants_need_no_search(self) -> None:
        study = optuna.create_study(sampler=ZoneSampler({"x": [1, 2, 4], "c": {"low": 2.0, "high": 2.0, "row": 1}}))
        study.optimize(lambda t: t.suggest_int("x", 1, 4, log=True) * t.suggest_float("c", 2, 2), n_trials=8)
        assert {trial.params["x"] for trial in study.trials[:3]} == {1, 2, 4}
        study = optuna.create_study(sampler=ZoneSampler())
        study.optimize(lambda t: t.suggest_float("c", 2, 2) + t.suggest_categorical("d", [1]), n_trials=4)
        assert len(study.trials) == 4


BRANCHED = {
    "opt": ["adam", "sgd"],
    "rate": {"low": 1e-3, "high": 1e-1, "scale": "log", "row": 2},
    "momentum": {"low": 0.0, "high": 0.9, "row": 3},
}


class TestBranches:
    @staticmethod
    def objective(trial):
        kind = trial.suggest_categorical("opt", ["adam", "sgd"])
        rate = math.log10(trial.suggest_float("rate", 1e-3, 1e-1, log=True))
        if kind == "adam":
            return 0.8 - 0.05 * (rate + 3) ** 2
        return 0.9 - 0.05 * (rate + 2) ** 2 - 0.2 * abs(trial.suggest_float("momentum", 0.0, 0.9) - 0.6)

    def test_a_trial_without_a_parameter_answers_for_all_of_its_values(self) -> None:
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(BRANCHED, stages=["grid"]))
        study.optimize(self.objective, n_trials=3 + 3 * 4)
        assert len({tuple(sorted(trial.params.items())) for trial in study.trials}) == 3 + 3 * 4
        assert study.best_params == {"opt": "sgd", "rate": pytest.approx(1e-2), "momentum": pytest.approx(0.6)}

    def test_every_seed_of_a_branch_is_trained(self) -> None:
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(BRANCHED, stages=["grid"], seeds=2))
        study.optimize(self.objective, n_trials=2 * (3 + 3 * 4))
        assert set(Counter(points(study)).values()) == {2}

    def test_branches_are_searched_without_a_space(self) -> None:
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(seed=0))
        study.optimize(self.objective, n_trials=60)
        assert study.best_value > 0.89

    def test_branches_with_parameters_of_their_own(self) -> None:
        def classifier(trial):
            if trial.suggest_categorical("kind", ["svc", "forest"]) == "svc":
                return 0.8 - 0.01 * (math.log10(trial.suggest_float("svc_c", 1e-5, 1e5, log=True)) - 2) ** 2
            return 0.9 - 0.05 * abs(math.log2(trial.suggest_int("forest_depth", 2, 32, log=True)) - 3)

        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(seed=0))
        study.optimize(classifier, n_trials=50)
        assert study.best_value > 0.88


class TestParallelAsks:
    @pytest.mark.parametrize("settings", [{}, {"stages": ["surrogate"], "surrogate": {"n_trainings": 48}}])
    def test_eight_asks_are_eight_points(self, settings) -> None:
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(seed=0, **settings))
        for _ in range(4):
            trials = [study.ask() for _ in range(8)]
            at = [tuple(trial.suggest_float(f"x{i}", 0, 1) for i in range(4)) for trial in trials]
            assert len(set(at)) == 8
            for trial, point in zip(trials, at, strict=True):
                study.tell(trial, 90 - 60 * sum((value - 0.63) ** 2 for value in point))

    def test_a_worker_that_died_long_ago_is_no_worker(self) -> None:
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(SPACE, stages=["grid"]))
        dead = study.ask()
        objective(dead)
        study.optimize(objective, n_trials=3)
        frozen = study._storage._get_trial(dead._trial_id)  # the in-memory storage hands out what it holds
        frozen.datetime_start -= timedelta(hours=2)
        study.optimize(objective, n_trials=1)
        assert study.trials[-1].params == dead.params


@pytest.mark.parametrize("seed", [0, 1])
def test_points_that_differ_by_what_is_not_suggested_are_the_same_to_a_surrogate(seed: int) -> None:
    """Some of them pruned: a point without momentum was asked again for every momentum."""
    draws = random.Random(seed)

    def objective(trial: optuna.Trial) -> float:
        x, kind = trial.suggest_float("x", 0, 1), trial.suggest_categorical("kind", ["sgd", "adam", None])
        m = trial.suggest_float("m", 0, 0.9) if kind == "sgd" else 0.5
        if draws.random() < 0.3:
            raise optuna.TrialPruned
        return float(0.2 * (x - 0.4) ** 2 + 0.05 * (kind == "adam") + 0.05 * (m - 0.7) ** 2)

    study = optuna.create_study(sampler=ZoneSampler(seed=seed))
    study.optimize(objective, n_trials=36)
    points = [tuple(sorted(trial.params.items(), key=str)) for trial in study.trials]
    assert len(set(points)) == len(points)


def test_a_pruner_goes_on_to_new_points() -> None:
    def reporting(trial):
        value = objective(trial)
        for step in range(10):
            trial.report(value * (1 - math.exp(-(step + 1) / 3)), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    study = optuna.create_study(
        direction="maximize", sampler=ZoneSampler(SPACE), pruner=optuna.pruners.MedianPruner(n_startup_trials=3)
    )
    study.optimize(reporting, n_trials=60)
    pruned = [point for point, trial in zip(points(study), study.trials, strict=True) if trial.state.name == "PRUNED"]
    assert pruned
    assert max(Counter(pruned).values()) == 1
    assert study.best_value > 0.89


def test_one_sampler_serves_two_studies() -> None:
    sampler = ZoneSampler(SPACE)
    studies = [optuna.create_study(direction="maximize", sampler=sampler) for _ in range(2)]
    for _ in range(15):
        for study in studies:
            study.optimize(objective, n_trials=1)
    assert points(studies[0]) == points(studies[1]) == points(same_search(15))


def test_an_enqueued_point_takes_no_training_away() -> None:
    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(SPACE, stages=["grid"]))
    study.enqueue_trial({"width": 77, "rate": 0.5})
    study.enqueue_trial({"width": 32})
    study.optimize(objective, n_trials=27)
    assert study.trials[0].params == {"width": 77, "rate": 0.5}
    assert study.trials[1].params["width"] == 32
    cells = set(points(same_search(25, stages=["grid"])))
    assert len(cells) == 25
    assert cells <= set(points(study))


class TestSettings:
    def test_mistakes_are_said_when_it_is_made(self) -> None:
        with pytest.raises(StudyError, match='afterwards is "repeat" or "random", not \'tpe\''):
            ZoneSampler(afterwards="tpe")
        with pytest.raises(StudyError, match="gird"):
            ZoneSampler(stages=["gird"])
        with pytest.raises(StudyError, match=r"interval.*not one of its stages"):
            ZoneSampler(stages=["grid"], interval={"method": "golden"})
        with pytest.raises(StudyError, match="zones_mn"):
            ZoneSampler(grid={"zones_mn": 3})

    def test_a_stage_that_wants_more_than_the_study_has_is_named(self) -> None:
        study = optuna.create_study(sampler=ZoneSampler(SPACE, polish={"schedules": ["plateau(patience=3)"]}))
        with pytest.raises(StudyError, match="stage polish wants schedule, which the Optuna study does not suggest"):
            study.optimize(objective, n_trials=80)

    def test_import_zonesearch_loads_no_optuna(self) -> None:
        script = "import sys, zonesearch; assert 'optuna' not in sys.modules; zonesearch.ZoneSampler"
        subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_what_makes_trainings_the_same_work() -> None:
    assert what(Training({"x": 1}, 0, 2)) == what(Training({"x": 1.0}, 0, 2, test=True))
    assert what(Training({"x": 1}, 0, 2)) != what(Training({"x": 1}, 0, 3))
