"""A study that somebody made with Optuna comes in as a space and trials."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution

from zonesearch.core.metric import Metric
from zonesearch.core.space import Axis, Choice, Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StoreError, StudyError
from zonesearch.optuna.importing import Imported, import_study
from zonesearch.optuna.runs import import_run
from zonesearch.optuna.storage import open_storage, quiet_optuna
from zonesearch.optuna.view import OptunaView
from zonesearch.run.recorded import read_run
from zonesearch.search.stages.imported import ImportedTrials
from zonesearch.statistics.scattered import cells_of_trials, on_grid

optuna.logging.set_verbosity(optuna.logging.ERROR)


def searched(path: Path, direction: str = "maximize", name: str = "theirs") -> str:
    """A study with pruned, failed, repeated and unfinished evaluations."""
    url = str(path / "study.journal")
    study = optuna.create_study(
        storage=open_storage(url, create=True),
        study_name=name,
        direction=direction,
        sampler=optuna.samplers.RandomSampler(seed=1),
    )

    def objective(trial: optuna.Trial) -> float:
        width = trial.suggest_int("width", 8, 64, log=True)
        rate = trial.suggest_float("rate", 0.0, 1.0)
        trial.suggest_categorical("kind", ["a", "b", None])
        for step in range(3):
            trial.report(rate * step / 2, step)
            if trial.number == 3 and step == 1:
                raise optuna.TrialPruned
        if trial.number == 4:
            return math.nan
        return rate if width else 0.0

    study.optimize(objective, n_trials=10)
    study.enqueue_trial(study.trials[0].params)
    study.optimize(objective, n_trials=1)
    study.ask()
    return url


def test_import_reads_axes_from_the_distributions(tmp_path: Path) -> None:
    found = import_study(searched(tmp_path))
    width = found.space["width"]
    assert not isinstance(width, Choice)
    assert (width.low, width.high, width.scale, width.integer) == (8, 64, "log", True)
    assert found.space["kind"] == Choice("kind", ("a", "b", None))
    assert found.space.names == ("width", "rate", "kind")
    assert all(found.space.contains(t.params) for t in found.trials)


def test_import_reads_every_finished_evaluation(tmp_path: Path) -> None:
    url = searched(tmp_path)
    found = import_study(url, "theirs")
    by_number = {t.provenance["optuna_trial"]: t for t in found.trials.records()}
    assert sorted(by_number) == list(range(11))
    assert found.n_skipped == 1
    assert by_number[4].state == "failed"
    assert (by_number[3].state, by_number[3].accuracy) == ("pruned", None)
    assert len(by_number[3].validation_curve) == 2
    assert by_number[0].validation_curve == (0.0, by_number[0].params["rate"] / 2, by_number[0].params["rate"])
    assert by_number[0].accuracy == by_number[0].params["rate"]
    assert (by_number[0].seed, by_number[10].seed) == (0, 1)  # the same parameters again


def test_import_keeps_the_sign_of_a_minimised_value(tmp_path: Path) -> None:
    found = import_study(searched(tmp_path, "minimize"))
    assert found.metric == Metric("value", "minimize")
    assert found.trials.metric == found.metric
    values = [t.accuracy for t in found.trials if t.accuracy is not None]
    assert min(values) >= 0
    assert sorted(values) == sorted(t.params["rate"] for t in found.trials if t.complete)


def test_import_of_our_own_view_gives_the_trials_back(tmp_path: Path) -> None:
    space = Space.parse({"width": [8, 16], "kind": ["a", "b"]})
    made = [
        Trial(
            Training({"width": width, "kind": kind, "schedule": "constant"}, seed, 2),
            accuracy=0.5 + seed / 8,
            curve={"validation_accuracy": (0.25, 0.5 + seed / 8)},
            seconds=1.5,
            n_parameters=10,
        )
        for width in (8, 16)
        for kind in "ab"
        for seed in (0, 1)
    ]
    made.append(Trial(Training({"width": 8, "kind": "a", "schedule": "x"}, 0, 2), "diverged"))
    url = str(tmp_path / "view.journal")
    OptunaView(url, "ours", "f", space).top_up(made)
    found = import_study(url)

    def plain(trials: Trials) -> list[tuple[object, ...]]:
        return [(t.training.key, t.epochs, t.state, t.accuracy, t.curve, t.seconds, t.n_parameters) for t in trials]

    assert plain(found.trials) == plain(Trials(made))
    assert found.space.names == space.names


def test_a_view_of_an_import_gives_the_trials_back(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("opt", ["adam", "sgd"])
        x = trial.suggest_float("x", 0, 1) + (trial.suggest_int("n", 1, 4) if kind == "sgd" else 0)
        trial.report(x, 0)
        if trial.number % 4 == 1:
            raise optuna.TrialPruned
        if trial.number % 5 == 2:
            raise RuntimeError("out of memory")
        return x

    first = import_study(made(tmp_path, "theirs", objective, 20))
    url = str(tmp_path / "view.journal")
    OptunaView(url, "ours", "f", first.space).top_up(first.trials)
    second = import_study(url)

    def plain(trials: Trials) -> list[tuple[object, ...]]:
        return [(t.training.key, t.state, t.accuracy, t.validation_curve) for t in trials]

    assert plain(second.trials) == plain(first.trials)


def test_import_says_what_is_missing(tmp_path: Path) -> None:
    url = searched(tmp_path)
    storage = open_storage(url, create=True)
    with pytest.raises(StoreError, match=r'no study "other".*it holds: theirs'):
        import_study(url, "other")
    optuna.create_study(storage=storage, study_name="empty")
    optuna.create_study(storage=storage, study_name="two", directions=["minimize", "maximize"])
    with pytest.raises(StoreError, match=r"name a study.*empty, theirs, two"):
        import_study(url)
    with pytest.raises(StoreError, match="no evaluation with a value"):
        import_study(url, "empty")
    with pytest.raises(StudyError, match=r"2 objectives \(0: values_0 \(minimized\), 1: values_1 \(maximized\)\)"):
        import_study(url, "two")
    with pytest.raises(StoreError, match="there is no database"):
        import_study(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()


def test_import_identity_is_plain(tmp_path: Path) -> None:
    found = import_study(searched(tmp_path))
    assert isinstance(found, Imported)
    assert found.identity() == {
        "optuna_study": "theirs",
        "metric": {"name": "value", "direction": "maximize"},
    }


def made(
    path: Path, name: str, objective: Callable[[optuna.Trial], Any], n: int = 12, url: str = "", **settings: Any
) -> str:
    """A study by a random sampler; what the objective raises is a failed trial."""
    url = url or str(path / "made.journal")
    settings = {"direction": "maximize", "sampler": optuna.samplers.RandomSampler(seed=0)} | settings
    if "directions" in settings:
        settings.pop("direction")
    study = optuna.create_study(storage=open_storage(url, create=True), study_name=name, **settings)
    study.optimize(objective, n_trials=n, catch=(Exception,))
    return url


def test_import_of_trials_that_failed_before_or_between_suggestions(tmp_path: Path) -> None:
    def failing(trial: optuna.Trial) -> float:
        if trial.number == 3:
            raise RuntimeError("out of memory")
        rate = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        if trial.number == 5:
            raise RuntimeError("out of memory")
        return rate + trial.suggest_int("w", 1, 4)

    found = import_study(made(tmp_path, "failing", failing))
    by_number = {t.provenance["optuna_trial"]: t for t in found.trials}
    assert len(by_number) == 12
    assert (by_number[3].state, dict(by_number[3].params)) == ("failed", {})
    assert (by_number[5].state, set(by_number[5].params)) == ("failed", {"lr"})
    assert sum(t.complete for t in found.trials) == 10
    assert found.space.names == ("lr", "w")


def test_import_notes_numbers_that_were_set_as_attributes(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        for name, value in (("flops", 3), ("seed", 42), ("done", True), ("host", "here"), ("bad", math.nan)):
            trial.set_user_attr(name, value)
        return trial.suggest_float("x", 0, 1)

    found = import_study(made(tmp_path, "noted", objective, 3))
    assert [dict(t.noted) for t in found.trials] == [{"flops": 3.0, "user_seed": 42.0}] * 3
    assert {t.seed for t in found.trials} == {0}


def test_import_of_a_conditional_parameter_leaves_it_out_where_it_was_not_suggested(tmp_path: Path) -> None:
    def branching(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("opt", ["adam", "sgd"])
        return trial.suggest_float("lr", 1e-3, 1e-1) + (trial.suggest_float("momentum", 0, 1) if kind == "sgd" else 0)

    found = import_study(made(tmp_path, "branching", branching, 20))
    assert {(t.params["opt"], "momentum" in t.params) for t in found.trials} == {("adam", False), ("sgd", True)}
    assert set(found.space.names) == {"opt", "lr", "momentum"}


def test_import_of_a_scattered_study_has_rows_of_no_tried_values(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        return sum(trial.suggest_float(f"x{i}", 0, 1) for i in range(6)) + trial.suggest_categorical("k", [1, 2])

    found = import_study(made(tmp_path, "scattered", objective, 60))
    assert {len(found.space[f"x{i}"].row()) for i in range(6)} == {5}
    assert not on_grid(found.space, cells_of_trials(found.trials))


def test_import_of_a_grid_has_the_grid_as_rows(tmp_path: Path) -> None:
    third = 0.1 + 0.2  # 0.30000000000000004
    sampler = optuna.samplers.GridSampler({"a": [0.1, 0.2, third], "b": ["x", "y"], "c": [1, 2, 4]}, seed=0)

    def objective(trial: optuna.Trial) -> float:
        a, b = trial.suggest_float("a", 0, 1), trial.suggest_categorical("b", ["x", "y", "z"])
        return a - 0.1 * abs(trial.suggest_int("c", 1, 8) - 2) + 0.1 * (b == "x")

    found = import_study(made(tmp_path, "grid", objective, 18, sampler=sampler))
    assert [len(axis.row()) for axis in found.space.axes] == [3, 2, 3]
    assert on_grid(found.space, cells_of_trials(found.trials))
    plan = ImportedTrials(found.space).plan(None, found.trials)
    assert not found.trials.missing(plan.trainings)
    assert plan.output[0].peak == {"a": pytest.approx(0.3), "b": "x", "c": 2}


def test_import_joins_ranges_that_changed_on_the_way(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        late = trial.number >= 6
        x = trial.suggest_float("x", 0.5, 4 if late else 1)
        return x + (trial.suggest_int("n", 1, 3) if late else trial.suggest_int("n", 2, 8))

    space = import_study(made(tmp_path, "ranges", objective)).space
    assert [(axis.low, axis.high) for axis in space.axes if isinstance(axis, Axis)] == [(0.5, 4), (1, 8)]


def test_import_of_steps_constants_and_odd_choices(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1, step=0.25) + trial.suggest_float("fixed", 2, 2)
        choice = trial.suggest_categorical("c", [None, "None ", True, 0.5, "<b>"])
        return x + len(str(choice)) + trial.suggest_int("n", 3, 9, step=3)

    found = import_study(made(tmp_path, "odd", objective, 30))
    assert {t.params["fixed"] for t in found.trials} == {2}
    assert {t.params["x"] for t in found.trials} <= {0, 0.25, 0.5, 0.75, 1}
    assert {t.params["n"] for t in found.trials} <= {3, 6, 9}
    assert all(found.space.contains(t.params) for t in found.trials)


def test_import_of_reports_with_gaps_and_nan(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        for step in (10, 20, 40):
            trial.report(math.nan if step == 20 else x * step / 40, step)
        if trial.number == 1:
            raise optuna.TrialPruned
        return math.inf if trial.number == 2 else x

    found = import_study(made(tmp_path, "reports", objective))
    by_number = {t.provenance["optuna_trial"]: t for t in found.trials}
    x = by_number[0].params["x"]
    assert by_number[0].curve == {"validation_accuracy": (pytest.approx(x / 4), pytest.approx(x)), "step": (10, 40)}
    assert by_number[0].value(found.reading) == pytest.approx(x)
    assert (by_number[1].state, len(by_number[1].validation_curve)) == ("pruned", 2)
    assert by_number[2].state == "diverged"


def test_import_reads_no_value_off_reports_of_something_else(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.report(17.0, 1)
        return trial.suggest_float("x", 0, 1)

    found = import_study(made(tmp_path, "losses", objective))
    assert all(t.value(found.reading) == t.accuracy == t.params["x"] for t in found.trials)
    assert {tuple(t.curve) for t in found.trials} == {("reported",)}


class TestObjectives:
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        url = made(
            tmp_path,
            "two",
            lambda trial: (trial.suggest_float("x", 0, 1), 100 * trial.suggest_float("y", 0, 1)),
            directions=["maximize", "minimize"],
        )
        with quiet_optuna():
            study = optuna.load_study(study_name="two", storage=open_storage(url, create=False))
            study.set_metric_names(["accuracy", "latency_ms"])
        return url

    @pytest.mark.parametrize("objective", [1, "1", "latency_ms"])
    def test_one_is_ranked_by_and_the_others_are_noted(self, url: str, objective: int | str) -> None:
        found = import_study(url, objective=objective)
        assert found.metric == Metric("latency_ms", "minimize")
        assert all(t.accuracy == 100 * t.params["y"] and t.noted == {"accuracy": t.params["x"]} for t in found.trials)
        assert found.identity()["objective"] == 1

    def test_a_wrong_name_is_said_with_the_right_one(self, url: str) -> None:
        with pytest.raises(StudyError, match=r'no objective "latency".*did you mean "latency_ms"'):
            import_study(url, objective="latency")


def test_a_parameter_may_be_called_as_the_metric_is(tmp_path: Path) -> None:
    """Nobody can rename the parameters of a study that is done: the metric gets another name."""
    found = import_study(made(tmp_path, "named", lambda trial: trial.suggest_float("value", 0, 1)))
    assert found.metric == Metric("objective_value", "maximize")
    assert all(trial.accuracy == trial.params["value"] for trial in found.trials)


def test_values_for_what_went_wrong_are_no_values(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        return 1e300 if trial.number % 3 == 0 else x

    found = import_study(made(tmp_path, "penalty", objective, 9, direction="minimize"))
    assert [trial.state for trial in found.trials].count("diverged") == 3


class TestSeveralStudies:
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        for fold in (1, 2, 10):
            sampler = optuna.samplers.GridSampler({"a": [0.1, 0.2, 0.3], "c": [1, 2]}, seed=0)

            def objective(trial: optuna.Trial, fold: int = fold) -> float:
                return trial.suggest_float("a", 0, 1) + trial.suggest_int("c", 1, 2) + fold / 1000

            url = made(tmp_path, f"fold{fold}", objective, 6, sampler=sampler)
        made(tmp_path, "other", lambda trial: trial.suggest_float("a", 0, 1), direction="minimize")
        return url

    def test_folds_are_seeds_of_one(self, url: str) -> None:
        found = import_study(url, "fold*", as_seeds=True)
        assert found.studies == ("fold1", "fold2", "fold10")
        seeds = {(t.provenance["optuna_study"], t.seed) for t in found.trials}
        assert seeds == {("fold1", 0), ("fold2", 1), ("fold10", 2)}
        assert len(found.trials) == 18
        assert len(cells_of_trials(found.trials)) == 6

    def test_several_that_nobody_called_seeds_are_refused(self, url: str) -> None:
        with pytest.raises(StudyError, match=r"fits 3 studies \(fold1, fold2, fold10\).*--as-seeds"):
            import_study(url, "fold*")

    def test_studies_that_search_for_different_things_are_refused(self, url: str) -> None:
        with pytest.raises(StudyError, match="cannot be seeds of one"):
            import_study(url, "*", as_seeds=True)


def test_an_evaluation_keeps_its_seed_when_it_is_imported_again(tmp_path: Path) -> None:
    study = optuna.create_study(storage=open_storage(str(tmp_path / "s.journal"), create=True), study_name="s")
    first, second = study.ask(), study.ask()
    for trial in (first, second):
        trial.suggest_int("x", 3, 3)
    study.tell(second, 2.0)
    before = import_study(str(tmp_path / "s.journal"))
    study.tell(first, 1.0)
    after = import_study(str(tmp_path / "s.journal"), known=before.trials)
    assert {(t.seed, t.accuracy) for t in after.trials} == {(0, 2.0), (1, 1.0)}


class TestStorages:
    def test_a_journal_is_reached_by_path_and_by_url(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = searched(tmp_path)
        monkeypatch.chdir(tmp_path)
        urls = (path, f"journal://{path}", f"journal:///{path}", "journal:///study.journal", "study.journal")
        assert {len(import_study(url).trials) for url in urls} == {11}

    def test_an_sqlite_database_is_reached_by_path(self, tmp_path: Path) -> None:
        made(tmp_path, "s", lambda trial: trial.suggest_float("x", 0, 1), 2, f"sqlite:///{tmp_path}/made.db")
        assert len(import_study(str(tmp_path / "made.db")).trials) == 2

    def test_a_database_is_read_in_pieces(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        url = made(tmp_path, "s", lambda trial: trial.suggest_float("x", 0, 1), 5, f"sqlite:///{tmp_path}/made.db")
        whole = import_study(url)
        monkeypatch.setattr("zonesearch.optuna.importing._PIECE", 2)
        assert import_study(url).trials == whole.trials
        assert len(whole.trials) == 5

    def test_a_database_of_an_older_optuna_is_said_with_the_mend(self, tmp_path: Path) -> None:
        url = made(tmp_path, "s", lambda trial: trial.suggest_float("x", 0, 1), 1, f"sqlite:///{tmp_path}/made.db")
        with contextlib.closing(sqlite3.connect(tmp_path / "made.db")) as database, database:
            database.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
            database.execute("UPDATE version_info SET library_version = '2.10.0'")
        with pytest.raises(StoreError, match="optuna storage upgrade --storage sqlite:///"):
            import_study(url)


def test_import_of_many_trials_is_quick(tmp_path: Path) -> None:
    """A product of rows of every tried value would be beyond any memory."""
    ranges: dict[str, BaseDistribution] = {f"x{i}": FloatDistribution(0, 1) for i in range(10)}
    rng = np.random.default_rng(0)
    points = rng.random((400, 10)).tolist()
    trials = [
        optuna.create_trial(params=dict(zip(ranges, p, strict=True)), distributions=ranges, value=sum(p))
        for p in points
    ]
    study = optuna.create_study(storage=open_storage(str(tmp_path / "s.journal"), create=True), direction="maximize")
    study.add_trials(trials)
    found = import_study(str(tmp_path / "s.journal"))
    started = time.process_time()
    plan = ImportedTrials(found.space).plan(None, found.trials)
    assert len(plan.trainings) == 400
    assert "zones are read off a Gaussian process" in plan.notes[0]
    assert time.process_time() - started < 5


def test_constraints_of_a_study_are_its_violations(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        trial.set_constraint("small", x - 0.4)
        return (x - 0.6) ** 2 + (y - 0.5) ** 2

    url = f"sqlite:///{tmp_path / 'a.db'}"
    study = optuna.create_study(storage=url, study_name="a", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=60)
    imported, folder = import_run(url, "a", tmp_path / "run")
    violations = {trial.params["x"]: trial.violation for trial in imported.trials}
    assert all(violation == pytest.approx(x - 0.4) for x, violation in violations.items())
    zones = read_run(folder.path)[0].zones
    assert zones
    assert all(cell["x"] <= 0.4 for zone in zones for cell in zone.cells)


def test_conditions_are_read_off_trials_that_determine_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'branches.db'}"

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("rate", 0.0, 1.0)
        layers = trial.suggest_int("layers", 1, 3)
        if trial.suggest_categorical("opt", ["sgd", "adam"]) == "sgd":
            rate -= trial.suggest_float("momentum", 0.0, 0.9) / 10
        if layers > 1:
            rate += trial.suggest_float("second", 0.0, 1.0) / 10
        if trial.number % 3 == 0:
            trial.suggest_float("now_and_then", 0.0, 1.0)
        return rate

    study = optuna.create_study(storage=url, study_name="b", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=40)
    space = import_study(url).space
    assert dict(space["momentum"].when) == {"opt": ("sgd",)}
    assert dict(space["second"].when) == {"layers": (2, 3)}
    assert space["now_and_then"].when == ()
    assert space["rate"].when == ()
