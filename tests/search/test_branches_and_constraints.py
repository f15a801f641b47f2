"""Every stage keeps to what is allowed and to what applies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from zonesearch import Study, StudyError, run_pipeline
from zonesearch.core.space import Space
from zonesearch.optuna.sampler import ZoneSampler
from zonesearch.optuna.view import OptunaView
from zonesearch.report.figures.map import map_figure
from zonesearch.report.figures.view import views_of
from zonesearch.report.map_summary import MapSummary
from zonesearch.study.files import parse_study

TABLES: dict[str, Any] = {
    "width": {"low": 16, "high": 256, "scale": "log"},
    "depth": {"low": 1, "high": 4, "scale": "log"},
    "opt": ["sgd", "adam"],
    "momentum": {"low": 0.0, "high": 0.9, "row": 2, "when": {"opt": "sgd"}},
}
CONSTRAINTS = ["width * depth <= 256"]
SPACE = Space.parse(TABLES, CONSTRAINTS)


def surface(params: dict[str, Any], seed: int = 0) -> float:
    assert SPACE.contains(params)
    height = -abs(params["width"] - 100) / 100 - abs(params["depth"] - 3) / 10
    return height - (0.3 if params["opt"] == "adam" else abs(params["momentum"] - 0.5)) + 0.001 * (seed % 5)


@pytest.mark.parametrize(
    "stages",
    [["grid", "interval", "polish"], ["surrogate", "interval", "polish"], ["coordinate", "polish"], ["compare"]],
)
def test_stages_train_only_what_is_allowed_and_applies(stages: list[str], tmp_path: Path) -> None:
    settings = {"surrogate": {"n_trainings": 16}} if "surrogate" in stages else {}
    if "compare" in stages:
        settings = {"compare": {"repeats": 2}}
    result = run_pipeline(
        TABLES, objective=surface, metric="score", stages=stages, constraints=CONSTRAINTS, seeds=1,
        into=tmp_path / "run", **settings,
    )  # fmt: skip
    assert all(SPACE.contains(trial.params) for trial in result.trials)
    assert not any(trial.state == "failed" for trial in result.trials)
    assert ("momentum" in result.zones[0].intervals) == (result.zones[0].peak["opt"] == "sgd") if result.zones else True
    frame = result.frame()
    assert frame.loc[frame["opt"] == "adam", "momentum"].isna().all()
    assert result.report(tmp_path / "report.html").exists()


def test_zones_lie_in_one_branch_each() -> None:
    result = run_pipeline(
        {name: TABLES[name] for name in ("opt", "momentum", "width")},
        objective=lambda params: float(len(params)) - abs(params["width"] - 64) / 64,
        metric="score", stages=["grid"], seeds=1,
    )  # fmt: skip
    assert {zone.peak["opt"] for zone in result.zones} == {"sgd", "adam"}
    for zone in result.zones:
        assert {cell["opt"] for cell in zone.cells} == {zone.peak["opt"]}


def test_cells_that_are_not_allowed_are_hatched() -> None:
    result = run_pipeline(
        {name: TABLES[name] for name in ("width", "depth")},
        objective=lambda params: -abs(params["width"] - 64.0),
        metric="score", stages=["grid"], seeds=1, constraints=CONSTRAINTS,
    )  # fmt: skip
    [view] = views_of(MapSummary(result.results))
    assert view.forbidden == {(4, 1), (4, 2), (3, 2)}
    assert "not allowed" in [trace.name for trace in map_figure(view).data]


@pytest.mark.parametrize("stages", [["grid", "interval", "polish"], ["surrogate", "polish"], ["coordinate", "polish"]])
def test_what_reports_a_violation_is_no_peak(stages: list[str]) -> None:
    def train(params: dict[str, Any]) -> dict[str, float]:
        return {"score": params["x"] + params["y"] / 100, "violation": params["x"] - 5.5}

    settings = {"surrogate": {"n_trainings": 12}} if "surrogate" in stages else {}
    space = {"x": {"low": 0, "high": 10, "row": 5}, "y": {"low": 0, "high": 3, "row": 3}}
    result = run_pipeline(space, objective=train, metric="score", stages=stages, seeds=1, **settings)
    assert any(trial.params["x"] > 6 for trial in result.trials)
    assert all(zone.peak["x"] <= 5 for zone in result.zones)
    assert all(finalist.params["x"] <= 5 for finalist in result.finalists)
    assert result.finalists
    assert "report a violation" in " ".join(result.results.notes)


def test_stage_that_knows_no_conditions_refuses_them() -> None:
    with pytest.raises(StudyError, match="stage optuna does not support when"):
        Study.of(TABLES, surface, stages=["optuna", "polish"])
    with pytest.raises(StudyError, match="stage optuna does not support constraints"):
        Study.of({"width": [1, 2]}, surface, stages=["optuna"], constraints=["width < 2"])


def test_study_file_has_conditions_and_constraints() -> None:
    text = """
