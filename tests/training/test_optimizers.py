"""Every optimizer: its first step by hand, its arguments as axes; clipping; stopping early with the best restored."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from zonesearch import ObjectiveError, Training, Trial
from zonesearch.core.objective import Job
from zonesearch.training.early_stopping import EarlyStopping
from zonesearch.training.optimizers import NAMES, build_optimizer
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import DataSettings, NetworkSettings, OptimizerSettings, TrainingSettings
from zonesearch.training.techniques import Techniques

SMALL = Recipe(data=DataSettings(limit=200), network=NetworkSettings(width=16))


def train(recipe: Recipe, params: dict[str, Any], epochs: int = 2, test: bool = False) -> Trial:
    (trial,) = recipe.train(Job((Training(params, 0, epochs, test),)), lambda share: None)
    return trial


def steps(settings: OptimizerSettings, n: int, gradient: float = 4.0, start: float = 1.0) -> float:
    """Where a weight is after ``n`` steps along a constant gradient."""
    weight = nn.Parameter(torch.tensor([start]))
    optimizer = build_optimizer(settings, [weight])
    for _ in range(n):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
    return float(weight.detach())


# With w = 1, g = 4 and lr = 0.1.
@pytest.mark.parametrize(
    ("settings", "n", "wanted"),
    [
        (OptimizerSettings("sgd", 0.1), 2, 1 - 0.4 - 0.4),
        (OptimizerSettings("sgd", 0.1, momentum=0.5), 2, 1 - 0.4 - 0.1 * (0.5 * 4 + 4)),
        (OptimizerSettings("sgd", 0.1, momentum=0.5, dampening=0.25), 2, 1 - 0.4 - 0.1 * (0.5 * 4 + 0.75 * 4)),
        (OptimizerSettings("momentum", 0.1), 2, 1 - 0.4 - 0.1 * (0.9 * 4 + 4)),
        (OptimizerSettings("nesterov", 0.1), 1, 1 - 0.1 * (4 + 0.9 * 4)),
        (OptimizerSettings("sgd", 0.1, weight_decay=0.5), 1, 1 - 0.1 * (4 + 0.5)),
        (OptimizerSettings("adagrad", 0.1), 2, 1 - 0.1 * 4 / 4 - 0.1 * 4 / 32**0.5),
        (OptimizerSettings("rmsprop", 0.1, decay=0.75), 1, 1 - 0.1 * 4 / (0.25 * 16) ** 0.5),
        (OptimizerSettings("rmsprop", 0.1), 1, 1 - 0.1 * 4 / (0.01 * 16) ** 0.5),
        (OptimizerSettings("adadelta", 0.1, eps=0.01), 1, 1 - 0.1 * 4 * 0.1 / (0.1 * 16 + 0.01) ** 0.5),
        (OptimizerSettings("adam", 0.1), 3, 1 - 0.3),
        (OptimizerSettings("adam", 0.1, eps=4.0), 1, 1 - 0.05),
        (OptimizerSettings("adam", 0.1, weight_decay=1.0), 1, 1 - 0.1),
        (OptimizerSettings("adamw", 0.1, weight_decay=0.5), 1, 1 * (1 - 0.1 * 0.5) - 0.1),
    ],
    ids=lambda value: value.name if isinstance(value, OptimizerSettings) else None,
)
def test_steps_are_those_of_the_formula(settings: OptimizerSettings, n: int, wanted: float) -> None:
    assert steps(settings, n) == pytest.approx(wanted, abs=1e-6)


def test_lbfgs_finds_the_bottom_of_a_bowl_in_one_step() -> None:
    """Ten directions, curved 1 to 100: a gradient of the same number of steps is nowhere near."""
    curvature = torch.logspace(0, 2, 10)
    weight = nn.Parameter(torch.ones(10))
    optimizer = build_optimizer(OptimizerSettings("lbfgs", 1.0, iterations=60), [weight])

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (curvature * weight.square()).sum()
        loss.backward()
        return loss.detach()

    optimizer.step(closure)  # type: ignore[arg-type]
    assert float(weight.detach().abs().max()) < 1e-3


def test_lbfgs_takes_the_whole_training_split_and_learns_within_a_few_steps() -> None:
    trial = train(SMALL, {"optimizer": "lbfgs", "learning_rate": 1.0, "iterations": 10}, epochs=4)
    losses = trial.curve["train_loss"]
    assert losses[3] < 0.1 * losses[0]
    assert list(losses) == sorted(losses, reverse=True)
    assert trial.accuracy is not None
    assert trial.accuracy > 0.8
    assert train(SMALL, {"optimizer": "lbfgs", "batch": 32}).curve == train(SMALL, {"optimizer": "lbfgs"}).curve


@pytest.mark.parametrize("stack", [True, False])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "lbfgs"])
def test_every_optimizer_learns(name: str, stack: bool) -> None:
    recipe = Recipe(
        data=DataSettings(limit=200),
        network=NetworkSettings(width=16),
        training=TrainingSettings(batch=16, stack=stack),
    )
    rates = {"sgd": 0.1, "momentum": 0.03, "nesterov": 0.03, "adadelta": 1.0, "adagrad": 0.05, "rmsprop": 0.003}
    trial = train(recipe, {"optimizer": name, "learning_rate": rates.get(name, 0.02)}, epochs=4)
    assert trial.curve["train_loss"][-1] < 0.6 * trial.curve["train_loss"][0]


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("sgd", "momentum", 0.5), ("momentum", "dampening", 0.5), ("momentum", "nesterov", True),
        ("adam", "beta1", 0.5), ("adamw", "beta2", 0.9), ("adam", "eps", 0.1), ("rmsprop", "decay", 0.5),
        ("rmsprop", "momentum", 0.5), ("adadelta", "decay", 0.5), ("adagrad", "weight_decay", 0.1),
        ("adam", "weight_decay", 0.1), ("lbfgs", "iterations", 2), ("lbfgs", "history", 1),
        ("adam", "clip", 0.01), ("nesterov", "clip", 0.01),
    ],
)  # fmt: skip
def test_the_arguments_of_an_optimizer_are_axes(name: str, key: str, value: Any) -> None:
    SMALL.check({"optimizer": name, key: value})
    base = {"optimizer": name, "learning_rate": 0.05}
    assert train(SMALL, {**base, key: value}).curve != train(SMALL, base).curve


@pytest.mark.parametrize("stack", [True, False])
def test_a_step_is_no_longer_than_the_clip_allows(stack: bool) -> None:
    """Under sgd the way of the weights is at most steps x rate x clip: the loss hardly moves."""
    recipe = Recipe(data=DataSettings(limit=200), training=TrainingSettings(batch=50, stack=stack))
    free, clipped = (train(recipe, {"optimizer": "sgd", "learning_rate": 0.5, "clip": clip}) for clip in (0.0, 1e-4))
    assert free.curve["train_loss"][1] < 0.9 * free.curve["train_loss"][0]
    assert clipped.curve["train_loss"][1] == pytest.approx(clipped.curve["train_loss"][0], rel=0.01)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"optimizer": "nesterov", "dampening": 0.1}, "nesterov needs momentum above 0 and no dampening"),
        ({"optimizer": "sgd", "nesterov": True}, "nesterov needs momentum"),
        ({"optimizer": "lbfgs", "weight_decay": 0.1}, "has no weight_decay"),
        ({"optimizer": "lbfgs", "clip": 1.0}, "lbfgs .* takes no clip"),
        ({"optimizer": "lbfgs", "iterations": 0}, "at least 1"),
        ({"beta1": 1.0}, "beta1 must be 0 or more and below 1"),
        ({"weight_decay": -1.0}, "weight_decay must be 0 or more"),
        ({"clip": -1.0}, "clip must be 0"),
    ],
)
def test_arguments_that_cannot_work_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ObjectiveError, match=said):
        SMALL.check(params)


@pytest.mark.parametrize("stack", [True, False])
def test_early_stopping_ends_the_training_and_the_best_epoch_is_tested(stack: bool) -> None:
    """A rate at which the network soon gets worse again: the epochs after the best one are waited for, then left."""
    training = TrainingSettings(batch=16, stack=stack, evaluate_every=1)
    recipe = Recipe(
        SMALL.data, SMALL.network, training=training, techniques=Techniques(early_stopping=EarlyStopping(3))
    )
    params = {"learning_rate": 0.1}
    trial = train(recipe, params, epochs=40, test=True)
    curve = trial.validation_curve
    best = curve.index(max(curve)) + 1
    assert trial.state == "complete"
    assert len(curve) == best + 3 < 40
    assert trial.accuracy == max(curve)
    shorter = train(recipe, params, epochs=best, test=True)
    assert shorter.test_accuracy == trial.test_accuracy, "the network of the best epoch was restored"
    last = Recipe(
        SMALL.data,
        SMALL.network,
        training=TrainingSettings(batch=16, stack=stack, tested="last", evaluate_every=1),
        techniques=recipe.techniques,
    )
    assert train(last, params, epochs=40, test=True).test_accuracy != trial.test_accuracy
