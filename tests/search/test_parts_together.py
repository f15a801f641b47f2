"""Constraints, widening, steps and budgets with each other: faults that only their meeting shows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from zonesearch import ObjectiveError, Plan, Space, Study, Trial, Trials, run_pipeline
from zonesearch.cli.main import main
from zonesearch.core.coarse import coarser
from zonesearch.core.widening import beyond
from zonesearch.run.pipeline import find, next_round
from zonesearch.search.stage import Forecast
from zonesearch.statistics.grid_zones import peak_zone
from zonesearch.statistics.zones import Zones


def uphill(params: Mapping[str, Any]) -> float:
    return 0.9 - abs(params["width"] - 48) / 400 - (params["x"] - 0.5) ** 2 / 10


@dataclass(frozen=True)
class Handing:
    """A plug-in's stage that wants nothing and hands on ``output``."""

    name: str
    output: Any
    taken: list[Any] = field(default_factory=list)

    def plan(self, given: Any, trials: Trials) -> Plan:
        self.taken.append(given)
        return Plan((), self.output)

    def forecast(self, given: Any) -> Forecast:
        return Forecast(0, 1, 0)


def test_what_only_plug_ins_read_goes_from_stage_to_stage_and_into_no_result() -> None:
    zone = peak_zone(Space.parse({"x": [1, 2]}), {"x": 1}, 0.9)
    stages = (Handing("a", {"mine": 1}), Handing("b", [zone]), Handing("c", 7))
    results = find(Study.of({"x": [1, 2]}, lambda params: 0.5, stages=stages), Trials())
    assert [stage.taken[-1] for stage in stages] == [None, {"mine": 1}, Zones([zone])]
    assert results.zones == (zone,)
    assert [record.given for record in results.stages] == [{"mine": 1}, (zone,), 7]
    assert results.finished


AXES = {"width": {"low": 4, "high": 16, "scale": "log", "limit_high": 128}, "x": {"low": 0.0, "high": 1.0}}


def test_a_budget_that_pays_for_widening_does_not_forbid_it() -> None:
    free = run_pipeline(AXES, objective=uphill, seeds=1)
    bound = run_pipeline(AXES, objective=uphill, seeds=1, budget={"trainings": 2 * len(free.trials)})
    assert max(trial.params["width"] for trial in bound.trials) > 16
    assert free.verdict is not None
    assert bound.verdict is not None
    best = [uphill(each.verdict.best.finalist.params) for each in (free, bound)]  # type: ignore[union-attr]
    assert best[0] <= best[1], "what is left over goes to finer lines"


def test_a_row_of_steps_widens_by_its_step() -> None:
    axis = Space.parse({"width": {"low": 4, "high": 16, "step": 4, "limit_high": 26}})["width"]
    assert beyond(axis, "high", 3) == (20, 24)  # type: ignore[arg-type]


