"""Races of finalists: who leaves, how it ends, and how often an equal one is wronged."""

from __future__ import annotations

import numpy as np
import pytest

from zonesearch.statistics.race import FIRST_LOOK, run_race

SEEDS = range(1000, 1012)


def raced(rows, **settings):
    """The race of finalists all of whose seeds are known."""
    known = [dict(zip(SEEDS, map(float, row), strict=False)) for row in rows]
    return run_race(known, [set(row) for row in known], SEEDS, **settings)


def noise(rng, n, sd=0.01):
    return rng.normal(0.9, sd, (n, len(SEEDS)))


def test_far_worse_finalists_leave_at_the_first_looks_and_the_best_is_known() -> None:
    rows = noise(np.random.default_rng(0), 3) - [[0.0], [0.3], [0.5]]
    race = raced(rows)
    assert race.ending == "best"
    assert race.left == (False, True, True)
    assert max(race.n_seeds) < len(SEEDS)
    assert race.n_saved == 3 * len(SEEDS) - sum(race.n_seeds)
    assert "best known" in race.sentence


def test_equal_finalists_end_alike_at_a_wide_margin_and_by_their_seeds_at_none() -> None:
    rows = noise(np.random.default_rng(1), 3)
    assert raced(rows, margin=0.2).ending == "alike"
    race = raced(rows)
    assert race.ending == "seeds"
    assert race.n_seeds == (len(SEEDS),) * 3
    assert race.more_seeds is None or race.more_seeds > 0


def test_as_many_more_seeds_as_are_said_would_settle_it() -> None:
    gap = np.array([[0.0], [0.006]]) + np.where(np.arange(400) % 2, 0.01, -0.01) * [[1], [-1]]
    short = [dict(enumerate(map(float, row[:12]))) for row in -gap]
    race = run_race(short, [set(row) for row in short], range(12))
    assert race.ending == "seeds"
    assert race.more_seeds
    n = 12 + race.more_seeds
    long = [dict(enumerate(map(float, row[: n + 4]))) for row in -gap]
    settled = run_race(long, [set(row) for row in long], range(n + 4))
    assert settled.ending == "best"
    assert 0.8 * n <= max(settled.n_seeds) <= n + 4  # twelve seeds say a little too much of the spread


def test_a_race_asks_for_a_round_at_a_time_and_does_not_look_at_what_it_did_not_ask_for() -> None:
    rows = noise(np.random.default_rng(2), 2)
    start = run_race([{}, {}], [(), ()], SEEDS)
    assert (start.ending, start.n_seeds) == ("", (FIRST_LOOK, FIRST_LOOK))
    known = [dict(zip(SEEDS, map(float, row), strict=True)) for row in rows]
    known[1].pop(SEEDS[3])
    now = run_race(known, [set(row) for row in known], SEEDS)
    assert (now.ending, now.n_seeds) == ("", (4, 4))


def test_a_finalist_that_lost_all_its_seeds_leaves_and_is_not_called_worse() -> None:
    rows = noise(np.random.default_rng(3), 2)
    known = [dict(zip(SEEDS, map(float, row), strict=True)) for row in rows] + [{}]
    race = run_race(known, [set(SEEDS)] * 3, SEEDS)
    assert race.n_seeds[2] == FIRST_LOOK
    assert not race.left[2]


@pytest.mark.parametrize("n_finalists", [2, 5])
def test_equal_finalists_are_called_worse_no_more_often_than_stated(n_finalists) -> None:
    rng = np.random.default_rng(4)
    n, level = 300, 0.8
    alarms = sum(any(raced(noise(rng, n_finalists), level=level).left) for _ in range(n))
    assert alarms / n <= 1 - level + 2.5 * np.sqrt(level * (1 - level) / n)
