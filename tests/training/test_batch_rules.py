"""Batch and rate together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zonesearch.errors import StudyError
from zonesearch.training.batch_rules import RULES, steps_in_epoch, tied_rate


def test_tied_rates_follow_their_rule() -> None:
    assert tied_rate(0.1, 256) == 0.1
    assert tied_rate(0.1, 256, "linear", reference=64) == pytest.approx(0.4)
    assert tied_rate(0.1, 256, "sqrt", reference=64) == pytest.approx(0.2)


@given(st.sampled_from(RULES), st.floats(1e-5, 1), st.integers(1, 4096), st.integers(1, 4096))
def test_a_rule_changes_nothing_at_its_reference_and_can_be_undone(rule, rate, batch, reference) -> None:
    assert tied_rate(rate, reference, rule, reference) == rate
    assert tied_rate(tied_rate(rate, batch, rule, reference), reference, rule, batch) == pytest.approx(rate)


def test_an_unknown_rule_is_a_clear_error() -> None:
    with pytest.raises(StudyError, match='did you mean "linear"'):
        tied_rate(0.1, 64, "linaer")


def test_steps_in_an_epoch_count_the_last_batch_unless_they_are_fixed() -> None:
    assert steps_in_epoch(48_000, 16) == 3000
    assert steps_in_epoch(100, 64) == 2
    assert steps_in_epoch(48_000, 16, fixed=500) == steps_in_epoch(48_000, 1024, fixed=500) == 500
