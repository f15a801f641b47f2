"""Evaluating only after some epochs: which ones, what stands between them, and what looks at them alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import ObjectiveError
from zonesearch.run.running import run_pipeline
from zonesearch.run.storage.record import parse, to_trial, trial_line
from zonesearch.search.stages.polish import SCHEDULES, SCHEDULES_BLIND
from zonesearch.statistics.repeats import measure_spread
from zonesearch.study.files import read_study
from zonesearch.study.study import Study
from zonesearch.training.evaluations import evaluate_every
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import Settings, TrainingSettings

PATHS = pytest.mark.parametrize("stack", [False, True], ids=["loop", "stack"])
LITTLE = {"name": "digits", "limit": 100, "limit_validation": 400, "limit_test": 100, "validation": 0.4}
"""Data with four times as many validation as training examples."""


def made(stack: bool = True, **tables: Any) -> Recipe:
    training = {"batch": 32, "precision": "float64", "stack": stack, "evaluate_every": 3, **tables.pop("training", {})}
    return Recipe.from_tables({"data": LITTLE, "network": {"width": 6}, "training": training, **tables})


def trained(recipe: Recipe, *trainings: Training) -> list[Trial]:
    for training in trainings:
        recipe.check(training.params)
    came = {trial.training: trial for trial in recipe.train(Job(trainings), lambda share: None)}
    return [came[training] for training in trainings]


def one(recipe: Recipe, epochs: int, test: bool = True) -> Trial:
    (trial,) = trained(recipe, Training({}, 0, epochs, test))
    return trial


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 50_000), st.integers(1, 64), st.integers(0, 20))
def test_by_the_sizes_it_is_the_least_number_that_takes_a_tenth_of_the_time(
    n_train: int, n_validation: int, batch: int, fixed: int
) -> None:
    of = Settings(training=TrainingSettings(batch=min(batch, n_train), steps_per_epoch=fixed))
    every = evaluate_every(of, n_train, n_validation)
    if n_validation <= 1.05 * n_train:  # a limit is met as nearly as equal classes allow
        assert every == 1
        return
    descended = 3 * (min(batch, n_train) * fixed or n_train)

    def within(k: int) -> bool:
        return 9 * n_validation <= k * descended  # n_validation / k <= (n_validation / k + descended) / 10

    assert within(every)
    assert every == 1 or not within(every - 1)


def test_by_default_few_training_examples_are_evaluated_seldom() -> None:
    trial = one(made(training={"evaluate_every": 0}), 14, test=False)
    assert (trial.evaluated_every, trial.evaluated_epochs) == (12, (1, 12, 14))


@PATHS
def test_values_between_evaluations_are_carried_on(stack: bool) -> None:
    every, trial = one(made(stack, training={"evaluate_every": 1}), 8), one(made(stack), 8)
    assert trial.evaluated_epochs == (1, 3, 6, 8)
    for name in ("train_accuracy", "train_loss", "learning_rate"):
        assert trial.curve[name] == every.curve[name]
    for name in ("validation_accuracy", "validation_loss"):
        asked = every.curve[name]
        assert trial.curve[name] == tuple(asked[i - 1] for i in (1, 1, 3, 3, 3, 6, 6, 8))
    assert trial.accuracy == max(every.validation_curve[i - 1] for i in (1, 3, 6, 8))


def test_stack_and_loop_agree_and_members_of_other_lengths_change_nothing() -> None:
    wanted = [Training({}, 0, 5, True), Training({"width": 9}, 0, 7, True), Training({"width": 5}, 1, 8, True)]
    alone = [one_of for training in wanted for one_of in trained(made(False), training)]
    for ours, theirs in zip(trained(made(), *wanted), alone, strict=True):
        assert ours.provenance["stacked"]
        assert ours.evaluated_epochs == theirs.evaluated_epochs
        assert ours.test_accuracy == theirs.test_accuracy
        assert ours.right == theirs.right
        for name, values in theirs.curve.items():
            assert ours.curve[name] == pytest.approx(values, abs=1e-9)


def test_trainings_evaluated_at_other_epochs_are_no_stack() -> None:
    wanted = [Training({"evaluate_every": every}, 0, 4) for every in (1, 2, 1, 2)]
    assert len(made().jobs(wanted)) == 2


@PATHS
@pytest.mark.parametrize("first", [1, 3, 4, 5])
def test_going_on_from_any_length_gives_what_never_stopped(
    stack: bool, first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept, quick = made(stack, training={"keep_mb": 50}), {"optimizer": {"learning_rate": 0.05}}
    kept, straight = made(stack, training={"keep_mb": 50}, **quick), one(made(stack, **quick), 8)
    short = one(kept, first)
    assert short.evaluated_epochs[-1] == first
    assert list(tmp_path.rglob("*.pt"))
    went_on = one(kept, 8)
    for name in ("curve", "accuracy", "test_accuracy", "right", "test_right", "evaluated_epochs"):
        assert getattr(went_on, name) == getattr(straight, name), name


@PATHS
def test_a_shorter_training_is_read_off_where_it_was_evaluated_only(stack: bool) -> None:
    recipe = made(stack)
    long, short = one(recipe, 8, test=False), one(recipe, 6, test=False)
    trials = Trials([long])
    assert [epochs for epochs in range(1, 9) if Training({}, 0, epochs) in trials] == [1, 3, 6, 8]
    cut = trials.get(short.training)
    assert cut is not None
    assert (cut.accuracy, cut.curve, cut.evaluated_epochs) == (short.accuracy, short.curve, short.evaluated_epochs)
    assert long.at(7) is long
    seventh = one(recipe, 7, test=False)
    both = trials | Trials([seventh])
    assert not both.missing([long.training, seventh.training])
    assert both.get(seventh.training) == seventh
    assert not both.conflicts


@PATHS
def test_early_stopping_looks_at_evaluated_epochs(stack: bool) -> None:
    still = {"optimizer": {"name": "sgd", "learning_rate": 1e-12}}
    trial = one(made(stack, early_stopping={"patience": 1}, **still), 8)
    assert len(trial.validation_curve) == 3  # seen to be no better when it was asked
    ended = one(made(stack, early_stopping={"after": 5}), 8)
    assert (len(ended.validation_curve), ended.evaluated_epochs) == (5, (1, 3, 5))


def test_an_average_is_judged_at_evaluated_epochs() -> None:
    averaging = {"kind": "weights", "start": 0.25}
    every, trial = one(made(averaging=averaging, training={"evaluate_every": 1}), 8), one(made(averaging=averaging), 8)
    assert (every.averaged_from, trial.averaged_from) == (2, 3)
    assert trial.accuracy == max(every.validation_curve[i - 1] for i in (3, 6, 8))


@PATHS
def test_what_diverges_between_evaluations_has_diverged(stack: bool) -> None:
    wild = {"optimizer": {"name": "sgd", "learning_rate": 1e200}}
    trial = one(made(stack, **wild), 8, test=False)
    assert trial.state == "diverged"
    assert len(trial.validation_curve) < 8
    assert all(epoch == 1 or epoch % 3 == 0 for epoch in trial.evaluated_epochs)


@pytest.mark.parametrize("schedule", ["plateau(patience=2)", "warmup(epochs=2, then=plateau(patience=2))"])
def test_a_schedule_that_reads_validation_is_evaluated_after_every_epoch(schedule: str) -> None:
    with pytest.raises(ObjectiveError, match="evaluate_every to 1"):
        made(training={"schedule": schedule}).check({})
    assert one(made(training={"schedule": schedule, "evaluate_every": 0}), 3, test=False).evaluated_every == 1


def test_a_number_below_zero_is_refused() -> None:
    with pytest.raises(ObjectiveError, match="evaluate_every must be 1 or more, or 0"):
        made().check({"evaluate_every": -1})


def test_the_identity_says_when_values_may_be_others() -> None:
    def said(limit_validation: int, **training: Any) -> Any:
        tables = {"data": {**LITTLE, "limit_validation": limit_validation}, "training": training}
        recipe = Recipe.from_tables({**tables, "training": {"precision": "float32", **training}})
        return recipe.fingerprint().get("training", {}).get("evaluate_every")

    assert [said(400), said(400, evaluate_every=1), said(400, evaluate_every=5)] == [0, None, 5]
    assert [said(100), said(100, evaluate_every=1), said(100, evaluate_every=5)] == [None, None, 5]


def test_runs_from_before_the_default_changed_are_known() -> None:
    recipe = Recipe.from_tables({"data": LITTLE})
    found = [former.training for former in recipe.formers()]
    assert [(each.precision, each.evaluate_every) for each in found] == [("auto", 1), ("float32", 1)]
    assert "evaluate_every" not in recipe.formers()[0].fingerprint()["training"]
    assert Recipe.from_tables({"training": {"evaluate_every": 4}}).former().training.evaluate_every == 4


def test_a_record_says_at_which_epochs_it_was_evaluated() -> None:
    trial = one(made(), 5)
    record = parse(trial_line(trial, "study"))
    assert record is not None
    assert to_trial(record).evaluated_epochs == (1, 3, 5)
    assert b"evaluated_every" not in trial_line(one(made(training={"evaluate_every": 1}), 2), "study")


def test_jitter_between_epochs_is_that_of_evaluated_ones() -> None:
    curve = {"validation_accuracy": (0.1, 0.1, 0.5, 0.5, 0.5, 0.7)}
    trials = [Trial(Training({}, seed, 6), "complete", 0.7, curve, evaluated_every=3) for seed in (0, 1)]
    (spread,) = measure_spread(trials)
    assert spread.sd_epochs == pytest.approx(math.sqrt(0.02))


def test_rungs_that_end_between_evaluations_are_evaluated_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    training = {"epochs": 5, "batch": 32, "evaluate_every": 3, "precision": "float64"}
    search = {"search": {"stages": ["grid"], "seeds": 1}, "grid": {"rungs": [2]}}
    tables = {**search, "space": {"width": [4, 6, 8, 10]}, "data": LITTLE, "training": training}
    study = Study.from_tables(tables)
    run_pipeline(study, into=tmp_path / "run", progress=False)
    again = run_pipeline(study, into=tmp_path / "run", progress=False)
    found = {(trial.epochs, trial.evaluated_epochs) for trial in again.results.trials.records()}
    assert found == {(2, (1, 2)), (5, (1, 3, 5))}
    assert not again.results.trials.conflicts
    assert len(list(again.results.trials.records())) <= 8


def test_a_run_from_before_the_default_changed_goes_on_with_every_epoch(tmp_path: Path) -> None:
    search = {"search": {"stages": ["grid"], "seeds": 1}, "space": {"width": [4, 6]}, "data": LITTLE}
    training = {"epochs": 12, "batch": 32}
    run_pipeline(Study.from_tables({**search, "training": {**training, "evaluate_every": 1}}), into=tmp_path / "run")
    went_on = run_pipeline(Study.from_tables({**search, "training": training}), into=tmp_path / "run")
    assert [trial.evaluated_every for trial in went_on.results.trials] == [1, 1]
    assert any("evaluate_every" in note for note in went_on.results.notes)


def test_default_schedules_read_no_validation_where_epochs_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(STUDY_THAT_SKIPS)
    assert [stage.schedules for stage in read_study(file).stages if hasattr(stage, "schedules")] == [SCHEDULES_BLIND]
    recipe = Recipe.from_tables({"training": {"evaluate_every": 3}}, 0)
    study = Study.of({"width": [4, 8]}, recipe, stages=("grid", "polish"), epochs=12)
    assert study.stages[-1].schedules == SCHEDULES_BLIND  # type: ignore[attr-defined]
    every = Study.of({"width": [4, 8]}, Recipe.from_tables({}, 0), stages=("grid", "polish"), epochs=12)
    assert every.stages[-1].schedules == SCHEDULES  # type: ignore[attr-defined]


STUDY_THAT_SKIPS = """
name = "s"
[space]
width = [4, 8]
[training]
epochs = 12
evaluate_every = 3
"""