[space]
optimizer = ["adam", "sgd"]
momentum = {low = 0.0, high = 0.9, row = 2, when = {optimizer = "sgd"}}
width = [8, 16, 32]
depth = [1, 2]

[constraints]
expressions = ["width * depth <= 32"]
"""
    study = parse_study(text, name="made", where="made.toml")
    assert study.space.n_cells == 5 * (1 + 3)
    assert Study.from_settings(study.settings(), name="made").space == study.space
    with pytest.raises(Exception, match=r"made.toml: \[constraints\].*not an axis"):
        parse_study(text.replace("width * depth", "wide * depth"), name="made", where="made.toml")
    with pytest.raises(StudyError, match=r"made.toml: \[constraints\] .*expression"):
        parse_study(text.replace("expressions", "expression"), name="made", where="made.toml")


def test_nothing_is_told_of_conditions_that_are_not_there() -> None:
    study = Study.of({"width": [1, 2]}, surface)
    assert "constraints" not in study.settings()
    assert set(study.space.describe()["width"]) == {"low", "high", "scale", "integer", "row"}


def test_view_shows_branches(tmp_path: Path) -> None:
    result = run_pipeline(TABLES, objective=surface, metric="score", stages=["grid"], constraints=CONSTRAINTS, seeds=1)
    view = OptunaView(str(tmp_path / "view.journal"), "run", "print", SPACE, metric=result.results.metric)
    assert view.top_up(result.trials) == len(result.trials)
    assert all(("momentum" in t.params) == (t.params["opt"] == "sgd") for t in view.study.trials)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_sampler_suggests_branches_and_keeps_constraints() -> None:
    def objective(trial: optuna.Trial) -> float:
        opt = trial.suggest_categorical("opt", ["sgd", "adam"])
        params = {
            "width": trial.suggest_int("width", 16, 256, log=True),
            "depth": trial.suggest_int("depth", 1, 4, log=True),
            "opt": opt,
        }
        return surface(params | ({"momentum": trial.suggest_float("momentum", 0.0, 0.9)} if opt == "sgd" else {}))

    sampler = ZoneSampler(SPACE, stages=["grid", "interval", "polish"], seed=1)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=50)
    assert study.best_value > -0.6
    assert len({tuple(trial.params.items()) for trial in study.trials}) >= 45


@pytest.mark.parametrize("how", ["set_constraint", "constraints_func"])
def test_sampler_heeds_constraints_of_the_objective(how: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        x, y = trial.suggest_float("x", -15, 30), trial.suggest_float("y", -15, 30)
        if how == "set_constraint":
            trial.set_constraint("apart", 4 - x - y)
        return (x - 1) ** 2 + (y - 1) ** 2

    asked = {"constraints_func": lambda t: (4 - t.params["x"] - t.params["y"],)} if how == "constraints_func" else {}
    study = optuna.create_study(sampler=ZoneSampler(seed=1, **asked))
    study.optimize(objective, n_trials=60)
    feasible = [t.value for t in study.trials if t.params["x"] + t.params["y"] >= 4 and t.value is not None]
    assert min(feasible) < 4  # the best there is has 2
    known = [tuple(t.params.items()) for t in study.trials]
    assert len(set(known)) == 60
    best = min(study.trials, key=lambda t: t.value)
    assert best.params["x"] + best.params["y"] < 4  # the lowest value is not allowed, and nothing stays there


def test_sampler_asks_new_points_under_a_pruner() -> None:
    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("rate", 0.0, 5.0)
        for step in range(10):
            trial.report(1 - abs(rate - 2) * (step + 1) / 50, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return 1 - abs(rate - 2) / 5

    study = optuna.create_study(
        direction="maximize", sampler=ZoneSampler(seed=1), pruner=optuna.pruners.MedianPruner(n_startup_trials=5)
    )
    study.optimize(objective, n_trials=40)
    assert len({trial.params["rate"] for trial in study.trials}) >= 35
    assert study.best_value > 0.98
