from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from zonesearch import StudyError, Training, Trial, Trials
from zonesearch.search.budget import Budget, Ledger
from zonesearch.search.clock import busy_seconds

START = datetime(2026, 1, 1, tzinfo=UTC)


def ran(x, begin, seconds, epochs=10, host="north", worker=""):
    """A trial that ran from ``begin`` on."""
    started = (START + timedelta(seconds=begin)).isoformat(timespec="milliseconds")
    where = {"host": host, "started": started, "worker": worker}
    curve = {"validation_accuracy": [0.5] * epochs}
    return Trial(Training({"x": x}, 0, epochs), accuracy=0.5, curve=curve, seconds=seconds, provenance=where)


def busy(*trials, epochs=10):
    return busy_seconds({trial.training.identity: epochs for trial in trials}, Trials(trials))


@pytest.mark.parametrize(
    ("table", "unit", "amount", "text"),
    [
        ({"trainings": 200}, "trainings", 200, "200 trainings"),
        ({"epochs": 4000}, "epochs", 4000, "4,000 epochs"),
        ({"hours": 2}, "seconds", 7200, "2 hours"),
        ({"minutes": 1}, "seconds", 60, "1 minute"),
        ({"seconds": 0.5}, "seconds", 0.5, "0.5 seconds"),
    ],
)
def test_a_budget_is_read_said_and_read_back(table, unit, amount, text) -> None:
    budget = Budget.parse(table)
    assert (budget.unit, budget.amount, str(budget)) == (unit, amount, text)
    assert Budget.parse(budget.describe()) == budget


@pytest.mark.parametrize(
    "table",
    [{}, 200, "2h", {"trainings": 2, "epochs": 3}, {"trainings": 0}, {"trainings": 2.5}, {"epochs": True},
     {"hours": -1}, {"hours": math.nan}, {"seconds": "10"}, {"training": 5}],
)  # fmt: skip
def test_what_is_no_budget_is_refused(table) -> None:
    with pytest.raises(StudyError, match="budget"):
        Budget.parse(table)


def test_a_typo_names_the_nearest_key() -> None:
    with pytest.raises(StudyError, match='did you mean "hours"'):
        Budget.parse({"hour": 2})


def test_a_training_is_paid_once_and_a_longer_one_costs_what_it_adds() -> None:
    short, long, other = Training({"x": 1}, 0, 5), Training({"x": 1}, 0, 20), Training({"x": 2}, 0, 20)
    ledger = Ledger(Budget("epochs", 100)).paying([short], Trials())
    assert ledger.left == 95
    assert ledger.unit_price(20) == 20
    assert ledger.price(long, ledger.paid) == 15
    assert ledger.paying([long, other], Trials()).spent == 40
    assert ledger.affordable(47.5, 20) == 2
    counted = Ledger(Budget("trainings", 10)).paying([short, long, other], Trials())
    assert counted.spent == 2
    assert counted.price(long, counted.paid) == 0


def test_time_is_when_anything_ran() -> None:
    assert busy(ran(1, 0, 10), ran(2, 100, 10)) == pytest.approx(20)  # a pause between
    assert busy(ran(1, 0, 10, worker="a"), ran(2, 5, 10, worker="b")) == pytest.approx(15)  # side by side
    assert busy(ran(1, 0, 10), ran(2, 0, 10)) == pytest.approx(20)  # one job, one after the other
    assert busy(ran(1, 0, 10), Trial(Training({"x": 3}, 0, 10), accuracy=0.5, seconds=7)) == pytest.approx(17)


def test_time_counts_the_legs_of_a_training_and_nothing_beyond_what_was_paid() -> None:
    short, long = ran(1, 0, 10, epochs=5), ran(1, 50, 30, epochs=20)
    trials = Trials([short, long])
    assert busy_seconds({short.training.identity: 20}, trials) == pytest.approx(40)
    assert busy_seconds({short.training.identity: 5}, trials) == pytest.approx(10)
    assert busy_seconds({short.training.identity: 5}, Trials([long])) == pytest.approx(30 * 5 / 20)
    assert Ledger(Budget("seconds", 100)).paying([long.training], trials).rate == pytest.approx(2)
    assert math.isnan(Ledger(Budget("seconds", 100)).rate)
