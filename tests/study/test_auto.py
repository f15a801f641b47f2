"""Which stages a study has when nobody names them, and that a run keeps those that it was begun with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zonesearch import Study, StudyError, run_pipeline
from zonesearch.core.coarse import CELLS_MOST
from zonesearch.core.seeding import FRESH

MAPPED, PLACED, CLIMBED = ("grid", "interval", "polish"), ("surrogate", "polish"), ("coordinate", "polish")
PRIOR = {"low": 0.0, "high": 1.0, "prior": {"center": 0.5, "spread": 0.2}}
BRANCH = {"low": 0.0, "high": 1.0, "when": {"opt": "sgd"}}


def axes(n: int, row: Any = 4) -> dict[str, Any]:
    return {f"x{i}": {"low": 0.0, "high": 1.0, "row": row} for i in range(n)}


def names(study: Study) -> tuple[str, ...]:
    return tuple(stage.name for stage in study.stages)


@pytest.mark.parametrize(
    ("space", "more", "expected"),
    [
        (axes(1), {}, MAPPED),
        (axes(2), {}, MAPPED),
        (axes(3), {}, PLACED),
        (axes(7), {}, PLACED),
        (axes(2), {"budget": {"trainings": 50}}, MAPPED),  # 25 cells with one seed in half of it
        (axes(2), {"budget": {"trainings": 49}}, PLACED),
        (axes(2), {"budget": {"trainings": 50}, "seeds": 2}, PLACED),
        (axes(2), {"budget": {"epochs": 250}, "epochs": 5}, MAPPED),
        (axes(2), {"budget": {"epochs": 249}, "epochs": 5}, PLACED),
        (axes(2), {"budget": {"minutes": 1}}, MAPPED),
        (axes(2, row=500), {}, PLACED),
        (axes(7), {"budget": {"trainings": 13}}, CLIMBED),  # fewer than two an axis
        (axes(7), {"budget": {"trainings": 14}}, PLACED),
        (axes(7), {"budget": {"epochs": 69}, "epochs": 5}, CLIMBED),
        (axes(7), {"budget": {"epochs": 70}, "epochs": 5}, PLACED),
        (axes(7), {"budget": {"minutes": 1}}, PLACED),
        (axes(7), {"budget": {"trainings": 10}, "seeds": 2}, PLACED),
        (axes(7), {"budget": {"trainings": 10}, "surrogate": {"n_trainings": 9}}, PLACED),
        ({**axes(7), "w": PRIOR}, {"budget": {"trainings": 10}}, PLACED),
        ({**axes(7), "w": BRANCH, "opt": ["sgd", "adam"]}, {"budget": {"trainings": 10}}, PLACED),
        (axes(3), {"grid": {"zones_max": 2}}, MAPPED),
        (axes(3), {"interval": {"zones_max": 2}}, MAPPED),
        (axes(3), {"surrogate": {"n_trainings": 20}}, PLACED),
        ({**axes(2), "w": {"low": 0.0, "high": 1.0, "limit_high": 2.0}}, {}, MAPPED),
        ({**axes(1), "w": {"low": 0.0, "high": 1.0, "prior": {"center": 0.5, "spread": 0.2}}}, {}, PLACED),
    ],
)
def test_auto_takes_the_map_of_one_or_two_axes_where_it_fits(space: Any, more: Any, expected: Any) -> None:
    for stages in ({}, {"stages": "auto"}, {"stages": ["auto"]}):
        assert names(Study.of(space, lambda params: 0.0, **stages, **more)) == expected
        tables = {**more, "epochs": None, "seeds": None}
        search = {**stages, **{key: more[key] for key in ("budget", "seeds") if key in more}}
        own = {key: table for key, table in tables.items() if key in ("grid", "interval", "surrogate")}
        training = {"training": {"epochs": more.get("epochs", 1)}, "data": {"name": "digits"}}
        assert names(Study.from_tables({"space": space, "search": search, **training, **own})) == expected


LIMIT = {"low": 0.25, "high": 1.0, "row": 4, "limit_high": 2.0}


@pytest.mark.parametrize(
    ("space", "n", "expected"),
    [
        ({"r": LIMIT}, 3, PLACED),
        ({"r": LIMIT}, 4, PLACED),
        ({"r": LIMIT}, 5, MAPPED),
        ({"r": LIMIT, "k": ["x", "y", "z"]}, 5, PLACED),  # half of it does not pay for three cells
        ({"r": LIMIT, "k": ["x", "y", "z"]}, 6, MAPPED),
        ({"r": LIMIT, "w": PRIOR}, 30, ("grid", "surrogate", "polish")),
        ({"r": LIMIT, "w": PRIOR}, 4, PLACED),
    ],
)
def test_auto_takes_no_grid_for_limits_that_a_budget_does_not_pay_for(
    space: Any, n: int, expected: Any, tmp_path: Path
) -> None:
    for amount in (n, 3 * n):  # a run keeps the stages that it began with
        result = run_pipeline(
            space, objective=lambda params: params["r"], seeds=1, budget={"trainings": amount}, into=tmp_path / "run"
        )
        assert tuple(stage.name for stage in result.results.stages) == expected
        assert result.verdict is not None
        assert result.verdict.standings
        said = "Nothing beyond the bounds of r was trained, whatever limit_low and limit_high allow"
        assert any(said in note for note in result.results.notes) == (expected == PLACED)
    with pytest.raises(StudyError, match="limit_low and limit_high are for the stage grid"):
        Study.of(space, lambda params: 0.0, stages=PLACED)


def test_without_a_budget_the_default_of_two_axes_is_what_it_was() -> None:
    named = Study.of(axes(2), lambda params: 0.0, stages=MAPPED)
    assert Study.of(axes(2), lambda params: 0.0).settings() == named.settings()


@pytest.mark.parametrize("stages", ["grid", "automatic", ["auto", "polish"]])
def test_any_other_text_is_refused(stages: Any) -> None:
    with pytest.raises(StudyError):
        Study.of(axes(2), lambda params: 0.0, stages=stages)
    with pytest.raises(StudyError):
        Study.from_tables({"space": axes(2), "search": {"stages": stages}, "data": {"name": "digits"}})


@pytest.mark.parametrize("stage", ["grid", "compare"])
def test_a_grid_too_large_to_list_is_refused_in_one_sentence(stage: str) -> None:
    with pytest.raises(StudyError, match=rf"\[{stage}\] the rows make a grid of 9,765,625 cells, more than") as said:
        Study.of(axes(10), lambda params: 0.0, stages=[stage])
    assert "\n" not in str(said.value)
    assert CELLS_MOST < 5**10
    within = Study.of(axes(10), lambda params: 0.0, stages=["grid", "polish"], budget={"trainings": 40})
    assert names(within) == ("grid", "polish")


def height(params: dict[str, float]) -> float:
    return 1 - sum((value - 0.4) ** 2 for value in params.values())


def test_a_run_keeps_the_stages_that_it_was_begun_with(tmp_path: Path) -> None:
    space, into = axes(3, row=2), tmp_path / "run"
    old = run_pipeline(space, objective=height, seeds=1, stages=MAPPED, into=into)
    again = run_pipeline(space, objective=height, seeds=1, into=into)
    assert len(again.trials) == len(old.trials)
    assert again.verdict == old.verdict
    fresh = run_pipeline(space, objective=height, seeds=1, into=into, fresh=True, surrogate={"n_trainings": 12})
    assert [record.name for record in fresh.results.stages] == list(PLACED)


def test_a_run_goes_on_with_a_budget_as_it_was_begun(tmp_path: Path) -> None:
    space, into = axes(3, row=2), tmp_path / "run"
    old = run_pipeline(space, objective=height, seeds=1, stages=MAPPED, into=into)
    again = run_pipeline(space, objective=height, seeds=1, into=into, budget={"trainings": len(old.trials) + 200})
    assert {trial.training.key for trial in old.trials} <= {trial.training.key for trial in again.trials}
    assert [record.name for record in again.results.stages] == list(MAPPED)


def test_a_climb_that_was_begun_goes_on_as_one_with_a_larger_budget(tmp_path: Path) -> None:
    space, into = axes(6, row=4), tmp_path / "run"
    old = run_pipeline(space, objective=height, into=into, budget={"trainings": 11})
    assert [record.name for record in old.results.stages] == list(CLIMBED)
    again = run_pipeline(space, objective=height, into=into, budget={"trainings": 40})
    assert [record.name for record in again.results.stages] == list(CLIMBED)
    assert {trial.training.key for trial in old.trials} <= {trial.training.key for trial in again.trials}


@pytest.mark.parametrize(("n_axes", "n"), [(7, 10), (4, 10), (4, 19)])
def test_of_few_trainings_one_judges_and_the_verdict_says_what_that_means(n_axes: int, n: int) -> None:
    result = run_pipeline(axes(n_axes), objective=height, budget={"trainings": n})
    fresh = [trial for trial in result.trials if trial.seed >= FRESH]
    assert (len(result.trials), len(fresh)) == (n, 1)
    assert result.verdict is not None
    assert "with one fresh seed, which says nothing about the noise" in result.verdict.sentence
    assert "repeats = 1 (not 5)" in result.verdict.budget
