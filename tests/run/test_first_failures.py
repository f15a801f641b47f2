"""A search that asks a point at a time goes on after a first bad one; one that finds nothing says so."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from zonesearch import run_pipeline
from zonesearch.errors import ObjectiveError

SPACE = {"lr": {"low": 1e-4, "high": 0.1, "scale": "log"}}
SEARCHES = {
    "controller": {"controller": {"n_trainings": 8}},
    "surrogate": {"surrogate": {"n_trainings": 8, "batch": 1}},
    "coordinate": {"coordinate": {"n_trainings": 12}},
}


def diverging(params: Any, seed: int) -> float:
    return math.nan if params["lr"] > 0.002 else 0.9 + params["lr"]


def failing(params: Any, seed: int) -> float:
    if params["lr"] > 0.002:
        raise RuntimeError("out of memory")
    return 0.9 + params["lr"]


@pytest.mark.parametrize("objective", [diverging, failing])
@pytest.mark.parametrize("stage", SEARCHES)
def test_a_search_learns_from_a_first_training_without_a_value(stage: str, objective: Any, tmp_path: Path) -> None:
    found = run_pipeline(SPACE, objective=objective, stages=[stage], **SEARCHES[stage], into=tmp_path / "run")
    states = [trial.state for trial in found.trials]
    assert "complete" in states
    assert len(states) > 1


@pytest.mark.parametrize("stage", SEARCHES)
def test_a_search_that_finds_nothing_ends_after_a_few(stage: str, tmp_path: Path) -> None:
    with pytest.raises(ObjectiveError, match="all diverged"):
        run_pipeline(
            SPACE, objective=lambda params, seed: math.nan, stages=[stage], **SEARCHES[stage], into=tmp_path / "run"
        )


def test_a_grid_of_few_cells_that_all_diverge_ends_at_once(tmp_path: Path) -> None:
    with pytest.raises(ObjectiveError, match="stage grid: of 3 trainings all diverged"):
        run_pipeline({"lr": [0.1, 0.2, 0.3]}, objective=lambda params, seed: math.nan, seeds=1, into=tmp_path / "run")
