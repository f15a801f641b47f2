"""What a function may give: numbers of any kind, or several values by name."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch

from zonesearch import Metric, ObjectiveError, Training, run_pipeline
from zonesearch.core.objective import Job
from zonesearch.training.function import FunctionObjective


class Sevenths:
    """A number of somebody's own."""

    def __float__(self) -> float:
        return 0.5


HALVES = {
    "Fraction": Fraction(1, 2),
    "Decimal": Decimal("0.5"),
    "float32": np.float32(0.5),
    "array": np.array(0.5),
    "array of one": np.array([[0.5]]),
    "tensor": torch.tensor(0.5),
    "tensor of one": torch.tensor([0.5], dtype=torch.bfloat16),
    "tensor with a gradient": torch.tensor(0.5, requires_grad=True),
    "series": pd.Series([0.5]),
    "own": Sevenths(),
}


def giving(value):
    return lambda params: value


def trained(function, epochs: int = 1, **settings):
    objective = FunctionObjective(function, **settings)
    [trial] = objective.train(Job((Training({"x": 1.0}, 0, epochs),)), lambda share: None)
    return trial


@pytest.mark.parametrize("kind", HALVES)
def test_a_number_of_any_kind_is_taken(kind: str) -> None:
    assert trained(lambda params: HALVES[kind]).accuracy == 0.5
    assert trained(lambda params: {"f1": HALVES[kind], "ms": HALVES[kind]}).noted == {"ms": 0.5}


def test_whole_numbers_are_taken_and_what_is_beyond_floats_diverges() -> None:
    for value in (3, np.int64(3), torch.tensor(3)):
        assert trained(giving(value)).accuracy == 3.0
    for value in (math.nan, torch.tensor(math.inf), np.float32("nan"), 10**400, Decimal("NaN")):
        assert trained(giving(value)).state == "diverged"


@pytest.mark.parametrize(
    "value",
    ["0.5", True, np.bool_(True), torch.tensor(True), None, [0.5], (0.5,), 1j, torch.zeros(2), np.zeros(2), object()],
    ids=lambda value: "object()" if type(value) is object else repr(value),
)
def test_what_is_no_number_is_one_sentence(value) -> None:
    with pytest.raises(ObjectiveError, match=r"must give (a|one) number"):
        trained(lambda params: value)
    if value is not None and not isinstance(value, bool):  # noted values may be missing, or yes and no
        with pytest.raises(ObjectiveError, match='as "other"'):
            trained(lambda params: {"accuracy": 0.5, "other": value})


def test_first_value_is_searched_and_names_the_metric_where_none_is_named() -> None:
    trial = trained(lambda params: {"rmse": 2.0, "latency_ms": 7, "fits": True, "skipped": None, "broken": math.nan})
    assert trial.accuracy == 2.0
    assert trial.metric == Metric("rmse", "minimize")
    assert trial.noted == {"latency_ms": 7.0, "fits": 1.0}
    assert trial.cost is None
    assert trained(lambda params: {"accuracy": 0.5, "cost": 3}).cost == 3.0
    assert trained(lambda params: {"cost": 3, "accuracy": 0.5}).cost is None, "what is searched is no cost"


def test_named_value_is_searched_wherever_it_stands() -> None:
    def both(params):
        return {"latency_ms": 7, "accuracy": 0.5}

    assert trained(both).metric == Metric("latency_ms", "minimize")
    named = trained(both, metric=Metric("accuracy"), named=True)
    assert (named.accuracy, named.noted) == (0.5, {"latency_ms": 7.0})
    found = run_pipeline({"x": [0, 1]}, objective=both, metric="accuracy", stages=["grid"])
    assert {trial.metric.name for trial in found.trials} == {"accuracy"}
    found = run_pipeline({"x": [0, 1]}, objective=both, direction="maximize", stages=["grid"])
    assert found.results.metric == Metric("latency_ms", "maximize"), "a direction that is given holds"
    found = run_pipeline({"y": [0, 1]}, objective=lambda p: {"f1": p["y"]}, direction="minimize", stages=["coordinate"])
    assert (found.results.metric, found.zones[0].peak) == (Metric("f1", "minimize"), {"y": 0})


def test_values_without_the_searched_one_are_one_sentence() -> None:
    with pytest.raises(ObjectiveError, match='must give "rmse", which is searched, but gave mae, r2'):
        trained(lambda params: {"mae": 1, "r2": 0.5}, metric=Metric("rmse"))
    with pytest.raises(ObjectiveError, match='must give "accuracy", which is searched, but gave nothing'):
        trained(lambda params: {})
    with pytest.raises(ObjectiveError, match="the name of an axis"):
        trained(lambda params: {"x": 1.0})


def test_values_may_be_yielded_and_are_those_of_the_best_epoch() -> None:
    def learning(params, seed, epochs):
        for epoch in range(epochs):
            yield {"rmse": 5.0 - epoch if epoch < 3 else 9.0, "ms": torch.tensor(10 + epoch)}

    trial = trained(learning, 5)
    assert trial.accuracy == 3.0
    assert trial.noted == {"ms": 12.0}
    assert trial.validation_curve == (5.0, 4.0, 3.0, 9.0, 9.0)
    assert trial.curve["ms"] == (10.0, 11.0, 12.0, 13.0, 14.0)
    assert trial.at(2).noted == {"ms": 11.0}


def test_search_minimizes_what_a_function_calls_an_error() -> None:
    def fitted(params, seed):
        return {"rmse": (params["x"] - 3) ** 2 + 1, "cost": params["x"]}

    found = run_pipeline(
        {"x": {"low": 0.0, "high": 8.0, "row": 4}}, objective=fitted, stages=["coordinate", "interval"]
    )
    best = min(found.candidates, key=lambda candidate: candidate.value)
    assert best.params == {"x": 3.0}
    assert best.value == 1.0
    assert list(found.frame().columns[:4]) == ["x", "rmse", "test_rmse", "cost"]
    assert found.results.metric == Metric("rmse", "minimize")


def test_an_objective_that_gives_something_else_than_before_is_one_sentence() -> None:
    def fickle(params):
        return {"a": 0.5, "b": 0.4} if params["x"] == 0 else {"b": 0.4, "a": 0.5}

    with pytest.raises(ObjectiveError, match='name what is to be searched: metric = "a" or "b"'):
        run_pipeline({"x": [0, 1]}, objective=fickle, stages=["grid"])
