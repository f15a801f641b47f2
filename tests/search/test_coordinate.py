"""The climb: where it goes, what it remembers, what it costs."""

from __future__ import annotations

import math

import pytest
from surfaces import SPACE, two_peaks

from tests.search.asking import answered, asked
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trials
from zonesearch.errors import StudyError
from zonesearch.search.stages.coordinate import Coordinate, climb
from zonesearch.search.stages.interval import Interval

GRID = Space.parse(SPACE)
LINE = Space.parse({"x": {"low": 0, "high": 10, "row": 10}})


def played(values, start):
    """The cells in the order in which a climb along one axis looks at them, and its extrema."""
    extrema, seen = [], []
    way = climb([(start,)], [len(values)], [True], extrema)
    place = next(way)
    while True:
        seen.append(place[0])
        try:
            place = way.send(values[place[0]])
        except StopIteration:
            return seen, [place[0] for place in extrema]


def test_climb_goes_up_then_on_to_both_ends() -> None:
    seen, extrema = played([0, 1, 2, 3, 4, 3, 2, 1], start=2)
    assert seen == [2, 3, 4, 5, 6, 7, 1, 0]
    assert extrema == [4]


def test_climb_tries_the_direction_that_worked_last_first() -> None:
    seen, _ = played([9, 8, 7, 6, 5, 4], start=3)
    assert seen[:5] == [3, 4, 2, 1, 0]  # up fails once at the start and is not tried again at every step


def test_climb_remembers_every_extremum() -> None:
    values = [3, 1, 2, 5, 2, 1, 4, 1, 0, 6, 7]
    seen, extrema = played(values, start=2)
    assert sorted(extrema) == [0, 3, 6, 10]
    assert sorted(seen) == list(range(11))


def plane(height, sizes, start):
    """The cells of a climb in two axes in their order, and its extrema."""
    extrema, seen = [], []
    way = climb([start], sizes, [True] * len(sizes), extrema)
    place = next(way)
    while True:
        seen.append(place)
        try:
            place = way.send(height(*place))
        except StopIteration:
            return seen, extrema


def test_axes_take_turns_one_step_each() -> None:
    seen, extrema = plane(lambda x, y: x + y, (5, 5), (0, 0))
    assert seen[:8] == [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (4, 3)]
    assert extrema == [(4, 4)]


def test_each_axis_remembers_the_direction_that_worked_on_it() -> None:
    seen, _ = plane(lambda x, y: x - y, (6, 6), (0, 5))
    # Up on y fails once; from then on down is tried first there, and up on x.
    assert seen[:7] == [(0, 5), (1, 5), (1, 4), (2, 4), (2, 3), (3, 3), (3, 2)]
    seen, _ = plane(lambda x, y: x - y, (6, 7), (0, 5))
    assert seen[:6] == [(0, 5), (1, 5), (1, 6), (1, 4), (2, 4), (2, 3)]


def test_every_extremum_is_handed_on_unless_told_otherwise() -> None:
    comb = Space.parse({"x": {"low": 0, "high": 16, "row": 16}})
    teeth = lambda params, seed: params["x"] % 2 + params["x"] / 100  # noqa: E731
    output, _, _ = asked(Coordinate(comb, epochs=1), teeth)
    assert [zone.peak["x"] for zone in output] == [15, 13, 11, 9, 7, 5, 3, 1]
    assert len(output) <= Coordinate(comb, epochs=1).forecast(None).n_output
    assert len(asked(Coordinate(comb, epochs=1, zones_max=3), teeth)[0]) == 3


def test_a_climb_cut_short_above_what_it_noted_hands_on_where_it_stands() -> None:
    values = [5, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12]
    output, _, _ = asked(
        Coordinate(LINE, epochs=1, n_trainings=8),
        lambda params, seed: values[params["x"]],
        Space.parse({"x": [0, 1, 2]}),
    )
    assert [zone.peak["x"] for zone in output] == [0, 2]
    line = Coordinate(LINE, epochs=1, n_trainings=4)
    start = asked(Coordinate(Space.parse({"x": [0, 1]}), epochs=1), lambda params, seed: values[params["x"]])[0]
    output, _, _ = asked(line, lambda params, seed: values[params["x"]] if params["x"] < 3 else 6, start)
    assert [zone.peak["x"] for zone in output] == [3, 0]


def test_a_plateau_is_one_extremum() -> None:
    seen, extrema = played([1.0] * 6, start=3)
    assert extrema == [3]
    assert sorted(seen) == list(range(6))


