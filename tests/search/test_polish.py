"""Stage polish: racing finalists, what finalists cover, and seeds for choosing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from tests.search.asking import asked
from zonesearch.core.seeding import FRESH
from zonesearch.core.space import Space
from zonesearch.core.trials import Trial, Trials
from zonesearch.search.stages.polish import Polish
from zonesearch.statistics.candidates import Candidate
from zonesearch.statistics.zones import peak_zone

SPACE = Space.parse({"x": {"low": 0, "high": 3}})
CANDIDATES = [Candidate({"x": float(i)}, 0.9, 0.01) for i in range(4)]


def race(heights, sd=0.01, repeats=10, **settings):
    """The verdict of a race between candidates of these heights, and its trainings."""

    def surface(params, seed):
        i = int(params["x"])
        return heights[i] + np.random.default_rng([i, seed]).normal(0, sd)

    stage = Polish(SPACE, epochs=1, schedules=(), race=True, repeats=repeats, **settings)
    verdict, _, trainings = asked(stage, surface, CANDIDATES)
    return verdict, [training for training in trainings if training.seed >= FRESH]


def test_the_worse_ones_leave_and_their_seeds_are_saved() -> None:
    verdict, repeats = race([0.9, 0.5, 0.4, 0.3])
    assert verdict.race.ending == "best"
    assert verdict.best.finalist.params == {"x": 0.0}
    assert len(repeats) == sum(verdict.race.n_seeds) < 40
    assert [standing.differs for standing in verdict.standings] == [False, True, True, True]
    assert json.loads(json.dumps(verdict.describe()))["race"]["ending"] == "best"
    assert "best known" in verdict.sentence


def test_equal_ones_get_all_seeds_and_the_verdict_says_how_many_more() -> None:
    verdict, repeats = race([0.9] * 4)
    assert len(repeats) == 40
    assert (verdict.race.ending, len(verdict.alike)) == ("seeds", 4)
    assert "would settle it" in verdict.sentence or "would not settle it" in verdict.sentence


def test_equal_ones_at_a_margin_end_early() -> None:
    verdict, repeats = race([0.9] * 4, sd=0.001, margin=0.05)
    assert verdict.race.ending == "alike"
    assert len(repeats) < 40


def test_one_that_left_stands_below_those_that_stayed() -> None:
    verdict, _ = race([0.9, 0.9, 0.6, 0.3])
    assert [standing.differs for standing in verdict.standings] == [False, False, True, True]
    assert verdict.recommended.finalist.params["x"] < 2


def costly(params, seed):
    """Value falls slowly with the width, cost much faster."""
    return 0.9 - 0.001 * abs(params["x"] - 3) + np.random.default_rng([int(params["x"]), seed]).normal(0, 0.002)


def judged(candidates, schedules=(), **settings):
    """The verdict of a polish whose trainings know what they cost: 10 parameters at x = 0, ten times more a step."""
    stage, trials = Polish(SPACE, epochs=1, schedules=schedules, repeats=3, **settings), Trials()
    while missing := trials.missing((plan := stage.plan(candidates, trials)).trainings):
        trials |= Trials(
            Trial(
                t,
                accuracy=costly(t.params, t.seed),
                n_parameters=10 ** int(1 + t.params["x"]),
                seconds=9 - t.params["x"],
            )
            for t in missing
        )
    return plan.output, plan.trainings


ZONES = [
    replace(peak_zone(SPACE, {"x": 3.0}, 0.9, 0.001, 1), cheapest={"x": 1.0}, cheapest_value=0.898),
    replace(
        peak_zone(SPACE, {"x": 2.0}, 0.899, 0.001, 2), cheapest={"x": 0.0}, cheapest_value=0.897, cheapest_se=0.001
    ),
]
SCHEDULES = ("constant", "step(every=7)", "plateau(patience=3)")


def test_finalists_cover_each_zone_by_its_peak_and_its_cheapest_cell() -> None:
    verdict, _ = judged(ZONES, SCHEDULES, keep=4)
    finalists = {(s.finalist.zone, s.finalist.params["x"]) for s in verdict.standings}
    assert finalists == {(1, 3.0), (1, 1.0), (2, 2.0), (2, 0.0)}
    by_zone = {s.finalist.zone: s.finalist.schedule for s in verdict.standings}
    assert all(s.finalist.schedule == by_zone[s.finalist.zone] for s in verdict.standings)
    assert sorted(s.finalist.number for s in verdict.standings) == [1, 2, 3, 4]


def test_covering_zones_costs_no_more_trainings_than_before() -> None:
    for keep in (1, 2, 3, 5):
        bare = [replace(zone, cheapest=None) for zone in ZONES]
        assert len(judged(ZONES, SCHEDULES, keep=keep)[1]) == len(judged(bare, SCHEDULES, keep=keep)[1])
    one, _ = judged(ZONES, SCHEDULES, keep=1)
    assert [s.finalist.params["x"] for s in one.standings] == [3.0]
    two, _ = judged(ZONES, SCHEDULES, keep=2)
    assert {s.finalist.params["x"] for s in two.standings} == {3.0, 1.0}


def test_the_verdict_names_best_and_cheapest_and_by_what_factor() -> None:
    verdict, _ = judged(ZONES, keep=4)
    assert verdict.cheapest is verdict.recommended
    assert verdict.cheapest.n_parameters == min(s.n_parameters for s in verdict.alike)
    factor, unit = verdict.cheaper_by
    assert unit == "parameters"
    assert factor == verdict.best.n_parameters / verdict.cheapest.n_parameters
    described = json.loads(json.dumps(verdict.describe()))
    assert described["recommended"] == described["cheapest"] == dict(verdict.cheapest.finalist.params)
    assert described["best"] == dict(verdict.best.finalist.params)
    assert described["cheaper_by"] == factor
    assert "times fewer" in verdict.sentence


def test_seeds_go_to_the_promising_combinations() -> None:
    candidates = [Candidate({"x": float(i)}, 0.9, 0.01) for i in range(4)]
    _, few = judged(candidates, SCHEDULES, keep=2, seeds=1)
    _, some = judged(candidates, SCHEDULES, keep=2, seeds={"first": 1, "zone": 3})
    _, many = judged(candidates, SCHEDULES, keep=2, seeds=3)
    choosing = [sum(t.seed < FRESH for t in wanted) for wanted in (few, some, many)]
    assert choosing == [12, 12 + 4 * 2, 36]
    verdict, _ = judged(candidates, SCHEDULES, keep=2, seeds={"first": 1, "zone": 3})
    assert len(verdict.standings) == 2


def test_a_margin_counts_without_a_race() -> None:
    near = judged(ZONES, keep=4, margin=0.05)[0]
    assert near.equal
    assert "4 of 4 finalists are equal within 5 points (95 %)" in near.sentence
    open_ = judged(ZONES, keep=4, margin=0.0001)[0]
    assert not open_.equal
    assert "cannot be told apart yet; about" in open_.sentence or "would tell" in open_.sentence
    assert "equal" not in judged(ZONES, keep=4)[0].describe()


def test_nothing_is_chosen_among_one_combination_whose_value_is_known() -> None:
    only = [Candidate({"x": 2.0}, 0.8, 0.01)]
    for seeds in (1, {"first": 1, "zone": 3}):
        verdict, wanted = judged(only, seeds=seeds)
        assert [t.seed for t in wanted] == [FRESH, FRESH + 1, FRESH + 2]
        assert verdict.best.finalist.selected == 0.8
    _, own = judged(only, ("constant",))
    assert all(t.seed >= FRESH for t in own)


def test_one_candidate_is_trained_first_where_its_value_is_of_something_else() -> None:
    only = Candidate({"x": 2.0}, 0.8, 0.01)
    for candidates, schedules in [
        ([replace(only, value=float("nan"))], ()),
        ([only], ("step(every=7)",)),
        ([only], SCHEDULES),
        ([only, replace(only, params={"x": 1.0})], ()),
    ]:
        verdict, wanted = judged(candidates, schedules)
        assert sum(t.seed < FRESH for t in wanted) == len(candidates) * max(1, len(schedules))
        assert verdict.best.finalist.selected != 0.8
