from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zonesearch.core.axes import Choice
from zonesearch.core.metric import Metric
from zonesearch.statistics.candidates import Finalist
from zonesearch.statistics.race import run_race
from zonesearch.statistics.significance import holm, paired_p_value, t_interval, wilson_interval
from zonesearch.statistics.verdict import Repeats, judge


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
    assert "No finalist" in judge([repeats([])]).sentence


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


def test_the_interval_of_the_best_covers_although_it_was_picked() -> None:
    rng = np.random.default_rng(5)
    for n_finalists, n_seeds in ((5, 7), (7, 5), (2, 3)):
        covered = 0
        for _ in range(400):
            found = judge([repeats(list(rng.normal(0, 1, n_seeds)), i, n_test=None) for i in range(1, n_finalists + 1)])
            assert found.best is not None
            low, high = found.best.seed_interval
            covered += low <= 0.0 <= high
        assert covered >= stats.binom.ppf(0.001, 400, 0.95)
    assert t_interval([1.0, 2.0, 4.0], 0.9, n_picked=1) == pytest.approx(t_interval([1.0, 2.0, 4.0], 0.9))


@pytest.mark.parametrize(("n", "said"), [(2, "differs from the other finalist."), (3, "differs from all 2 others.")])
def test_sentences_count_rightly(n: int, said: str) -> None:
    noise = [0.0, 0.001, -0.001, 0.0005, -0.0005]
    verdict = judge([repeats([0.98 - 0.1 * i + (i + 1) * e for e in noise], i + 1) for i in range(n)])
    assert verdict.sentence.endswith(said)


def test_seconds_decide_nothing_and_multiply_adds_do() -> None:
    values = [[0.98, 0.981, 0.982], [0.981, 0.98, 0.982], [0.98, 0.982, 0.981]]

    def recommended(seconds: list[float], **more: list[int | None]) -> object:
        found = judge(
            [
                repeats(row, i + 1, seconds=s, n_parameters=100, **{k: v[i] for k, v in more.items()})
                for i, (row, s) in enumerate(zip(values, seconds, strict=True))
            ]
        )
        assert found.recommended is not None
        return found.recommended.finalist.number

    assert recommended([1.0, 5.0, 9.0]) == recommended([9.0, 5.0, 1.0])
    assert recommended([1.0, 5.0, 9.0], n_steps=[400, 200, 100]) == 3
    assert recommended([1.0, 5.0, 9.0], n_steps=[100, 200, 400]) == 1


def test_a_cost_that_the_objective_gives_decides_where_there_is_no_network() -> None:
    rows = [repeats([0.98, 0.981, 0.982], i, cost=c, n_test=None) for i, c in ((1, 8.0), (2, 2.0))]
    verdict = judge(rows)
    assert verdict.cheapest is not None
    assert verdict.cheapest.finalist.number == 2
    assert verdict.cheaper_by == (4.0, "cost")
    assert "4 times cheaper" in verdict.sentence
    unknown = judge([repeats([0.98, 0.981, 0.982], i, seconds=float(i), n_test=None) for i in (1, 2)])
    assert unknown.cheapest is unknown.best
    assert unknown.sentence.endswith("2 of 2 finalists cannot be told apart.")


def test_a_loss_is_judged_by_its_own_direction() -> None:
    rows = {1: [0.30, 0.31, 0.32], 2: [0.10, 0.11, 0.12], 3: [0.20, 0.22, 0.21]}
    loss = Metric("loss")
    verdict = judge([repeats(v, i, n_test=None) for i, v in rows.items()], metric=loss)
    assert [s.finalist.number for s in verdict.standings] == [2, 3, 1]
    assert verdict.best is not None
    assert verdict.best.mean == pytest.approx(0.11)
    assert verdict.sentence.startswith("4 x 128 with step(every=7, factor=0.5): 0.11 ± ")
    turned = judge([repeats([-x for x in v], i, n_test=None) for i, v in rows.items()], metric=Metric("score"))
    assert [s.p_value for s in turned.standings] == pytest.approx([s.p_value for s in verdict.standings])


