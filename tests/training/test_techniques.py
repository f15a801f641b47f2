"""Techniques as tables of a recipe, as arms and as axes, in real trainings on digits."""

from __future__ import annotations

import math

import pytest

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training, Trial
from zonesearch.errors import ObjectiveError, StudyError
from zonesearch.training.recipe import Recipe

TABLES = {
    "data": {"name": "digits"},
    "network": {"width": 16},
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "training": {"batch": 64},
}


def trained(tables, epochs: int = 4, seed: int = 0, test: bool = False, **params) -> Trial:
    recipe = Recipe.from_tables({**TABLES, **tables})
    recipe.check(params)
    (trial,) = recipe.train(Job((Training(params, seed, epochs, test),)), lambda share: None)
    return trial


@pytest.mark.parametrize(
    "tables",
    [
        {"averaging": {"start": 0.5}},
        {"averaging": {"kind": "ensemble"}, "training": {"batch": 64, "schedule": "snapshot(cycles=2)"}},
        {"evolution": {"every": 2, "children": 4}},
        {"evolution": {"kind": "strategies", "every": 2, "children": 4, "sigma": 0.01}},
        {"gradient_noise": {"eta": 0.01}},
        {"noise_scale": {"batch": 16, "n_batches": 8}},
    ],
)
def test_a_technique_trains_and_tests_with_the_network_that_is_judged(tables) -> None:
    trial = trained(tables, test=True)
    assert trial.complete
    assert len(trial.validation_curve) == 4
    assert trial.test_accuracy is not None
    assert abs(trial.test_accuracy - trial.accuracy) < 0.08
    assert trial.test_accuracy > 0.7


def test_a_technique_changes_what_comes_out_and_the_fingerprint() -> None:
    plain = trained({})
    averaged = trained({"averaging": {"start": 0.5}})
    assert averaged.validation_curve[0] == plain.validation_curve[0]
    assert averaged.curve["validation_loss"][-1] != plain.curve["validation_loss"][-1]
    prints = [Recipe.from_tables({**TABLES, **t}).fingerprint() for t in ({}, {"averaging": {"start": 0.5}})]
    assert prints[0] != prints[1]
    assert "averaging" not in prints[0]


def test_noise_scale_is_noted_in_the_curve() -> None:
    curve = trained({"noise_scale": {"batch": 16, "n_batches": 16}}).curve
    assert len(curve["gradient_trace"]) == len(curve["gradient_squared_norm"]) == 4
    assert all(trace > 0 for trace in curve["gradient_trace"])


def test_early_stopping_ends_the_curve_but_not_the_training_that_was_asked_for() -> None:
    trial = trained({"early_stopping": {"patience": 2}}, epochs=60)
    n = len(trial.validation_curve)
    assert n < 60
    assert trial.epochs == 60
    assert max(trial.validation_curve[: n - 2]) >= max(trial.validation_curve[n - 2 :])


def test_a_sweep_gives_the_loss_of_every_step() -> None:
    trial = trained({}, epochs=1, schedule="sweep(low=1e-4, high=1e3, n_steps=60)")
    losses = trial.curve["step_loss"]
    assert trial.state == "diverged"
    assert 10 < len(losses) < 60
    assert min(losses) < losses[0]
    calm = trained({}, epochs=1, schedule="sweep(low=1e-5, high=1e-2, n_steps=60)")
    assert calm.complete
    assert len(calm.curve["step_loss"]) == 60


def test_a_sweep_sees_the_data_of_its_own_seed() -> None:
    sweeps = [trained({}, 1, seed, schedule="sweep(low=1e-5, high=1e-2, n_steps=20)").curve for seed in (0, 0, 1)]
    assert sweeps[0] == sweeps[1] != sweeps[2]


# -- arms

ARMS = {
    "arms": {
        "sgd": {},
        "swa": {"training": {"schedule": "swa(low=0.05, start=0.5)"}, "averaging": {"kind": "weights"}},
        "adam": {"optimizer": {"name": "adam", "learning_rate": 1e-3, "momentum": 0.0}},
    }
}


def test_an_arm_is_the_study_with_some_tables_replaced() -> None:
    recipe = Recipe.from_tables({**TABLES, **ARMS})
    swa = recipe.arms["swa"]
    assert swa.training.schedule == "swa(low=0.05, start=0.5)"
    assert swa.training.batch == 64
    assert swa.network.width == 16
    assert recipe.arms["adam"].optimizer.name == "adam"
    assert recipe.arms["sgd"] == Recipe.from_tables(TABLES)


