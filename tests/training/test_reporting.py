"""Values reported from inside a call count as yielded ones; outside of a search they count nowhere."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest

from zonesearch import ObjectiveError, report_epoch, run_pipeline
from zonesearch.integrations.reports import Reporter
from zonesearch.training.reporting import current_collector

SPACE = {"x": [1, 2, 3, 4]}


def value(params: Any, epoch: int) -> float:
    return 1 - 1 / (params["x"] + epoch)


def run(objective: Any, **settings: Any) -> Any:
    return run_pipeline(SPACE, objective=objective, **{"epochs": 3, "seeds": 1, "stages": ["grid"], **settings})


def test_reported_values_make_the_same_run_as_yielded_ones() -> None:
    def reports(params: Any, seed: int, epochs: int) -> None:
        for epoch in range(epochs):
            report_epoch(value(params, epoch))

    def yields(params: Any, seed: int, epochs: int) -> Any:
        for epoch in range(epochs):
            yield value(params, epoch)

    one, other = run(reports), run(yields)
    assert [t.validation_curve for t in one.trials] == [t.validation_curve for t in other.trials]
    assert [t.accuracy for t in one.trials] == [t.accuracy for t in other.trials]
    assert one.zones == other.zones


def test_a_training_that_does_not_look_at_epochs_is_told_when_to_stop() -> None:
    lengths = []

    def forty(params: Any) -> None:
        for epoch in range(40):
            if not report_epoch(value(params, epoch)):
                break
        lengths.append(epoch + 1)

    result = run(forty, grid={"rungs": [1]})
    assert set(lengths) == {1, 3}
    assert {trial.epochs for trial in result.trials} <= {1, 3}


def test_values_beyond_the_wanted_epochs_do_not_count() -> None:
    def heedless(params: Any, seed: int, epochs: int) -> float:
        for epoch in range(epochs + 5):
            report_epoch(value(params, epoch))
        return 0.0  # does not count either

    for trial in run(heedless).trials:
        assert trial.validation_curve == tuple(value(trial.params, epoch) for epoch in range(3))


def test_fewer_values_are_an_early_stop_and_nan_ends_the_training() -> None:
    asked = []

    def diverges(params: Any, seed: int, epochs: int) -> None:
        report_epoch(0.5)
        if params["x"] > 1:
            asked.append(report_epoch(math.nan))

    trials = list(run(diverges).trials)
    assert [trial.state for trial in trials] == ["complete", "diverged", "diverged", "diverged"]
    assert trials[0].validation_curve == (0.5,)
    assert asked == [False] * 3


def test_outside_of_a_search_a_report_does_nothing() -> None:
    assert report_epoch(0.5) is True
    assert current_collector() is None
    assert not Reporter("accuracy").active
    assert Reporter("accuracy").report({}, 1) is True


def test_a_generator_may_not_report_too() -> None:
    def both(params: Any, seed: int, epochs: int) -> Any:
        yield 0.5
        report_epoch(0.6)

    with pytest.raises(ObjectiveError, match="do one or the other"):
        run(both)


def test_a_callback_reports_from_another_thread() -> None:
    def threaded(params: Any, seed: int, epochs: int) -> None:
        reporter = Reporter("acc")

        def fit() -> None:
            for epoch in range(epochs):
                reporter.report({"acc": value(params, epoch)}, epoch + 1)

        thread = threading.Thread(target=fit)
        thread.start()
        thread.join()

    assert all(len(trial.validation_curve) == 3 for trial in run(threaded).trials)


def test_a_metric_that_was_not_logged_is_named_with_the_nearest() -> None:
    def misspelt(params: Any, seed: int, epochs: int) -> None:
        Reporter("val_acuracy").report({"val_accuracy": 0.5, "loss": 1.0}, 1)

    with pytest.raises(ObjectiveError, match='no "val_acuracy" after epoch 1; did you mean "val_accuracy"'):
        run(misspelt)


def test_nested_searches_keep_their_values_apart() -> None:
    def outer(params: Any, seed: int, epochs: int) -> None:
        inner = run(lambda p: report_epoch(0.1 * p["x"]), epochs=1)
        assert [trial.accuracy for trial in inner.trials] == pytest.approx([0.1, 0.2, 0.3, 0.4])
        report_epoch(value(params, 0))

    assert [t.validation_curve for t in run(outer).trials] == [(value(p, 0),) for p in ({"x": x} for x in (1, 2, 3, 4))]