def test_finalists_on_the_same_test_examples_are_compared_over_both() -> None:
    rng = np.random.default_rng(1)
    n, hard = 200, rng.normal(size=200)

    def answered(level: float, number: int, known: bool) -> Repeats:
        rows = {seed: level - hard + 0.3 * rng.normal(size=n) > 0 for seed in range(1000, 1005)}
        values = {seed: float(row.mean()) for seed, row in rows.items()}
        right = {seed: np.packbits(row).tobytes() for seed, row in rows.items()} if known else {}
        return Repeats(Finalist({"i": number}, "", 0.9, 1, number), values, values, n_test=n, right=right)

    false_alarms = 0
    for _ in range(60):  # equal in the long run, different on these examples
        hard = rng.normal(size=n)
        own = [rng.normal(size=n) for _ in range(2)]
        pair = []
        for number in (1, 2):
            hard_here, hard = hard, hard + 0.8 * own[number - 1]
            pair.append(answered(1.2, number, known=True))
            hard = hard_here
        false_alarms += any(s.differs for s in judge(pair).standings)
    assert false_alarms <= stats.binom.ppf(0.999, 60, 0.05)


def test_a_verdict_tells_values_of_different_types_apart() -> None:
    choices = Choice("x", (True, 1, 1.0, "1", "True", None, "None", "", "one")).values
    said = [judge([Repeats(Finalist({"x": value}, "", 0.9), {0: 0.9, 1: 0.8}, {})]).sentence for value in choices]
    assert len(set(said)) == len(choices)
    assert [text.split(":")[0] for text in said[:4]] == ["x True", "x 1", "x 1.0", 'x "1"']
    assert said[-1].startswith("x one:")


def of_cost(values: list[float], number: int, cost: float | None) -> Repeats:
    return Repeats(Finalist({"x": number}, "", 0.9, 1, number), dict(enumerate(values)), {}, cost=cost)


def test_a_margin_with_one_seed_says_that_the_noise_is_unknown_and_not_that_no_seeds_would_tell() -> None:
    verdict = judge([of_cost([0.9], 1, None), of_cost([0.8], 2, None)], margin=0.01)
    assert "with fewer than two seeds in common the noise is not known" in verdict.sentence
    assert "no number of seeds" not in verdict.sentence
    race = run_race([{0: 0.9}, {0: 0.8}], [{0}, {0}], [0], margin=0.01)
    assert "one seed each does not tell how noisy they are" in race.sentence


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_real_difference_within_the_margin_parts_nobody(direction: str) -> None:
    metric = Metric("score", direction)
    sign = 1 if metric.maximized else -1
    rows = [[sign * (0.9 - i * 0.001 + 1e-6 * k) for k in (0, 1, -1, 2)] for i in range(2)]
    pair = [of_cost(rows[0], 1, 3.0), of_cost(rows[1], 2, 1.0)]
    assert judge(pair, metric=metric).standings[1].differs
    verdict = judge(pair, metric=metric, margin=0.002)
    assert verdict.equal
    assert "2 of 2 finalists are equal within 0.002 (95 %)" in verdict.sentence
    assert verdict.recommended is not None
    assert verdict.recommended.finalist.number == 2
    assert judge(pair, metric=metric, margin=0.0005).standings[1].differs


def test_nothing_is_the_cheapest_where_the_cost_of_the_best_is_not_known() -> None:
    verdict = judge([of_cost([0.9, 0.92, 0.91], 1, None), of_cost([0.89, 0.92, 0.9], 2, 5.0)])
    assert len(verdict.alike) == 2
    assert verdict.cheapest is verdict.best
    assert "cheapest" not in verdict.sentence


