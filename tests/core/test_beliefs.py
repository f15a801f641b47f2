"""What is believed of an axis guides the surrogate, and is refused where nothing heeds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zonesearch import Space, SpaceError, Study, StudyError, run_pipeline
from zonesearch.statistics.gp.cube import Cube

RATE = {"low": 1e-5, "high": 1e-1, "scale": "log", "row": 4, "prior": {"center": 0.003, "spread": 3}}


def test_prior_is_read_and_written() -> None:
    space = Space.parse({"rate": RATE, "x": {"low": 0.0, "high": 1.0, "prior": {"center": 0.2, "spread": 0.1}}})
    assert Space.parse(space.describe()) == space
    assert space["rate"].describe()["prior"] == {"center": 0.003, "spread": 3}


@pytest.mark.parametrize(
    ("prior", "said"),
    [
        ({"center": 1.0, "spread": 3}, "outside"),
        ({"center": 0.003, "spread": 0.5}, "factor"),
        ({"center": 0.003}, "spread must be a number"),
        ({"centre": 0.003, "spread": 3}, "did you mean"),
        (0.003, "must be a table"),
    ],
)
def test_prior_that_makes_no_sense_is_refused(prior: Any, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        Space.parse({"rate": {**RATE, "prior": prior}})


def test_prior_that_no_stage_heeds_is_refused() -> None:
    with pytest.raises(StudyError, match="stage surrogate"):
        Study.of({"rate": RATE}, lambda params: 0.0, stages=["grid", "interval", "polish"])


def test_first_design_begins_at_the_center_and_leaves_room_for_doubt() -> None:
    cube = Cube(Space.parse({"rate": RATE, "x": {"low": 0.0, "high": 1.0}}))
    design = cube.design(16, 0)
    near = np.abs(design[:, 0] - cube.space["rate"].to_unit(0.003)) < 0.12
    assert abs(cube.params(design[0])["rate"] - 0.003) < 1e-6  # type: ignore[operator]
    assert 6 <= near.sum() < 16
    assert design[:, 0].min() < 0.2
    believed = cube.belief(design)
    assert believed[0] == pytest.approx(0.0)
    assert believed.min() > -3.1


@pytest.mark.parametrize("center", [0.001, 0.09])
def test_search_finds_the_peak_whatever_is_believed(center: float) -> None:
    space = {"rate": {**RATE, "prior": {"center": center, "spread": 2}}, "x": {"low": 0.0, "high": 1.0}}

    def train(params: dict[str, Any]) -> float:
        return 1 - (np.log10(params["rate"]) + 3) ** 2 / 4 - (params["x"] - 0.3) ** 2

    result = run_pipeline(space, objective=train, stages=["surrogate"], surrogate={"n_trainings": 24})
    assert max(trial.accuracy or 0.0 for trial in result.trials) > 0.97
