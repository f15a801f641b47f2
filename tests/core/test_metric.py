"""The metric: what it is called, which of two values is better, how values are said; and trials that bear one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zonesearch import Metric, StudyError, Training, Trial
from zonesearch.core.measured import measured_metric, own_or_built_in
from zonesearch.core.metric import ACCURACY
from zonesearch.core.reading import Reading
from zonesearch.core.trials import Trials

RMSE = Metric("rmse", unit="m")
NUMBERS = st.floats(-1e6, 1e6)


@given(NUMBERS, NUMBERS, st.sampled_from([ACCURACY, RMSE]))
def test_score_and_value_are_inverse_and_order_as_better_does(a: float, b: float, metric: Metric) -> None:
    assert metric.value(metric.score(a)) == a
    assert metric.better(a, b) == (metric.score(a) > metric.score(b))
    assert metric.best([a, b]) == metric.value(max(metric.score(a), metric.score(b)))
    assert Metric.parse(metric.describe()) == metric


def test_known_metrics_bring_their_direction() -> None:
    assert Metric("rmse").direction == Metric("Validation Loss").direction == "minimize"
    assert Metric("f1").direction == Metric("accuracy").direction == "maximize"
    assert Metric("f1", "minimise").direction == "minimize"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        "val_rmse",
        "test_mae",
        "validation-loss",
        "valLoss",
        "eval/loss",
        "mean_test_mse",
        "huber_loss",
        "RMSE",
        "ValidationMAE",
        "log-loss",
        "WER",
        "latency_ms",
        "latency.s",
        "train.error",
        "classification_error",
        "final_val_loss",
        "mean_absolute_error",
        "cross_entropy",
    ],
)
def test_a_loss_is_minimized_whatever_data_it_is_of(name: str) -> None:
    assert Metric(name).direction == "minimize"


@pytest.mark.parametrize(
    "name",
    [
        "val_accuracy",
        "neg_log_loss",
        "neg_root_mean_squared_error",
        "mean_f1",
        "loss_reduction",
        "errorless",
        "test",
        "reward",
        "val",
        "lossless_ratio",
        "error_reduction",
        "1",
        "+",
    ],
)
def test_all_else_is_maximized(name: str) -> None:
    assert Metric(name).direction == "maximize"


def test_percent_is_for_shares_alone_and_never_guessed_from_the_range() -> None:
    assert ACCURACY.text(0.9831, 0.0008) == "98.31 % ± 0.08"
    assert Metric("balanced_accuracy").text(0.5) == "50.00 %"
    assert Metric("loss").text(0.0185) == "0.0185"
    assert RMSE.text(0.5, 0.01) == "0.5 ± 0.01 m"
    assert ACCURACY.shares([0.2, math.nan, 1.0])
    assert not ACCURACY.shares([0.2, 1.5])
    assert not Metric("loss").shares([0.2])
    assert ACCURACY.gap_text(0.0035) == "+0.35 points"
    assert RMSE.gap_text(-0.5) == "-0.5 m"
    assert RMSE.gap_text(0.5, "") == "0.5 m"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"direktion": "minimize"}, 'no key "direktion"; did you mean "direction"'),
        ({"name": "rmse", "direction": "down"}, '"maximize" or "minimize", not'),
        ({"name": ""}, "needs a name"),
        ({"unit": 3}, "unit of a metric is a string"),
        (3, "a metric is a name, or a table"),
    ],
)
def test_what_is_no_metric_is_refused_with_a_sentence(given, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        Metric.parse(given)


def test_reading_best_obeys_the_direction() -> None:
    curve = (3.0, 1.0, 2.0)
    assert Reading()(curve, RMSE) == 1.0
    assert Reading("last")(curve, RMSE) == 2.0
    trial = Trial(Training({"x": 1}, epochs=3), accuracy=1.0, curve={"validation_accuracy": curve}, metric=RMSE)
    assert trial.at(1).accuracy == 3.0
    assert trial.at(2).accuracy == trial.value() == 1.0


def test_trials_name_their_metric_whoever_failed_and_whatever_came_first() -> None:
    failed = Trial(Training({"x": 1}), "failed", error="Oops")
    trial = Trial(Training({"x": 2}), accuracy=3.0, metric=RMSE)
    for trials in (Trials([failed, trial]), Trials([failed]) | Trials([trial]), Trials([trial]) | Trials([failed])):
        assert trials.metric == RMSE
    assert Trials().metric == Trials([failed]).metric == ACCURACY


def test_columns_are_called_after_the_metric_and_noted_values_follow() -> None:
    trial = Trial(Training({"x": 1}), accuracy=3.0, metric=RMSE, noted={"latency_ms": 7, "seconds": 2.0})
    frame = Trials([trial, Trial(Training({"x": 2}), "failed", error="Oops")]).frame()
    assert list(frame.columns[:5]) == ["x", "rmse", "test_rmse", "latency_ms", "seconds"]
    assert list(frame.columns[5:8]) == ["seed", "epochs", "state"]
    assert "training_seconds" in frame.columns
    assert frame["rmse"].tolist()[0] == 3.0
    assert math.isnan(frame["latency_ms"][1])
    assert list(Trials([Trial(Training({"x": 1}), accuracy=0.5)]).frame().columns[:3]) == [
        "x",
        "accuracy",
        "test_accuracy",
    ]


def test_noted_values_are_those_of_the_best_epoch_at_any_length() -> None:
    curve = {"validation_accuracy": (3.0, 2.0, 1.0), "latency_ms": (7.0, 8.0, 9.0)}
    training = Training({"x": 1}, epochs=3)
    trial = Trial(training, accuracy=1.0, curve=curve, metric=RMSE, noted={"latency_ms": 9, "size": 5})
    assert trial.at(2).noted == {"latency_ms": 8.0, "size": 5.0}


def test_records_that_note_other_values_are_both_kept_in_any_order() -> None:
    one, other = (Trial(Training({"x": 1}), accuracy=0.5, noted={"ms": n}) for n in (1, 2))
    ways = [Trials([one]) | Trials([other]), Trials([other]) | Trials([one])]
    assert ways[0] == ways[1]
    assert {trial.noted["ms"] for trial in ways[0]} == {trial.noted["ms"] for trial in ways[1]}


# --- what the settings of a network measure


def test_either_table_names_a_built_in_metric() -> None:
    assert own_or_built_in("regression", "", {"name": "rmse"}) == "rmse"
    assert own_or_built_in("regression", "", {"name": "r2"}) == "", "what is measured anyway is no other experiment"
    assert measured_metric("regression", "rmse", table={"unit": "m"}) == RMSE
    assert measured_metric("regression", "") == Metric("r2")
    assert measured_metric("classification", "") == ACCURACY


def test_a_function_is_called_after_itself_unless_it_is_named() -> None:
    assert measured_metric("regression", "my.parts:mae") == Metric("mae", "minimize")
    assert measured_metric("regression", "my:fn", "minimise") == Metric("fn", "minimize")
    named = {"name": "cost", "direction": "minimize", "unit": "EUR"}
    assert measured_metric("regression", "my:fn", table=named) == Metric("cost", "minimize", "EUR")


@pytest.mark.parametrize(
    ("metric", "direction", "table", "said"),
    [
        ("mae", "", {"name": "rmse"}, '"rmse", but \\[training\\] metric = "mae"'),
        ("", "", {"name": "rsme"}, 'did you mean "rmse"'),
        ("rmse", "maximize", {}, '"maximize", but rmse is to be minimized'),
        ("", "", {"name": "rmse", "direction": "maximize"}, '"maximize", but rmse is to be minimized'),
        ("my:fn", "maximize", {"direction": "minimize"}, 'direction\\] = "minimize"|direction = "minimize"; say which'),
        ("", "", {"nmae": "rmse"}, "did you mean"),
    ],
)
def test_contradictions_are_refused_with_a_sentence(metric: str, direction: str, table, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        measured_metric("regression", own_or_built_in("regression", metric, table), direction, table)
