from __future__ import annotations

import math

import numpy as np
import pytest

from zonesearch import Training, Trial, Trials
from zonesearch.core.reading import Reading


def trial(width: int = 8, seed: int = 0, curve: tuple[float, ...] = (0.1, 0.5, 0.4), **more: object) -> Trial:
    training = Training({"width": width}, seed, len(curve), test=bool(more.get("test_accuracy")))
    return Trial(training, accuracy=max(curve), curve={"validation_accuracy": curve}, **more)  # type: ignore[arg-type]


def test_key_is_of_plain_numbers() -> None:
    key = Training({"width": 8, "rate": 1.0}, 3).key
    assert Training({"rate": np.float32(1.0), "width": np.int64(8)}, 3).key == key
    assert Training({"width": 8, "rate": 1}, 3, epochs=9).key == key
    assert Training({"width": 8, "rate": 1.0}, 4).key != key


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{}], {}])
def test_training_refuses_params_that_cannot_be_written(value: object) -> None:
    with pytest.raises(TypeError):
        Training({"x": value})  # type: ignore[dict-item]


@pytest.mark.parametrize("value", [1.0000001e100, -1e308, math.inf, math.nan])
def test_a_value_that_no_variance_can_be_taken_of_has_diverged(value: float) -> None:
    """Some return 1e300 for what went wrong; beside it no mean, noise or fit would have a meaning."""
    assert Trial(Training({"x": 1}), accuracy=value).state == "diverged"
    assert Trial(Training({"x": 1}), accuracy=1e100).complete


def test_longer_trial_answers_for_a_shorter_training() -> None:
    trials = Trials([trial()])
    short = trials.get(Training({"width": 8}, 0, 1))
    assert short is not None
    assert short.accuracy == 0.1
    assert short.epochs == 1
    assert trials.missing([Training({"width": 8}, 0, 2)]) == []
    longer = Training({"width": 8}, 0, 4)
    assert trials.missing([longer, longer, Training({"width": 9}, 0, 1)]) == [longer, Training({"width": 9}, 0, 1)]


def test_trial_without_curve_answers_for_its_own_length_only() -> None:
    trials = Trials([Trial(Training({"width": 8}, 0, 3), accuracy=0.5)])
    assert trials.missing([Training({"width": 8}, 0, 3)]) == []
    assert len(trials.missing([Training({"width": 8}, 0, 2)])) == 1


def test_test_accuracy_is_missing_until_it_was_asked_for() -> None:
    wanted = Training({"width": 8}, 0, 3, test=True)
    assert Trials([trial()]).missing([wanted]) == [wanted]
    assert Trials([trial(), trial(test_accuracy=0.45)]).missing([wanted]) == []
    in_vain = Trial(wanted, accuracy=0.5, curve={"validation_accuracy": (0.1, 0.5, 0.4)})
    assert Trials([in_vain]).missing([wanted]) == []


def test_test_accuracy_stays_only_where_the_same_epoch_is_chosen() -> None:
    tested = trial(test_accuracy=0.45)
    assert tested.at(2).test_accuracy == 0.45
    assert tested.at(1).test_accuracy is None


def test_diverged_and_failed_are_answers() -> None:
    wanted = Training({"width": 8}, 0, 3)
    assert Trials([Trial(wanted, "diverged")]).missing([wanted]) == []
    assert Trials([Trial(wanted, "failed", error="boom")]).missing([wanted]) == []
    with pytest.raises(ValueError, match="accuracy"):
        Trial(wanted, "failed", accuracy=0.5)
    with pytest.raises(ValueError, match="accuracy"):
        Trial(wanted, "complete")


def test_conflict_is_the_same_training_with_another_accuracy() -> None:
    a, b = trial(curve=(0.1, 0.5)), trial(curve=(0.1, 0.6), provenance={"host": "elsewhere"})
    trials = Trials([a]) | Trials([b])
    assert len(trials) == 1
    (conflict,) = trials.conflicts
    assert "elsewhere" in str(conflict)
    assert not Trials([a, trial(curve=(0.1, 0.5, 0.7))]).conflicts
    assert Trials([a, trial(curve=(0.2, 0.5, 0.7))]).conflicts == ()
    assert len(Trials([a, trial(curve=(0.2, 0.7, 0.7))]).conflicts) == 1


def test_conflict_of_records_of_unlike_lengths_names_the_values_where_they_differ() -> None:
    short, longer, longest = trial(curve=(0.1,)), trial(curve=(0.2, 0.5)), trial(curve=(0.2, 0.5, 0.7))
    (conflict,) = (Trials([short]) | Trials([longer]) | Trials([longest])).conflicts
    assert str(conflict).partition("recorded as ")[2].split("; ") in (
        ["0.1 on an unnamed machine", "0.2 on an unnamed machine"],
        ["0.2 on an unnamed machine", "0.1 on an unnamed machine"],
    )


def test_frame_has_params_and_accuracy_first() -> None:
    frame = Trials([trial(16), trial(8, 1), trial(8)]).frame()
    assert list(frame.columns[:2]) == ["width", "accuracy"]
    assert list(zip(frame["width"], frame["seed"], strict=True)) == [(8, 0), (8, 1), (16, 0)]


@pytest.mark.parametrize(("spec", "value"), [("best", 0.9), ("last", 0.2), ("median(3)", 0.4)])
def test_reading_takes_one_number_from_a_curve(spec: str, value: float) -> None:
    reading = Reading.parse(spec)
    assert reading((0.1, 0.9, 0.4, 0.2)) == value
    assert str(reading) == spec


@pytest.mark.parametrize("spec", ["median(0)", "mean", "best()", ""])
def test_reading_refuses_anything_else(spec: str) -> None:
    with pytest.raises(ValueError, match="reading"):
        Reading.parse(spec)


def test_a_pruned_trial_answers_without_a_value_and_contradicts_nothing() -> None:
    training = Training({"x": 1}, 0, 10)
    pruned = Trial(training, "pruned", curve={"validation_accuracy": (0.1, 0.2)})
    assert pruned.answers(training)
    assert pruned.answers(Training({"x": 1}, 0, 10, test=True))
    assert not pruned.answers(Training({"x": 1}, 0, 20))
    assert math.isnan(pruned.value())
    both = Trials([pruned, Trial(training, accuracy=0.5)])
    assert not both.conflicts
    found = both.get(training)
    assert found is not None
    assert found.complete
    with pytest.raises(ValueError, match="a pruned trial has no accuracy"):
        Trial(training, "pruned", accuracy=0.5)


@pytest.mark.parametrize("value", [1.0000001e100, -1e300, float("inf"), float("nan")])
def test_a_value_that_cannot_be_squared_is_a_training_that_diverged(value: float) -> None:
    for given in ({"accuracy": value}, {"accuracy": 0.5, "test_accuracy": value}):
        trial = Trial(Training({"x": 1}, 0), **given)
        assert (trial.state, trial.accuracy, trial.test_accuracy) == ("diverged", None, None)
    assert Trial(Training({"x": 1}, 0), accuracy=-1e100).complete


def test_a_training_that_was_good_before_its_values_exploded_answers_for_the_epochs_before() -> None:
    trial = Trial(Training({"x": 1}, 0, 3), "diverged", curve={"validation_accuracy": (0.5, 0.7, 1e200)})
    assert trial.at(2).accuracy == 0.7
    assert trial.at(3).state == "diverged"
