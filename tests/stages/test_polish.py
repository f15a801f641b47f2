"""Stage polish with racing finalists."""

from __future__ import annotations

import json

import numpy as np
from stages.asking import asked

from zonesearch.domain.candidates import Candidate
from zonesearch.domain.seeding import FRESH
from zonesearch.domain.space import Space
from zonesearch.stages.polish import Polish

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
