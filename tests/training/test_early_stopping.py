"""When a training stops early."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training
from zonesearch.errors import StudyError
from zonesearch.training.early_stopping import EarlyStopping, generalisation_loss
from zonesearch.training.recipe import Recipe


def first_stop(rule: EarlyStopping, accuracies, losses=()) -> int | None:
    """After how many epochs the rule stops."""
    n = len(accuracies)
    return next((i for i in range(1, n + 1) if rule.stops(accuracies[:i], losses[:i])), None)


def test_patience_counts_epochs_without_a_better_accuracy() -> None:
    assert first_stop(EarlyStopping(patience=2), [0.5, 0.6, 0.6, 0.55, 0.9]) == 4
    assert first_stop(EarlyStopping(patience=3), [0.5, 0.6, 0.6, 0.55, 0.9]) is None
    assert first_stop(EarlyStopping(patience=1, least=4), [0.5, 0.4, 0.3, 0.2]) == 4


def test_rise_stops_where_the_loss_lies_so_many_per_cent_above_its_lowest() -> None:
    losses = [1.0, 0.8, 0.82, 0.84, 0.841, 0.9]
    assert generalisation_loss(losses[:3]) == pytest.approx(2.5)
    assert first_stop(EarlyStopping(rise=5.0), [0.5] * 6, losses) == 5
    assert first_stop(EarlyStopping(rise=20.0), [0.5] * 6, losses) is None


def test_rise_of_a_loss_that_was_zero_is_none_until_it_leaves_zero() -> None:
    """Data that are separated without a rest: the limit of the formula, and no division by zero."""
    assert generalisation_loss([0.5, 0.0, 0.0]) == 0.0
    assert generalisation_loss([0.5, 0.0, 1e-30]) == math.inf
    assert first_stop(EarlyStopping(rise=5.0), [1.0] * 4, [0.5, 0.0, 0.0, 0.0]) is None
    assert first_stop(EarlyStopping(rise=5.0), [1.0] * 4, [0.5, 0.0, 0.0, 1e-9]) == 4


def test_rise_of_a_negative_loss_is_in_per_cent_of_its_size() -> None:
    """The logarithm of a density, say: a quotient of two such losses falls while the loss rises."""
    assert generalisation_loss([1.0, -2.0, -1.9]) == pytest.approx(5.0)
    assert generalisation_loss([-2.0, 1.0]) == pytest.approx(150.0)
    assert first_stop(EarlyStopping(rise=10.0), [0.5] * 4, [1.0, -2.0, -1.9, -1.7]) == 4


def test_a_loss_of_ones_own_that_is_negative_stops_where_it_rises() -> None:
    recipe = Recipe.from_tables(
        {
            "data": {"name": "own_parts:wine_alcohol", "task": "regression"},
            "network": {"width": 16},
            "training": {
                "loss": "own_parts:log_density",
                "schedule": "triangular(low=0.0003, high=0.03, half_cycle=20)",
            },
            "early_stopping": {"rise": 1.0},
        }
    )
    (trial,) = recipe.train(Job((Training({}, 0, 30),)), lambda share: None)
    losses = trial.curve["validation_loss"]
    assert min(losses) < 0
    assert len(losses) < 30
    assert losses[-1] > min(losses)


@pytest.mark.parametrize("stack", [True, False])
def test_a_training_that_reaches_a_validation_loss_of_zero_is_complete(stack: bool, tmp_path: Path) -> None:
    y = np.arange(80) % 2
    x = np.random.default_rng(0).normal(size=(80, 4)) * 0.01
    x[:, 0] += np.where(y == 1, 500, -500)
    np.savez(tmp_path / "apart.npz", x=x.astype("float32"), y=y)
    recipe = Recipe.from_tables(
        {
            "data": {"name": "arrays", "root": str(tmp_path / "apart.npz")},
            "network": {"width": 16},
            "optimizer": {"learning_rate": 3.0},
            "training": {"stack": stack, "batch": 16},
            "early_stopping": {"rise": 5.0},
        }
    )
    (trial,) = recipe.train(Job((Training({}, 0, 12),)), lambda share: None)
    assert trial.complete
    assert 0.0 in trial.curve["validation_loss"]


def test_only_the_epochs_that_count_are_compared() -> None:
    """An average of weights is another network than the raw one, which may have been better."""
    rule = EarlyStopping(patience=2)
    assert rule.stops([0.9, 0.5, 0.6], counted=slice(0, None))
    assert not rule.stops([0.9, 0.5, 0.6], counted=slice(1, None))
    assert EarlyStopping(rise=5.0).stops([0.5] * 3, [0.1, 0.4, 0.41])
    assert not EarlyStopping(rise=5.0).stops([0.5] * 3, [0.1, 0.4, 0.41], slice(1, None))


def test_after_ends_every_training_at_its_budget() -> None:
    assert first_stop(EarlyStopping(after=3), [0.1, 0.2, 0.3, 0.4, 0.5]) == 3
    assert first_stop(EarlyStopping(after=3, patience=1), [0.2, 0.1, 0.3]) == 2


@given(st.lists(st.floats(0, 1), max_size=30))
def test_no_rule_never_stops(accuracies: list[float]) -> None:
    assert not EarlyStopping().stops(accuracies, [1 - a for a in accuracies])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"patince": 3}, 'did you mean "patience"?'),
        ({"patience": 0}, "at least 1"),
        ({"rise": -1.0}, "per cent"),
        ({"after": 0}, "number of epochs"),
    ],
)
def test_a_wrong_table_is_a_clear_error(table, said: str) -> None:
    with pytest.raises(StudyError) as error:
        EarlyStopping.from_table(table)
    assert said in str(error.value)
