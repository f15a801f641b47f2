"""Values: one form of each float, and choices that keep their types."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonesearch import Axis, Choice, Space, SpaceError, Training, Trial, Trials, run_pipeline
from zonesearch.core.values import canonical, same
from zonesearch.run.storage.record import parse, to_trial, trial_line

SIX = (True, 1, 1.0, "1", None, "None")
APART = 1e-9

UNHURRIED = settings(deadline=None)
floats = st.floats(1e-12, 1e12)


def kinds(values: Any) -> list[tuple[str, str]]:
    """Values with the names of their plain types, so that 1 and 1.0 are told apart."""
    return [
        (next(kind.__name__ for kind in (bool, int, float, str, type(None)) if isinstance(value, kind)), str(value))
        for value in values
    ]


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (0.09999999999999999, 0.1),
        (0.010000000000000005, 0.01),
        (0.009999999999999998, 0.01),
        (0.30000000000000004, 0.3),
        (-0.30000000000000004, -0.3),
        (1e-5 * 2**7, 0.00128),
        (0.0, 0.0),
        (123456.75, 123456.75),
    ],
)
def test_a_float_has_one_form(value: float, form: float) -> None:
    assert canonical(value) == form


@UNHURRIED
@given(floats)
def test_the_form_of_a_form_is_itself_and_near(value: float) -> None:
    form = canonical(value)
    assert canonical(form) == form
    assert abs(form - value) <= 1.02e-9 * value


@UNHURRIED
@given(floats, st.floats(0, 3e-9))
def test_two_forms_are_one_or_a_billionth_apart(value: float, more: float) -> None:
    a, b = sorted((canonical(value), canonical(value * (1 + more))))
    assert a == b or b - a >= APART * a


@UNHURRIED
@given(floats, st.floats(1.01, 1e6), st.booleans(), st.integers(1, 12), st.lists(st.floats(0, 1), max_size=20))
def test_no_two_values_of_an_axis_are_nearly_the_same(
    low: float, factor: float, log: bool, steps: int, places: list[float]
) -> None:
    axis = Axis("x", low, low * factor, "log" if log else "linear", row_rule=steps)
    row = axis.row()
    values = {*row, *(axis.from_unit(u) for u in places)}
    for a, b in itertools.pairwise(row):
        values |= set(axis.between(a, b, 8))
    ordered = sorted(values)
    assert all(axis.contains(value) for value in ordered)
    assert all(b - a >= APART * abs(b) for a, b in itertools.pairwise(ordered))
    assert {row[0], row[-1]} == {axis.from_unit(0), axis.from_unit(1)}


def test_rims_and_listed_values_stay_as_they_are_but_for_rounding() -> None:
    assert Axis("x", 1 / 3, 2 / 3, row_rule=2).row() == (1 / 3, 0.5, 2 / 3)
    assert Axis("x", 0.1, 0.1 + 0.2, row_rule=1).row() == (0.1, 0.3)
    assert Axis("x", 0.0, 1.0, row_rule=(0.1, 1 / 3, 0.1 + 0.2)).row() == (0.1, 0.3, 1 / 3)
    assert Axis("x", -1.0, 1.0, row_rule=10).row()[5] == 0.0
    assert Axis("x", 0.1, 0.30000000000000004).contains(0.3)


def test_listed_values_that_are_nearly_the_same_are_refused() -> None:
    with pytest.raises(SpaceError, match=r'axis "x": 0.123456789\d+ and 0.123456789\d+ differ by less than'):
        Axis("x", 0.0, 1.0, row_rule=(0.12345678901, 0.12345678902))


@pytest.mark.parametrize("row", [3, 6])
@pytest.mark.parametrize("method", ["split(8)", "golden(9)"])
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_a_search_trains_no_two_values_that_are_nearly_the_same(row: int, method: str, scale: str) -> None:
    space = {"lr": {"low": 1e-4, "high": 1e-1, "scale": scale, "row": row}, "w": {"low": 1, "high": 5, "row": 4}}
    result = run_pipeline(
        space,
        objective=lambda p: -abs(math.log10(p["lr"]) + 2.3) - 0.01 * abs(p["w"] - 3),
        interval={"method": method},
        polish={"keep": 2, "repeats": 2},
    )
    for _, line in result.frame().groupby("w"):
        values = sorted(set(line["lr"]))
        assert len(values) > row
        assert all(b - a >= APART * b for a, b in itertools.pairwise(values))


def test_what_was_recorded_but_for_rounding_answers() -> None:
    old = Trial(Training({"lr": 0.010000000000000005}), accuracy=0.5)
    older = Trial(Training({"lr": 0.009999999999999998}), accuracy=0.6)
    wanted = Training({"lr": 0.01})
    assert Trials([old]).missing([wanted]) == []
    found = Trials([old]).get(wanted)
    assert found is not None
    assert found.params == {"lr": 0.01}
    assert not Trials([old, older]).conflicts
    assert Trials([old, Trial(Training({"lr": 0.02}), accuracy=0.1)]).values_along({"lr": 0.02}, "lr") == [
        0.010000000000000005, 0.02
    ]  # fmt: skip


def test_an_integer_and_the_whole_float_are_one_value_of_an_axis() -> None:
    assert Training({"x": 1}).key == Training({"x": 1.0}).key
    assert Trials([Trial(Training({"x": 1.0}), accuracy=0.5)]).missing([Training({"x": 1})]) == []


def test_choices_keep_their_types() -> None:
    choice = Choice("x", SIX)
    assert kinds(choice.row()) == kinds(SIX)
    assert [choice.place(value) for value in choice.row()] == list(range(6))
    assert len({choice.to_unit(value) for value in choice.row()}) == 6
    assert kinds(choice.neighbours(True)) == kinds(SIX[1:])
    assert len({Training({"x": value}).key for value in choice.row()}) == 6
    assert len({Training({"x": value}) for value in choice.row()}) == 6
    assert Choice("x", (1, 2)) != Choice("x", (True, 2))
    assert len({Choice("x", (1,)), Choice("x", (True,)), Choice("x", (1.0,))}) == 2
    assert not Choice("x", (1, "a")).contains(True)
    with pytest.raises(SpaceError, match="twice"):
        Choice("x", (0.1, 0.1 + 1e-13))


@pytest.mark.parametrize("values", [SIX, (1, 2, 4), (1.5, 2.5), (1, 1.0), (True, False), ("a",), (None, 1)])
def test_choices_come_back_from_plain_data(values: tuple[Any, ...]) -> None:
    space = Space((Choice("x", values),))
    back = Space.parse(json.loads(json.dumps(space.describe())))
    assert back == space
    assert kinds(back["x"].row()) == kinds(values)


def test_choices_of_numbers_are_written_as_choices() -> None:
    space = Space.parse({"a": {"choices": [1, 2, 4, 8]}, "b": {"values": [1, 2, 4, 8]}})
    assert isinstance(space["a"], Choice)
    assert isinstance(space["b"], Axis)
    with pytest.raises(SpaceError, match='"choices" stands alone'):
        Space.parse({"a": {"choices": [1], "low": 1}})


def test_six_choices_are_searched_recorded_and_found_again(tmp_path: Path) -> None:
    seen: list[Any] = []

    def train(params: dict[str, Any]) -> float:
        seen.append(params["x"])
        return 0.1 * [same(params["x"], value) for value in SIX].index(True) + params["y"]

    def search() -> Any:
        space = Space((Choice("x", SIX), Axis("y", 0.0, 0.1, row_rule=1)))
        return run_pipeline(space, objective=train, into=tmp_path / "run", polish={"keep": 2, "repeats": 2})

    result = search()
    assert {(type(value), value) for value in seen} >= {(type(value), value) for value in SIX}
    assert not any(type(value).__module__ != "builtins" for value in seen)
    assert result.verdict is not None
    assert result.verdict.standings[0].finalist.params == {"x": "None", "y": 0.1}
    assert not result.results.trials.conflicts
    n = len(seen)
    assert n == len(set(result.frame()["key"]))
    again = search()
    assert len(seen) == n
    assert again.results.trials == result.results.trials


@pytest.mark.parametrize("value", Choice("x", SIX).row())
def test_a_record_keeps_the_type_of_a_choice(value: Any) -> None:
    trial = Trial(Training({"x": value}), accuracy=0.5)
    record = parse(trial_line(trial, "study"))
    assert record is not None
    assert to_trial(record).key == trial.key == record["key"]
