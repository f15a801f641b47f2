"""Constraints, widening, steps and budgets with each other: faults that only their meeting shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from zonesearch import ObjectiveError, Space, run_pipeline
from zonesearch.cli.main import main
from zonesearch.core.widening import beyond


def uphill(params: Mapping[str, Any]) -> float:
    return 0.9 - abs(params["width"] - 48) / 400 - (params["x"] - 0.5) ** 2 / 10


AXES = {"width": {"low": 4, "high": 16, "scale": "log", "limit_high": 128}, "x": {"low": 0.0, "high": 1.0}}


def test_a_budget_that_pays_for_widening_does_not_forbid_it() -> None:
    free = run_pipeline(AXES, objective=uphill, seeds=1)
    bound = run_pipeline(AXES, objective=uphill, seeds=1, budget={"trainings": 2 * len(free.trials)})
    assert max(trial.params["width"] for trial in bound.trials) > 16
    assert free.verdict is not None
    assert bound.verdict is not None
    assert free.verdict.best.finalist.params == bound.verdict.best.finalist.params  # type: ignore[union-attr]


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
