"""Claims against seeds whose differences are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zonesearch.errors import StudyError
from zonesearch.statistics.claims import Claim, check_claim, claims_table


def scores(differences, seed_effect=0.05, cells=(16, 32)):
    """Arm b is arm a plus ``differences`` (one a seed) in every cell; seeds differ far more than arms do."""
    rng = np.random.default_rng(0)
    luck = rng.normal(0.8, seed_effect, len(differences))
    found = {}
    for width in cells:
        found[("arm", "a"), ("width", width)] = dict(enumerate(luck + width / 1000))
        found[("arm", "b"), ("width", width)] = dict(enumerate(luck + width / 1000 + np.array(differences)))
    return found


CLAIM = Claim("b is better", {"arm": "b"}, {"arm": "a"}, by=0.02)


def test_a_difference_is_found_by_pairs_far_below_the_noise_between_seeds() -> None:
    differences = [0.010, 0.012, 0.011, 0.009, 0.013]
    outcome = check_claim(Claim("b is better", {"arm": "b"}, {"arm": "a"}), scores(differences))
    expected = stats.ttest_1samp(differences, 0)
    assert outcome.n_seeds == 5
    assert outcome.difference == pytest.approx(0.011)
    assert outcome.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert outcome.p_value == pytest.approx(expected.pvalue)
    assert outcome.verdict == "held"


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.018, 0.021, 0.019, 0.022], "held"),
        ([0.010, 0.011, 0.010, 0.011], "held, but smaller than claimed"),
        ([-0.010, -0.011, -0.010, -0.011], "the opposite holds"),
        ([0.001, -0.001, 0.002, -0.002], "did not hold: less than claimed, if anything"),
        ([0.05, -0.04, 0.03, -0.02], "cannot be told"),
        ([0.02], "cannot be told"),
    ],
)
def test_the_verdict_follows_the_interval(differences, verdict: str) -> None:
    assert check_claim(CLAIM, scores(differences)).verdict == verdict


@given(st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=8))
def test_turning_a_claim_round_turns_its_interval_round(differences) -> None:
    forwards = check_claim(CLAIM, scores(differences))
    backwards = check_claim(Claim("a is better", {"arm": "a"}, {"arm": "b"}), scores(differences))
    assert backwards.difference == pytest.approx(-forwards.difference)
    assert backwards.interval == pytest.approx((-forwards.interval[1], -forwards.interval[0]))


def test_more_cells_are_no_more_seeds() -> None:
    differences = [0.01, 0.03, 0.02]
    few, many = (check_claim(CLAIM, scores(differences, cells=cells)) for cells in ((16,), tuple(range(16, 66))))
    assert many.n_seeds == 3
    assert many.interval == pytest.approx(few.interval)


def test_seeds_and_cells_without_a_partner_are_left_out() -> None:
    table = scores([0.01, 0.03, 0.02])
    del table[("arm", "a"), ("width", 32)]
    del table[("arm", "b"), ("width", 16)][1]
    outcome = check_claim(CLAIM, table)
    assert outcome.n_seeds == 2
    assert outcome.difference == pytest.approx(0.015)
    nothing = check_claim(Claim("c", {"arm": "c"}, {"arm": "a"}), table)
    assert nothing.n_seeds == 0
    assert math.isnan(nothing.difference)
    assert nothing.verdict == "cannot be told"


def test_tuned_axes_are_chosen_by_the_other_measure_for_each_side_alone() -> None:
    """a is best at rate 0.1 by validation, b at 1.0; test accuracy alone would choose otherwise."""

    def cells(values):
        return {(("arm", arm), ("rate", rate)): {0: v, 1: v + 0.01, 2: v} for (arm, rate), v in values.items()}

    validation = cells({("a", 0.1): 0.8, ("a", 1.0): 0.7, ("b", 0.1): 0.7, ("b", 1.0): 0.9})
    test = cells({("a", 0.1): 0.6, ("a", 1.0): 0.9, ("b", 0.1): 0.9, ("b", 1.0): 0.75})
    claim = Claim("b is better", {"arm": "b"}, {"arm": "a"}, tuned=("rate",))
    assert check_claim(claim, test, tuning=validation).difference == pytest.approx(0.15)
    assert check_claim(claim, test).difference == pytest.approx(0.0)


def test_claims_table_shows_both_sides_in_points() -> None:
    table = claims_table([check_claim(CLAIM, scores([0.018, 0.021, 0.019, 0.022]))]).splitlines()
    assert len(table) == 3
    assert table[2].startswith("| b is better | +2.00 | +2.00 (")
    assert table[2].endswith("| 4 | held |")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"says": "x", "better": {}}, 'needs the key "than"'),
        ({"sys": "x"}, 'did you mean "says"?'),
        ({"says": "x", "better": "swa", "than": "sgd"}, "are tables such as"),
    ],
)
def test_a_wrong_claim_is_a_clear_error(table, said: str) -> None:
    with pytest.raises(StudyError) as error:
        Claim.parse(table, "[compare]")
    assert said in str(error.value)
