"""Axes with steps have no value between them, and lists are choices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zonesearch import Axis, Space, SpaceError, run_pipeline
from zonesearch.cli.main import main
from zonesearch.core.trials import Training
from zonesearch.optuna.space import distribution_of
from zonesearch.optuna.view import OptunaView
from zonesearch.sklearn.space import ParamSpace
from zonesearch.statistics.gp.cube import Cube


def test_step_leaves_odd_kernels_odd() -> None:
    axis = Space.parse({"kernel": {"low": 3, "high": 10, "step": 2}})["kernel"]
    assert axis.row() == (3, 5, 7, 9)
    assert isinstance(axis, Axis)
    assert axis.high == 9
    assert not axis.contains(4)
    assert axis.between(3, 9, 8) == (3, 5, 7, 9)


def test_step_of_a_tenth_has_short_decimals() -> None:
    axis = Axis("dropout", 0.0, 1.0, row_rule=10, step=0.1)
    assert axis.row() == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert axis.contains(0.1 + 0.2)


@example(low=1, n=7, step=0.1, log=False, u=0.0, parts=1)
@given(
    low=st.integers(1, 50),
    n=st.integers(1, 40),
    step=st.sampled_from([1, 2, 3, 7, 0.1, 0.25]),
    log=st.booleans(),
    u=st.floats(0, 1),
    parts=st.integers(1, 9),
)
def test_axis_with_steps_gives_only_its_steps(low: int, n: int, step: float, log: bool, u: float, parts: int) -> None:
    axis = Axis("x", low, low + n * step, "log" if log else "linear", row_rule=parts, step=step)
    found = [*axis.row(), axis.from_unit(u), *axis.between(axis.low, axis.high, parts), *axis.rims]
    assert all(axis.contains(value) for value in found)
    assert all(abs((value - low) / step - round((value - low) / step)) < 1e-6 for value in found)
    assert Space.parse(Space((axis,)).describe()) == Space((axis,))
    distribution = distribution_of(axis)
    assert all(distribution._contains(distribution.to_internal_repr(value)) for value in found)
    cube = Cube(Space((axis,)))
    assert axis.contains(cube.params(cube.snap(np.array([[u]]))[0])["x"])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"low": 1, "high": 4, "step": 0}, "above 0"),
        ({"low": 1, "high": 4, "step": 9}, "longer than the axis"),
        ({"low": 1, "high": 4, "step": 0.5, "integer": True}, "whole number"),
        ({"low": 1, "high": 9, "step": 2, "row": [1, 4]}, "is none of 1, 3"),
        ({"low": 1, "high": 9, "step": "2"}, "above 0"),
    ],
)
def test_step_that_does_not_fit_is_refused(table: dict[str, Any], said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        Space.parse({"x": table})


@pytest.mark.parametrize("stages", [("grid", "interval", "polish"), ("surrogate", "polish"), ("optuna",)])
def test_every_search_trains_only_steps_and_choices(stages: tuple[str, ...], tmp_path: Path) -> None:
    space = {"heads": {"choices": [1, 2, 4, 8]}, "kernel": {"low": 3, "high": 9, "step": 2}}
    seen = set()

    def train(params: dict[str, Any], seed: int, epochs: int) -> float:
        seen.add((params["heads"], params["kernel"]))
        return -abs(params["heads"] - 3) - abs(params["kernel"] - 6) / 10 + 0.001 * seed

    settings = {stage: {"n_trainings": 14} for stage in stages if stage in ("surrogate", "optuna")}
    run_pipeline(space, objective=train, metric="score", stages=stages, **settings)
    assert {heads for heads, _ in seen} <= {1, 2, 4, 8}
    assert {kernel for _, kernel in seen} <= {3, 5, 7, 9}


def test_lists_are_choices_in_training_records_table_and_view(tmp_path: Path, capsys: Any) -> None:
    given: list[Any] = []

    def train(params: dict[str, Any]) -> float:
        given.append(params["widths"])
        return sum(params["widths"] or [0]) + params["rate"]

    space = {"widths": {"choices": [[64], [64, 32], None]}, "rate": [0.1, 0.2]}

    def search() -> Any:
        return run_pipeline(space, objective=train, metric="score", into=tmp_path / "run", seeds=1)

    result = search()
    assert {type(value) for value in given} == {list, type(None)}
    assert result.zones[0].peak["widths"] == (64, 32)
    n = len(given)
    search()
    assert len(given) == n  # found again
    assert main(["trials", str(tmp_path / "run"), "--csv"]) == 0
    assert '"[64, 32]"' in capsys.readouterr().out
    view = OptunaView(str(tmp_path / "view.journal"), "run", "print", Space.parse(space))
    view.top_up(result.trials)
    assert {trial.params["widths"] for trial in view.study.trials} == {"[64]", "[64, 32]", "None"}


def test_a_list_is_one_value_however_it_is_written() -> None:
    assert Training({"w": [64, 32]}).key == Training({"w": (64, 32)}).key
    assert Training({"w": [64, 32]}) == Training({"w": (64.0, 32)})
    assert Training({"w": [64, 32]}) != Training({"w": [32, 64]})


def test_scikit_learn_spaces_take_steps() -> None:
    space = ParamSpace.parse({"max_depth": {"low": 2, "high": 10, "step": 2}}).space
    assert space["max_depth"].row() == (2, 4, 6, 8, 10)