def test_the_fingerprint_names_what_an_arm_sets_otherwise() -> None:
    arms = Recipe.from_tables({**TABLES, **ARMS}).fingerprint()["arms"]
    assert arms["sgd"] == {}
    assert arms["adam"] == {"optimizer": {"name": "adam", "learning_rate": 1e-3, "momentum": 0.0}}
    assert arms["swa"]["training"] == {"schedule": "swa(low=0.05, start=0.5)"}
    assert arms["swa"]["averaging"]["kind"] == "weights"


def test_an_arm_trains_as_the_recipe_that_it_stands_for() -> None:
    alone = {**ARMS["arms"]["swa"], "training": {"batch": 64, "schedule": "swa(low=0.05, start=0.5)"}}
    assert trained(ARMS, arm="swa").curve == trained(alone).curve
    assert trained(ARMS, arm="sgd", width=8).curve == trained({}, width=8).curve


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ({"a": {"data": {"name": "mnist"}}}, r"\[arms.a\] cannot set \[data\]"),
        ({"a": {"schedule": "cosine"}}, r"\[arms.a\] holds settings of other tables"),
        ({"a": {"averaging": {"strat": 0.5}}}, 'did you mean "start"'),
        ({"a": {"averging": {}}}, 'did you mean "averaging"'),
    ],
)
def test_a_wrong_arm_is_a_clear_error(arms, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        Recipe.from_tables({**TABLES, "arms": arms})


def test_an_unknown_arm_is_a_clear_error() -> None:
    with pytest.raises(ObjectiveError, match='unknown arm "swaa"; did you mean "swa"'):
        Recipe.from_tables({**TABLES, **ARMS}).check({"arm": "swaa"})


# -- axes


def test_a_setting_of_a_technique_may_be_an_axis() -> None:
    tables = {"evolution": {"every": 2, "children": 4}}
    as_axis = trained(tables, **{"evolution.children": 8})
    assert as_axis.curve == trained({"evolution": {"every": 2, "children": 8}}).curve
    assert as_axis.curve != trained(tables).curve


@pytest.mark.parametrize(
    ("tables", "params", "said"),
    [
        ({}, {"evolution.children": 8}, r"needs the table \[evolution\]"),
        ({"evolution": {}}, {"evolution.childern": 8}, "as an axis"),
        ({"evolution": {}}, {"evolution.children": 0}, "children must be a whole number"),
        ({}, {"averaging": 0.5}, 'axis "averaging" is no setting'),
    ],
)
def test_a_wrong_axis_of_a_technique_is_a_clear_error(tables, params, said: str) -> None:
    with pytest.raises(ObjectiveError, match=said):
        Recipe.from_tables({**TABLES, **tables}).check(params)


# -- what is tested


def test_the_last_network_is_tested_where_that_is_asked_for() -> None:
    """Under a rate that ruins the network in its last epoch, the best and the last one are far apart."""
    ruin = {"training": {"batch": 64, "schedule": "triangular(low=0.0, high=50.0, half_cycle=3)"}}
    best = trained(ruin, epochs=4, test=True)
    last = trained({"training": {**ruin["training"], "tested": "last"}}, epochs=4, test=True)
    assert best.validation_curve == last.validation_curve
    n = last.n_test
    assert abs(last.test_accuracy - last.validation_curve[-1]) < 4 * (0.25 / n) ** 0.5
    assert best.test_accuracy >= last.test_accuracy
    with pytest.raises(ObjectiveError, match='tested is "best" or "last"'):
        trained({"training": {"tested": "first"}})


# -- batch, rate and width


def test_a_fixed_number_of_steps_makes_batch_sizes_take_equal_steps() -> None:
    recipe = Recipe.from_tables({**TABLES, "training": {"steps_per_epoch": 30}})
    for batch in (16, 50, 1000):
        (trial,) = recipe.train(Job((Training({"batch": batch}, 0, 3),)), lambda share: None)
        assert trial.accuracy > 0.5
        assert all(map(math.isfinite, trial.curve["train_loss"]))
    one_pass = {"training": {"batch": 64, "steps_per_epoch": math.ceil(1150 / 64)}}
    assert trained(one_pass).curve == trained({}).curve


def test_width_transfer_changes_nothing_at_its_base_width_and_scales_the_rate_beyond() -> None:
    alone = {"training": {"stack": False}}  # a width is carried over in the reference loop only
    assert trained({"network": {"width": 16, "base_width": 16}}).curve == trained(alone).curve
    wide = trained({"network": {"width": 64, "base_width": 16}})
    assert wide.curve != trained({"network": {"width": 64}}).curve
    assert wide.curve["learning_rate"] == (0.1,) * 4
