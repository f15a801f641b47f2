"""The controller by its name: in pipelines, in study files and among compared methods."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from zonesearch import run_pipeline
from zonesearch.benchmark.methods import method
from zonesearch.cli.main import main
from zonesearch.core.space import Space
from zonesearch.errors import ZoneSearchError
from zonesearch.search.controller.stage import Controller
from zonesearch.study.files import read_study

SPACE = {"lr": {"low": 1e-4, "high": 3.0, "scale": "log"}, "width": {"low": 4, "high": 256, "scale": "log"}}


def accuracy(params: Any, seed: int) -> float:
    return float(0.9 - 0.1 * (math.log10(params["lr"]) + 1) ** 2 + 0.01 * math.log2(params["width"]) + 0.001 * seed % 3)


def test_alone_it_is_a_search_and_recommends_the_peak_of_its_first_zone(tmp_path: Path) -> None:
    found = run_pipeline(
        SPACE, objective=accuracy, stages=["controller"], controller={"n_trainings": 5}, into=tmp_path / "run"
    )
    assert 0.005 < found.zones[0].peak["lr"] < 2


@pytest.mark.parametrize(("stages", "budget"), [(["controller"], 1), (["controller", "polish"], 2)])
def test_a_budget_may_pay_for_its_first_training_alone(stages: list[str], budget: int) -> None:
    found = run_pipeline(SPACE, objective=accuracy, stages=stages, budget={"trainings": budget})
    assert len(found.trials) == budget
    assert 0.005 < found.zones[0].peak["lr"] < 2
    with pytest.raises(ZoneSearchError, match="needs 2; give at least 2"):
        run_pipeline(SPACE, objective=accuracy, stages=["surrogate"], budget={"trainings": 1})


@pytest.mark.parametrize("batch", [1, 2])
def test_it_goes_on_with_a_larger_budget(tmp_path: Path, batch: int) -> None:
    def run(*budgets: int) -> Any:
        for n in budgets:
            settings: Any = {"controller": {"n_trainings": 40, "batch": batch}, "into": tmp_path / str(budgets[0])}
            found = run_pipeline(
                SPACE, objective=accuracy, stages=["controller", "polish"], budget={"trainings": n}, **settings
            )
        return found

    small, large = run(6), run(6, 30)
    n_before, n_after = (len(found.results.stages[0].wanted) for found in (small, large))
    assert n_after > n_before + 15
    wanted = {training.key for stage in large.results.stages for training in stage.wanted}
    former = {training.key for training in small.results.stages[-1].wanted}
    assert {trial.training.key for trial in large.trials} - former <= wanted
    assert len(large.results.reasons) == n_after
    assert run(6, 30, 6).verdict.standings == large.verdict.standings


def test_report_says_why_each_setting_was_tried(tmp_path: Path) -> None:
    found = run_pipeline(
        SPACE, objective=accuracy, stages=["controller"], controller={"n_trainings": 3}, into=tmp_path / "run"
    )
    assert list(found.results.reasons) == sorted((t.training for t in found.trials), key=lambda t: t.seed)
    page = found.report(tmp_path / "report.html").read_text()
    assert "Why each setting was tried" in page
    assert "Where the prior expects the best; lr " in page


def test_polish_takes_its_zones(tmp_path: Path) -> None:
    found = run_pipeline(
        SPACE,
        objective=accuracy,
        stages=["controller", "polish"],
        controller={"n_trainings": 4},
        polish={"keep": 2, "repeats": 2},
        into=tmp_path / "run",
    )
    assert found.verdict is not None


def test_wrong_optimizer_is_refused_with_the_table_named(tmp_path: Path) -> None:
    with pytest.raises(ZoneSearchError, match=r"\[controller\] optimizer must be one of"):
        run_pipeline(
            SPACE, objective=accuracy, stages=["controller"], controller={"optimizer": "agd"}, into=tmp_path / "run"
        )


def study(tmp_path: Path, more: str = "", space: str = "") -> Controller:
    file = tmp_path / "s.toml"
    file.write_text(
        'name = "s"\n[space]\nlearning_rate = {low = 0.001, high = 1.0, scale = "log", role = "learning_rate"}\n'
        f'width = [8, 16, 32]\n{space}\n[search]\nstages = ["controller"]\n[data]\nname = "digits"\n{more}\n'
    )
    stage = read_study(file).stages[0]
    assert isinstance(stage, Controller)
    return stage


def test_study_file_tells_it_the_optimizer_unless_that_is_searched(tmp_path: Path) -> None:
    assert study(tmp_path, '[optimizer]\nname = "sgd"').optimizer == "sgd"
    assert study(tmp_path).optimizer == "adam"
    assert study(tmp_path, '[optimizer]\nname = "adagrad"').optimizer == ""
    assert study(tmp_path, space='optimizer = ["sgd", "adam"]').optimizer == ""
    assert study(tmp_path, '[controller]\noptimizer = "adamw"').optimizer == "adamw"


def test_it_is_a_method_that_spends_the_budget_that_is_compared() -> None:
    (stage,) = method("controller").stages(Space.parse(SPACE), 10, seed=3)
    assert isinstance(stage, Controller)
    assert (stage.n_trainings, stage.batch, stage.study_seed) == (10, 1, 3)


def test_a_run_that_teaches_nothing_is_named_by_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, n in (("many", 4), ("one", 1)):
        settings: Any = {"controller": {"n_trainings": n}, "into": tmp_path / name}
        run_pipeline(SPACE, objective=accuracy, stages=["controller"], **settings)
    assert main(["learn", str(tmp_path / "many"), str(tmp_path / "one")]) == 2
    assert f"{tmp_path / 'one'}: nothing can be learned" in capsys.readouterr().err
