"""What axes do in a training: roles by name, given roles, and canonical units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zonesearch.core.roles import ROLES, canonical, role_of_name, roles_among
from zonesearch.core.space import Space
from zonesearch.errors import SpaceError

AXIS = {"low": 0.001, "high": 0.1, "scale": "log"}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("lr", "learning_rate"),
        ("optimizer.lr", "learning_rate"),
        ("learning_rate_init", "learning_rate"),
        ("mlpclassifier__learning_rate_init", "learning_rate"),
        ("batchSize", "batch"),
        ("per_device_train_batch_size", "batch"),
        ("n_units", "width"),
        ("width_2", "width"),
        ("n_layers", "depth"),
        ("wd", "weight_decay"),
        ("mlp__alpha", "weight_decay"),
        ("dropout_rate", "dropout"),
        ("label_smoothing", "label_smoothing"),
        ("beta1", "momentum"),
        ("num_train_epochs", "epochs"),
        ("alpha", None),
        ("gamma", None),
        ("x", None),
    ],
)
def test_role_is_known_from_the_usual_names(name: str, role: str | None) -> None:
    assert role_of_name(name) == role


def test_alpha_is_a_weight_decay_beside_settings_of_a_perceptron_only() -> None:
    assert role_of_name("alpha", ("learning_rate_init", "alpha")) == "weight_decay"
    assert role_of_name("alpha", ("C", "gamma")) is None


def test_given_role_beats_the_name_and_none_takes_it_away() -> None:
    space = Space.parse({"rate": {**AXIS, "role": "learning_rate"}, "width": {**AXIS, "role": "none"}, "lr": AXIS})
    assert roles_among(space.axes) == {"rate": "learning_rate", "lr": "learning_rate"}


def test_role_is_described_and_read_back_and_absent_where_none_was_given() -> None:
    space = Space.parse(
        {"rate": {**AXIS, "role": "learning_rate"}, "v": {"values": [8, 16], "role": "width"}, "lr": AXIS}
    )
    assert Space.parse(space.describe()) == space
    assert "role" not in space.describe()["lr"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({**AXIS, "role": "learning_rte"}, "there is no role"),
        ({"low": 0, "high": 1, "role": "learning_rate"}, "for values above 0, not 0..1"),
        ({"low": 0.0, "high": 1.0, "role": "momentum"}, "0 or more and below 1"),
        ({**AXIS, "role": 3}, "role must be a string"),
        ({"choices": ["a", "b"], "role": "width"}, "a role is for an axis of numbers"),
    ],
)
def test_role_that_cannot_be_is_refused_with_the_axis_named(table: dict[str, object], said: str) -> None:
    with pytest.raises(SpaceError, match=said) as caught:
        Space.parse({"a": table})
    assert 'axis "a"' in str(caught.value)


def test_axis_whose_values_its_names_role_cannot_have_has_none() -> None:
    assert roles_among(Space.parse({"lr": {"low": -3.0, "high": 0.0}, "batch": ["small", "large"]}).axes) == {}


@pytest.mark.parametrize("role", ROLES)
@given(a=st.floats(0.001, 0.9), b=st.floats(0.001, 0.9))
def test_canonical_values_are_finite_and_keep_the_order(role: str, a: float, b: float) -> None:
    low, high = canonical(role, sorted((a, b)))
    assert np.isfinite([low, high]).all()
    assert low <= high


def test_canonical_units_are_logarithms() -> None:
    assert canonical("learning_rate", [0.001, 0.01, 0.1]) == pytest.approx([-1, 0, 1])
    assert np.diff(canonical("width", [32, 64, 128])) == pytest.approx([0.5, 0.5])
    assert canonical("momentum", [0.0, 0.9, 0.99]) == pytest.approx([-1, 0, 1])