def test_all_extrema_become_zones_best_first() -> None:
    output, _, trainings = asked(Coordinate(GRID, epochs=1), lambda params, seed: two_peaks(params))
    assert {tuple(zone.peak.values()) for zone in output} >= {(256, 32), (1024, 256)}
    assert [zone.number for zone in output] == list(range(1, len(output) + 1))
    assert [zone.value for zone in output] == sorted((zone.value for zone in output), reverse=True)
    assert len(trainings) < 0.8 * GRID.n_cells


def test_it_ends_at_its_number_of_trainings_with_the_best_cell() -> None:
    stage = Coordinate(GRID, epochs=1, seeds=2, n_trainings=7)
    output, trials, trainings = asked(stage, lambda params, seed: two_peaks(params))
    assert len(trainings) == 6
    assert len(output) == 1
    assert output[0].value == max(trial.accuracy for trial in trials)


def test_known_cells_cost_nothing() -> None:
    stage = Coordinate(GRID, epochs=1)
    known = Trials(answered(Training(point, 0, 1), lambda params, seed: two_peaks(params)) for point in GRID.grid())
    plan = stage.plan(None, known)
    assert not known.missing(plan.trainings)
    assert plan.output == asked(stage, lambda params, seed: two_peaks(params))[0]


def test_a_climb_around_lost_cells_goes_on() -> None:
    def holed(params, seed):
        return math.nan if params["x"] in (5, 7) else -((params["x"] - 8) ** 2)

    output, _, _ = asked(Coordinate(LINE, epochs=1), holed)
    assert output[0].peak == {"x": 8}


def test_choices_have_no_direction_and_are_all_tried() -> None:
    space = Space.parse({"kind": ["a", "b", "c", "d"], "x": {"low": 0, "high": 8, "row": 8}})
    height = {"a": 0.0, "b": 0.5, "c": 1.0, "d": 0.2}
    output, _, _ = asked(Coordinate(space, epochs=1), lambda p, seed: height[p["kind"]] - abs(p["x"] - 6) / 10)
    assert output[0].peak == {"kind": "c", "x": 6}


def test_it_climbs_from_what_a_stage_before_found_and_interval_takes_its_extrema() -> None:
    surface = lambda params, seed: two_peaks(params)  # noqa: E731
    zones, trials, _ = asked(Coordinate(GRID, epochs=1, n_trainings=10), surface)
    again, trials, _ = asked(Coordinate(GRID, epochs=1), surface, zones, trials)
    assert len(again) >= 2
    candidates, _, _ = asked(Interval(GRID, epochs=1), surface, again, trials)
    assert max(candidate.value for candidate in candidates) >= again[0].value


def test_a_space_that_was_narrowed_before_is_climbed_in_its_place() -> None:
    narrow = Space.parse({"x": {"low": 2, "high": 4, "row": 2}})
    output, _, trainings = asked(Coordinate(LINE, epochs=1), lambda params, seed: params["x"], narrow)
    assert output[0].peak == {"x": 4}
    assert {training.params["x"] for training in trainings} == {2, 3, 4}


@pytest.mark.parametrize(
    "settings", [{"seeds": 0}, {"n_trainings": 0}, {"zones_max": 0}, {"seeds": 3, "n_trainings": 2}]
)
def test_wrong_settings_are_clear_errors(settings) -> None:
    with pytest.raises(StudyError, match=r"\[coordinate\]"):
        Coordinate(GRID, epochs=1, **settings)


def test_every_branch_is_climbed_by_itself() -> None:
    space = Space.parse(
        {
            "opt": ["adam", "sgd"],
            "x": {"low": 0, "high": 10, "row": 10},
            "m": {"low": 0, "high": 10, "row": 10, "when": {"opt": "sgd"}},
        }
    )

    def height(params, seed):  # at the best of adam, sgd is far worse; its own peak is the higher one
        if params["opt"] == "adam":
            return 0.8 - (params["x"] - 2) ** 2 / 100
        return 1.0 - (params["x"] - 9) ** 2 / 20 - (params["m"] - 8) ** 2 / 30

    output, _, trainings = asked(Coordinate(space, epochs=1, n_trainings=20), height)
    assert [zone.peak for zone in output] == [{"opt": "sgd", "x": 9, "m": 8}, {"opt": "adam", "x": 2}]
    assert len({training.identity for training in trainings}) == len(trainings) <= 20
    again, _, _ = asked(Coordinate(space, epochs=1, n_trainings=20), height, output)  # a zone without m
    assert again[0].peak == {"opt": "sgd", "x": 9, "m": 8}