def test_a_run_without_an_allowed_training_is_read_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(params: Mapping[str, Any]) -> dict[str, float]:
        return {"accuracy": uphill(params), "violation": 1.0}

    into = tmp_path / "run"
    result = run_pipeline(AXES, objective=forbidden, metric="accuracy", budget={"trainings": 40}, into=into)
    assert "without a violation" in str(result.verdict.sentence)  # type: ignore[union-attr]
    assert main(["status", str(into), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"] is None
    assert main(["train", str(into)]) == 2


def test_a_violation_that_is_no_number_fails_the_training() -> None:
    def unsure(params: Mapping[str, Any]) -> dict[str, float]:
        return {"accuracy": uphill(params), "violation": float("nan")}

    with pytest.raises(ObjectiveError, match="violation nan"):
        run_pipeline(AXES, objective=unsure, metric="accuracy")


def test_a_budget_that_cuts_a_grid_keeps_cells_that_are_allowed_and_conditions_that_are_met() -> None:
    for expression in ("a + b <= 2", "a * b >= 60", "a == 7 and b == 3"):
        space = Space.parse({"a": {"low": 0, "high": 8, "row": 8}, "b": {"low": 0, "high": 8, "row": 8}}, [expression])
        for n in (1, 4, 9):
            cells = list(coarser(space, n).grid())
            assert 1 <= len(cells) <= n
            assert all(space.contains(cell) for cell in cells)
    depth = {"low": 1, "high": 8, "row": 7}
    space = Space.parse({"depth": depth, "skip": {"low": 0.0, "high": 1.0, "when": {"depth": [7, 8]}}})
    assert any("skip" in cell for cell in coarser(space, 6).grid())
    assert coarser(space, 6).n_cells <= 6


@pytest.mark.parametrize("n", [20, 30, 40, 60])
def test_a_constrained_grid_within_a_small_budget_is_searched(n: int) -> None:
    axes = {"a": {"low": 0, "high": 8, "row": 8}, "b": {"low": 0.0, "high": 8.0, "row": 8}}
    result = run_pipeline(
        axes, objective=lambda params: -abs(params["a"] - 7.0) - abs(params["b"] - 7), metric="score", seeds=1,
        constraints=["a * b >= 40"], stages=["grid", "interval", "polish"], budget={"trainings": n},
    )  # fmt: skip
    assert len(result.trials) <= n
    assert all(trial.params["a"] * trial.params["b"] >= 40 for trial in result.trials)
    assert result.verdict is not None
    assert result.verdict.standings
    assert not {"ended the search early", "is settled"} <= {
        part for part in ("ended the search early", "is settled") if part in result.verdict.sentence
    }


def test_what_a_settled_verdict_leaves_goes_back_to_the_zones_whose_lines_were_cut() -> None:
    def noisy(params: Mapping[str, Any], seed: int) -> float:
        return uphill({"width": params["x"] * 10, "x": params["y"] / 10}) + 0.0001 * (seed % 7)

    axes = {"x": {"low": 0.0, "high": 10.0, "row": 4}, "y": {"low": 0.0, "high": 10.0, "row": 4}}
    settings: dict[str, Any] = {"stages": ["grid", "interval", "polish"], "seeds": 1, "polish": {"margin": 0.5}}
    for n in (36, 50, 64):
        result = run_pipeline(axes, objective=noisy, budget={"trainings": n}, **settings)
        assert len(result.trials) <= n
        verdict = result.verdict
        assert verdict is not None
        if "is settled" in verdict.sentence:
            assert "ended the search early" not in verdict.sentence
    interval = next(stage for stage in result.results.stages if stage.name == "interval")
    assert interval.wanted, "64 pay for lines, once the verdict is settled without them"


def test_a_finalist_whose_fresh_seeds_violate_a_constraint_is_none() -> None:
    def train(params: Mapping[str, Any], seed: int) -> dict[str, float]:
        fresh_and_bad = seed >= 1000 and params["x"] > 6
        return {"score": abs(params["x"] - 3.0) + 0.01 * (seed % 5), "violation": 1.0 if fresh_and_bad else 0.0}

    space = {"x": {"low": 0, "high": 8, "row": 8}}
    result = run_pipeline(
        space, objective=train, metric="score", seeds=1, stages=["grid", "polish"], polish={"keep": 2, "repeats": 2}
    )
    assert result.verdict is not None
    assert result.verdict.standings
    assert all(standing.finalist.params["x"] <= 6 for standing in result.verdict.standings)
    assert "Left out, since fresh seeds report a violation: x " in result.verdict.sentence
    assert {params["x"] for params in result.verdict.describe()["violating"]} <= {7, 8}


def test_trainings_of_an_earlier_budget_are_named(tmp_path: Path) -> None:
    axes = {name: {"low": 0.0, "high": 1.0} for name in "abc"}
    settings: dict[str, Any] = {"objective": _bowl, "seeds": 1, "into": tmp_path / "run"}
    first = run_pipeline(axes, budget={"trainings": 20}, **settings)
    assert len(first.trials) == 20
    assert not any("an earlier plan" in note for note in first.results.notes)
    second = run_pipeline(axes, budget={"trainings": 30}, **settings)
    wanted = {training.identity for record in second.results.stages for training in record.wanted}
    extra = len(second.trials) - len(wanted)
    assert extra > 0
    assert len(second.trials) == 30, "20 are paid for, and 10 more make 30"
    said = f"{extra} of 30 trainings are not part of the final plan"
    assert any(note.startswith(said) and "30 trainings counts them" in note for note in second.results.notes)
    third = run_pipeline(axes, budget={"trainings": 25}, **settings)
    assert third.trials == second.trials, "a smaller budget than what was spent trains nothing"


@pytest.mark.parametrize("stages", [["grid", "interval", "polish"], ["surrogate", "polish"], ["coordinate", "polish"]])
@pytest.mark.parametrize("steps", [(12, 30), (20, 25, 40)])
def test_a_larger_budget_has_the_difference_whatever_was_wanted_before(
    tmp_path: Path, stages: list[str], steps: tuple[int, ...]
) -> None:
    def noisy(params: Mapping[str, Any], seed: int) -> float:
        return _bowl(params) + 0.001 * math.sin(1e6 * sum(params.values()) + seed)

    axes = {name: {"low": 0.0, "high": 1.0} for name in "ab"}
    for n in steps:
        result = run_pipeline(
            axes, objective=noisy, seeds=1, stages=stages, into=tmp_path / "run", budget={"trainings": n}
        )
        assert len(result.trials) <= n
        settled = result.verdict is not None and "is settled" in result.verdict.sentence
        assert settled or len(result.trials) >= 0.95 * n
        said = any("budget of" in note and "is spent" in note for note in result.results.notes)
        assert result.verdict is not None or said, "rows of another size may leave nothing for a verdict"


def _bowl(params: Mapping[str, Any]) -> float:
    return 0.9 - sum((value - 0.4) ** 2 for value in params.values()) / 9


@pytest.mark.parametrize("method", ["golden(5)", "gp(5)", "brent(5)", "parabolic(5)", "ternary(5)", "split(3)"])
def test_lines_after_a_search_do_not_depend_on_where_a_run_was_interrupted(method: str) -> None:
    """A surrogate's peaks have seeds of their own, so their lines begin with nothing known."""

    def played(cut: int) -> set[Any]:
        study = Study.of(
            {"a": {"low": 0.0, "high": 1.0}, "b": {"low": 0.0, "high": 1.0}, "kind": {"choices": ["x", "y"]}},
            lambda params: 0.0,
            stages=["surrogate", "interval"],
            seeds=1,
            surrogate={"n_trainings": 12},
            interval={"method": method},
        )
        trials = Trials()
        while not (at := next_round(study.stages, trials, None)).finished:
            more = at.missing if at.stage == 0 else at.missing[:cut]
            trials |= Trials(Trial(t, accuracy=_uneven(t.params), seconds=1.0) for t in more)
        return {trial.training.key for trial in trials}

    assert played(1) == played(10**6)


def _uneven(params: Any) -> float:
    return 0.9 - (params["a"] - 0.83) ** 2 - 0.5 * (params["b"] - 0.21) ** 2 - 0.01 * (params["kind"] == "x")
