"""Losses, weights of classes, and the metrics of scikit-learn: against torch and scikit-learn, on every path."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from zonesearch import ObjectiveError, Training, Trial
from zonesearch.core.metric import Metric
from zonesearch.core.objective import Job
from zonesearch.training.description import described
from zonesearch.training.losses import class_weights, is_default, loss_of
from zonesearch.training.metrics import METRICS
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import DataSettings, Settings, TrainingSettings
from zonesearch.training.stack import is_stackable
from zonesearch.training.techniques import Techniques

WINE = DataSettings(name="own_parts:wine_alcohol", task="regression")


def settings(loss: str = "", task: str = "classification", **training: Any) -> Settings:
    return Settings(data=DataSettings(task=task), training=TrainingSettings(loss=loss, **training))


def train(recipe: Recipe, epochs: int = 3, **params: Any) -> Trial:
    training = Training(params, 0, epochs, True)
    recipe.check(params)
    (trial,) = recipe.train(Job((training,)), lambda share: None)
    return trial


@pytest.fixture
def scored() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(40, 4, generator=generator), torch.randint(4, (40,), generator=generator)


def test_losses_are_those_of_torch(scored: tuple[torch.Tensor, torch.Tensor]) -> None:
    outputs, targets = scored
    smoothed = loss_of(settings("cross_entropy(label_smoothing=0.1)"))
    assert smoothed(outputs, targets) == functional.cross_entropy(outputs, targets, label_smoothing=0.1)
    weights = (0.5, 1.0, 2.0, 4.0)
    weighted = loss_of(settings(), weights)
    wanted = functional.cross_entropy(outputs, targets, torch.tensor(weights))
    assert weighted(outputs, targets) == wanted
    total = weighted(outputs, targets, reduction="sum")
    assert float(total) / weighted.weight(targets) == pytest.approx(float(wanted)), "a mean is over the weights"
    two, of_two = outputs[:, :2], targets % 2
    assert float(loss_of(settings("bce"))(two, of_two)) == pytest.approx(
        float(functional.cross_entropy(two, of_two)), rel=1e-5
    ), "of two classes the logit is the difference of the scores"
    heavier = loss_of(settings("bce(pos_weight=3.0)"))
    assert heavier(two, of_two) > loss_of(settings("bce"))(two, of_two)
    numbers, wanted_numbers = outputs[:, :1], outputs[:, 1]
    for text, function in (
        ("mse", functional.mse_loss),
        ("l1", functional.l1_loss),
        ("huber", functional.huber_loss),
    ):
        mine = loss_of(settings(text, "regression"))(numbers, wanted_numbers)
        assert mine == function(numbers[:, 0], wanted_numbers), text
    assert loss_of(settings("huber(0.5)", "regression")) == loss_of(settings("huber(delta=0.5)", "regression"))


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    mine = class_weights(settings(class_weights="balanced"), labels, 3)
    assert mine == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy()))
    assert class_weights(settings(class_weights=(1, 2, 3)), labels, 3) == (1.0, 2.0, 3.0)


def test_only_the_loss_of_the_task_is_stacked() -> None:
    for given, stacked in (
        (settings(), True),
        (settings("cross_entropy"), True),
        (settings("cross_entropy(label_smoothing=0.0)"), True),
        (settings("cross_entropy(label_smoothing=0.1)"), False),
        (settings(class_weights="balanced"), False),
        (settings("own_parts:focal"), False),
    ):
        assert is_default(given) == is_stackable(given, Techniques()) == stacked, given.training.loss
    plain = described(settings(), Techniques())
    assert described(settings("cross_entropy"), Techniques()) == plain, "the same experiment, said or not"
    own = described(settings("own_parts:focal"), Techniques())
    assert own["training"] == {**plain["training"], "loss": "own_parts:focal"}


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"loss": "crossentropy"}, 'unknown loss "crossentropy"; did you mean "cross_entropy"'),
        ({"loss": "cross_entropy(smoothing=0.1)"}, 'no argument "smoothing"; did you mean "label_smoothing"'),
        ({"loss": "cross_entropy(label_smoothing=1.5)"}, "label_smoothing is a share"),
        ({"loss": "cross_entropy(label_smoothing='a')"}, "label_smoothing must be a number"),
        ({"loss": "cross_entropy(0.1, 2)"}, "cross_entropy takes label_smoothing"),
        ({"loss": "import os"}, "neither a name nor a call"),
        ({"loss": "huber"}, "is for a regression"),
        ({"loss": "bce"}, "bce is for two classes, but the data have 10"),
        ({"loss": "own_parts:nothing"}, "cannot be imported"),
        ({"class_weights": "even"}, 'class_weights is "balanced" or a list'),
        ({"class_weights": (1.0, 2.0)}, "class_weights must be 10 numbers above 0"),
        ({"class_weights": (0.0,) * 10}, "class_weights must be 10 numbers above 0"),
        ({"class_weights": "balanced", "loss": "own_parts:focal"}, "class_weights are for cross_entropy and bce"),
    ],
)
def test_losses_that_cannot_be_used_are_named(training: dict[str, Any], said: str) -> None:
    with pytest.raises(ObjectiveError, match=said):
        Recipe(training=TrainingSettings(**training)).check({})


def test_a_loss_of_ones_own_trains_and_is_part_of_the_experiment() -> None:
    data = DataSettings(limit=200)
    own = Recipe(data=data, training=TrainingSettings(loss="own_parts:focal"))
    trial = train(own, 6, learning_rate=0.02, width=16)
    assert trial.accuracy is not None
    assert trial.accuracy > 0.5
    assert trial.provenance["stacked"] is False
    assert "own_parts:focal" in own.fingerprint()["own_code"]
    assert own.fingerprint() != Recipe(data=data).fingerprint()
    with_torch = Recipe(data=data, training=TrainingSettings(loss="torch.nn:MultiMarginLoss"))
    assert (train(with_torch, 6, learning_rate=0.02, width=16).accuracy or 0) > 0.5
    absolute = Recipe(data=WINE, training=TrainingSettings(loss="own_parts:absolute"))
    built_in = Recipe(data=WINE, training=TrainingSettings(loss="l1"))
    assert train(absolute).accuracy == pytest.approx(train(built_in).accuracy), "outputs and targets have one shape"


@pytest.mark.parametrize("loss", ["own_parts:focal", "cross_entropy(label_smoothing=0.1)", "own_parts:as_python_likes"])
@pytest.mark.parametrize("kind", ["random_gradients", "strategies"])
def test_evolution_judges_children_by_the_loss_that_is_set(loss: str, kind: str) -> None:
    recipe = Recipe.from_tables({
        "data": {"limit": 100}, "network": {"width": 8}, "training": {"loss": loss},
        "evolution": {"kind": kind, "every": 2, "children": 4, "together": 2},
    })  # fmt: skip
    assert train(recipe, 2).state == "complete"


def test_a_loss_that_gives_no_mean_with_a_gradient_says_so() -> None:
    for name, said in (("no_loss", "must give a tensor of one number"), ("detached", "without a gradient")):
        with pytest.raises(ObjectiveError, match=said):
            train(Recipe(data=DataSettings(limit=100), training=TrainingSettings(loss=f"own_parts:{name}")))


def test_weights_of_classes_find_more_of_the_rare_ones() -> None:
    data = DataSettings(name="own_parts:rare")
    found = {
        weights: train(
            Recipe(data=data, training=TrainingSettings(class_weights=weights, metric="balanced_accuracy")),
            8, learning_rate=0.01, width=4,
        ).accuracy
        for weights in ("", "balanced")
    }  # fmt: skip
    assert found["balanced"] > found[""]  # type: ignore[operator]


# --- metrics


def test_metrics_are_those_of_scikit_learn(scored: tuple[torch.Tensor, torch.Tensor]) -> None:
    outputs, targets = scored
    y, p = targets.numpy(), torch.softmax(outputs.double(), 1).numpy()
    assert METRICS["f1_macro"](outputs, targets) == sk.f1_score(y, p.argmax(1), average="macro")
    assert METRICS["f1_weighted"](outputs, targets) == sk.f1_score(y, p.argmax(1), average="weighted")
    assert METRICS["log_loss"](outputs, targets) == pytest.approx(sk.log_loss(y, p))
    assert METRICS["roc_auc"](outputs, targets) == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"))
    assert METRICS["average_precision"](outputs, targets) == pytest.approx(sk.average_precision_score(y, p))
    two, of_two = outputs[:, :2], targets % 2
    chance = torch.softmax(two.double(), 1).numpy()[:, 1]
    assert METRICS["roc_auc"](two, of_two) == sk.roc_auc_score(of_two, chance)
    assert METRICS["average_precision"](two, of_two) == sk.average_precision_score(of_two, chance)
    for name in ("f1_macro", "f1_weighted", "roc_auc", "average_precision", "log_loss"):
        assert math.isnan(METRICS[name](outputs * math.nan, targets)), name
    assert math.isnan(METRICS["roc_auc"](two, of_two * 0)), "of one class there is none"


def test_metrics_know_their_direction_and_are_searched() -> None:
    got = {}
    for name in ("f1_macro", "f1_weighted", "roc_auc", "average_precision", "log_loss"):
        recipe = Recipe(data=DataSettings(limit=200), training=TrainingSettings(metric=name))
        trial = train(recipe, 4, learning_rate=0.02, width=16)
        assert trial.metric == Metric(name, "minimize" if name == "log_loss" else "maximize")
        best = min if name == "log_loss" else max
        assert trial.accuracy == best(trial.validation_curve)
        assert trial.n_validation is None
        got[name] = trial.accuracy or 0.0
    assert got["roc_auc"] > got["average_precision"] > 0.5
    assert abs(got["f1_macro"] - got["f1_weighted"]) < 0.1
    assert 0 < got["log_loss"] < math.log(10)


def test_a_metric_of_classes_is_refused_for_a_regression() -> None:
    with pytest.raises(ObjectiveError, match='"roc_auc" is for classification'):
        Recipe(data=WINE, training=TrainingSettings(metric="roc_auc")).check({})