def test_verdict_says_how_far_the_cheapest_is_behind_and_how_far_at_most() -> None:
    best, cheap = [0.97, 0.98, 0.985, 0.99], [0.96, 0.985, 0.97, 0.975]
    verdict = judge([repeats(best, 2, n_parameters=400, n_test=None), repeats(cheap, 1, n_parameters=100, n_test=None)])
    first, second = verdict.standings
    assert (first.behind, first.behind_at_most) == (0.0, 0.0)
    differences = np.subtract(best, cheap)
    upper = stats.t.interval(0.9, 3, differences.mean(), stats.sem(differences))[1]  # one-sided at 95 %
    assert second.behind == pytest.approx(differences.mean())
    assert second.behind_at_most == pytest.approx(upper)
    assert verdict.sentence.endswith(f"{100 * differences.mean():.2f} points behind, at most {100 * upper:.2f}.")
    assert verdict.describe()["finalists"][1]["behind_at_most"] == second.behind_at_most


@given(st.floats(0.001, 0.1), st.lists(st.floats(-0.01, 0.01), min_size=4, max_size=6))
def test_how_far_behind_is_the_same_for_a_metric_to_be_minimized(gap: float, noise: list[float]) -> None:
    def judged(sign: int, metric: Metric):
        values = [[sign * (0.5 + e) for e in noise], [sign * (0.5 - gap - e) for e in noise]]
        both = [repeats(row, i, n_test=None) for i, row in enumerate(values)]
        return judge(both, metric=metric).standings

    up, down = judged(1, Metric("score")), judged(-1, Metric("rmse"))
    assert [s.behind for s in up] == pytest.approx([s.behind for s in down])
    assert [s.behind_at_most for s in up] == pytest.approx([s.behind_at_most for s in down])
    assert up[1].behind >= 0


def test_one_shared_seed_says_nothing_of_how_far_behind() -> None:
    verdict = judge([repeats([0.9], 2, n_parameters=400), repeats([0.8], 1, n_parameters=100)])
    assert "behind" not in verdict.sentence
    assert verdict.describe()["finalists"][1]["behind_at_most"] is None


def test_what_is_said_at_most_holds_though_the_best_is_picked() -> None:
    """Of finalists with true means half a standard deviation apart, at the stated level; 600 verdicts."""
    rng = np.random.default_rng(5)
    beyond = 0
    for _ in range(600):
        means = rng.normal(0, 0.5, 4)
        rows = means[:, None] + rng.normal(0, 1, (4, 5))
        verdict = judge([repeats(row, i, n_test=None, n_parameters=4 - i) for i, row in enumerate(rows.tolist())])
        assert verdict.best is not None
        assert verdict.cheapest is not None
        best, cheapest = (int(s.finalist.number or 0) for s in (verdict.best, verdict.cheapest))
        beyond += means[best] - means[cheapest] > verdict.cheapest.behind_at_most
    assert beyond <= 0.05 * 600


@pytest.mark.parametrize(
    ("metric", "scale", "said"),
    [(Metric("accuracy"), 1, "5 points"), (Metric("accuracy"), 100, "0.05"), (Metric("rmse", unit="m"), 1, "0.05 m")],
)
def test_a_margin_is_shown_as_the_values_are_in_a_race_too(metric: Metric, scale: int, said: str) -> None:
    rows = [[scale * (0.5 + 1e-4 * k) for k in ks] for ks in ((0, 1, -1), (1, -1, 0))]
    pair = [of_cost(row, i, 1.0) for i, row in enumerate(rows)]
    assert f"equal within {said} (95 %)" in judge(pair, metric=metric, margin=0.05).sentence
    race = run_race([dict(enumerate(row)) for row in rows], [{0, 1, 2}] * 2, range(3), margin=0.05)
    assert race.ending == "alike"
    assert f"alike within {said} (" in judge(pair, metric=metric, race=race).sentence
