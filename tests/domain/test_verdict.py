from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zonesearch.domain.candidates import Finalist
from zonesearch.domain.significance import holm, paired_p_value, t_interval, wilson_interval
from zonesearch.domain.verdict import Repeats, judge


def repeats(values: list[float], number: int = 1, **more: object) -> Repeats:
    finalist = Finalist({"width": 2**number, "batch": 128}, "step(every=7, factor=0.5)", 0.985, 1, number)
    seeds = dict(enumerate(values, start=1000))
    return Repeats(finalist, validation=seeds, test=seeds, **{"n_test": 10_000, **more})  # type: ignore[arg-type]


def test_wilson_interval_is_the_known_one() -> None:
    assert wilson_interval(0.986, 10_000, 0.95) == pytest.approx((0.98350, 0.98812), abs=1e-5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_plain_and_bonferroni(p: list[float]) -> None:
    corrected = holm(p)
    assert all(a <= b <= min(1, len(p) * a) + 1e-15 for a, b in zip(p, corrected, strict=True))
    order = np.argsort(p, kind="stable")
    assert list(np.array(corrected)[order]) == sorted(corrected)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_paired_p_value_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.98, 0.01, 6), rng.normal(0.975, 0.01, 6)
    ours = paired_p_value(dict(enumerate(a)), dict(enumerate(b)))
    assert ours == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_paired_p_value_uses_shared_seeds_only_and_knows_rounding() -> None:
    assert paired_p_value({1: 0.5}, {1: 0.6}) == 1.0
    assert paired_p_value({1: 0.5, 2: 0.7}, {3: 0.6, 4: 0.1}) == 1.0
    same_step = {0: 0.50, 1: 0.51, 2: 0.52}, {0: 0.51, 1: 0.52, 2: 0.53}
    assert paired_p_value(*same_step) < 1e-6
    assert paired_p_value(*same_step, resolution=0.01) > 0.01


def test_t_interval_is_scipys() -> None:
    values = [0.97, 0.98, 0.985, 0.99]
    expected = stats.t.interval(0.9, 3, np.mean(values), stats.sem(values))
    assert t_interval(values, 0.9) == pytest.approx(expected)


def test_clear_difference_is_said_and_the_cheapest_of_the_rest_recommended() -> None:
    noise = [0.0, 0.001, -0.001, 0.0005, -0.0005]
    verdict = judge(
        [
            repeats([0.983 + e for e in noise], 3, n_parameters=400_000),
            repeats([0.983 + e for e in noise[::-1]], 2, n_parameters=102_000),
            repeats([0.95 + 2 * e for e in noise], 1, n_parameters=10),
        ]
    )
    assert [s.differs for s in verdict.standings] == [False, False, True]
    assert verdict.recommended is not None
    assert verdict.recommended.n_parameters == 102_000
    assert "98.30 % ± " in verdict.sentence
    assert "2 of 3 finalists cannot be told apart" in verdict.sentence
    assert "102k parameters" in verdict.sentence
    assert "with step(every=7, factor=0.5)" in verdict.sentence


def test_optimism_stands_beside_the_fresh_accuracy() -> None:
    (standing,) = judge([repeats([0.980, 0.982])]).standings
    assert standing.fresh_validation == pytest.approx(0.981)
    assert standing.optimism == pytest.approx(0.004)


def test_validation_is_used_where_no_test_split_was_measured() -> None:
    bare = repeats([0.9, 0.91], n_test=None)
    verdict = judge([Repeats(bare.finalist, bare.validation, {})])
    assert verdict.measured_on == "validation"
    assert verdict.standings[0].test_interval is None


def test_nothing_complete_gives_no_finalist() -> None:
    assert judge([]).recommended is None
    assert "no training was complete" in judge([repeats([])]).sentence


def test_order_of_finalists_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    all_repeats = [repeats(list(rng.normal(0.98, 0.002, 5)), i) for i in range(1, 5)]
    assert judge(all_repeats).standings == judge(all_repeats[::-1]).standings


@pytest.mark.parametrize("n_finalists", [2, 5])
def test_equal_finalists_are_called_different_at_most_as_often_as_stated(n_finalists: int) -> None:
    rng = np.random.default_rng(11)
    n_races, alarms = 600, 0
    for _ in range(n_races):
        order = rng.normal(0, 0.001, 5)  # what the shared seed does to all of them
        races = [
            repeats(list(0.98 + order + rng.normal(0, 0.001, 5)), i, n_test=None) for i in range(1, n_finalists + 1)
        ]
        alarms += any(standing.differs for standing in judge(races).standings)
    assert alarms <= stats.binom.ppf(0.999, n_races, 0.05)


@pytest.mark.parametrize(
    ("params", "schedule", "named"),
    [
        ({"width": 8, "batch": 16}, "constant", "8 x 16"),
        ({"width": 8, "batch": 16, "schedule": "cosine"}, "cosine", "8 x 16 with cosine"),
        ({"width": 8, "schedule": "cosine"}, "", "width 8 with cosine"),  # an axis of its own
        ({"schedule": "constant"}, "", "schedule constant"),
    ],
)
def test_a_verdict_names_the_schedule_wherever_it_comes_from(params: dict, schedule: str, named: str) -> None:
    finalist = Finalist(params, schedule, 0.9, 1, 1)
    verdict = judge([Repeats(finalist, validation={1000: 0.9, 1001: 0.91}, test={})], level=0.95)
    assert verdict.sentence.startswith(f"{named}: ")
