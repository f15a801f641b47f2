"""The range test on real digits, and its promise: bounds that hold over seeds, a suggestion that trains well."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training, Trial
from zonesearch.statistics.lr_range import sweep_rates
from zonesearch.training.lr_range import range_test, sweep_losses
from zonesearch.training.recipe import Recipe


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)


@pytest.fixture(scope="module")
def mnist():
    folder = os.environ.get("ZONESEARCH_DATA")
    if not folder:
        pytest.skip("ZONESEARCH_DATA is not set")
    from torchvision.datasets import MNIST

    data = MNIST(os.path.join(folder, "mnist"), train=True)
    return data.data[:10000].float().flatten(1).div(255), data.targets[:10000]


def starter(n_inputs: int, optimizer: str, width: int = 64):
    def start(seed: int):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(n_inputs, width), nn.ReLU(), nn.Linear(width, 10))
        return network, {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer](network.parameters(), lr=1.0)

    return start


RANGES = {"adam": (1e-6, 1.0), "sgd": (1e-5, 10.0)}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("data", ["digits", "mnist"])
def test_range_test_gives_bounds_within_a_factor_three_over_ten_seeds(data: str, optimizer: str, request) -> None:
    """One sweep each: no averaging over seeds helps."""
    inputs, labels = request.getfixturevalue(data)
    low, high = RANGES[optimizer]
    start = starter(inputs.shape[1], optimizer)
    found = [
        range_test(start, nn.functional.cross_entropy, inputs, labels, low=low, high=high, batch=32, seeds=[seed])
        for seed in range(10)
    ]
    for name in ("suggestion", "low", "high"):
        values = [getattr(one, name) for one in found]
        assert max(values) <= 3 * min(values), name


def test_range_test_takes_the_same_order_of_data_for_the_same_seed(digits) -> None:
    inputs, labels = digits
    arguments = (starter(64, "sgd"), nn.functional.cross_entropy, inputs, labels)
    once, again = (range_test(*arguments, n_steps=30, seeds=[3]) for _ in range(2))
    assert once == again
    assert once.losses != range_test(*arguments, n_steps=30, seeds=[4]).losses


def test_sweep_losses_equal_a_hand_computation() -> None:
    """One weight, loss (w x - y)^2, plain gradient descent with a rate that doubles."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    rates = [0.01 * 2**i for i in range(5)]
    loss = lambda out, y: ((out - y) ** 2).mean()  # noqa: E731
    found = sweep_losses(
        network, optimizer, loss, torch.ones(4, 1), torch.ones(4, 1), rates, 2, torch.Generator().manual_seed(0)
    )
    w, expected = 0.0, []
    for rate in rates:
        expected.append((w - 1) ** 2)
        w -= rate * 2 * (w - 1)
    assert found == pytest.approx(expected, rel=1e-5)


def test_sweep_losses_keep_the_ratio_of_parameter_groups(digits) -> None:
    network = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    optimizer = torch.optim.SGD(
        [{"params": network[0].parameters(), "lr": 0.1}, {"params": network[2].parameters(), "lr": 0.01}]
    )
    rates = sweep_rates(1e-4, 1e-2, 12)
    sweep_losses(network, optimizer, nn.functional.cross_entropy, *digits, rates, 32, torch.Generator())
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-2, 1e-3])


def test_sweep_ends_when_the_loss_explodes(digits) -> None:
    network, optimizer = starter(64, "sgd")(0)
    rates = sweep_rates(1e-2, 1e4, 100)
    losses = sweep_losses(network, optimizer, nn.functional.cross_entropy, *digits, rates, 32, torch.Generator())
    assert len(losses) < 100


def best_accuracy(start, data, rate: float, seed: int, epochs: int, batch: int = 32) -> float:
    """On the last quarter of the data, at the best epoch, after training on the rest."""
    inputs, labels = data
    n = len(inputs) * 3 // 4
    network, optimizer = start(seed)
    optimizer.param_groups[0]["lr"] = rate
    generator = torch.Generator().manual_seed(seed)
    best = 0.0
    for _ in range(epochs):
        for chosen in torch.randperm(n, generator=generator).split(batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs[chosen]), labels[chosen]).backward()
            optimizer.step()
        with torch.no_grad():
            best = max(best, float((network(inputs[n:]).argmax(1) == labels[n:]).float().mean()))
    return best


@pytest.mark.slow
@pytest.mark.parametrize(("data", "epochs"), [("digits", 15), ("mnist", 4)])
def test_training_at_the_suggestion_is_within_noise_of_the_best_of_a_grid(data: str, epochs: int, request) -> None:
    """Adam; the noise is that of the finite validation set and of three seeds (two standard errors)."""
    inputs, labels = request.getfixturevalue(data)
    n = len(inputs) * 3 // 4
    start = starter(inputs.shape[1], "adam")
    suggestion = range_test(start, nn.functional.cross_entropy, inputs[:n], labels[:n], batch=32).suggestion
    grid = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2]
    means = {
        rate: sum(best_accuracy(start, (inputs, labels), rate, seed, epochs) for seed in range(3)) / 3
        for rate in [*grid, suggestion]
    }
    best = max(means[rate] for rate in grid)
    error = (2 * best * (1 - best) / (len(inputs) - n)) ** 0.5
    assert means[suggestion] >= best - 2 * error, means
    assert means[suggestion] > min(means[rate] for rate in grid) + 2 * error, means


# -- a range test is a training like any other


def swept(tables: dict[str, Any], **params: Any) -> Trial:
    recipe = Recipe.from_tables({"data": {"limit": 300}, "network": {"width": 8}, **tables})
    params = {"schedule": "sweep(low=0.001, high=0.3, n_steps=20)", **params}
    recipe.check(params)
    (trial,) = recipe.train(Job((Training(params, 0, 1),)), lambda share: None)
    return trial


def test_a_range_test_of_lbfgs_is_read_like_any_other() -> None:
    trial = swept({"optimizer": {"name": "lbfgs", "iterations": 3}})
    assert trial.complete
    assert len(trial.curve["step_loss"]) == 20


def test_a_range_test_takes_the_steps_of_a_training_under_the_same_rates(digits) -> None:
    """Clipping, noise and a fixed number of steps: the losses on the way are those of an ordinary epoch."""
    tables = {
        "optimizer": {"name": "momentum"},
        "training": {"clip": 0.1, "steps_per_epoch": 20, "stack": False, "batch": 16},
        "gradient_noise": {"eta": 0.01},
    }
    sweep = swept(tables)
    as_triangle = "triangular(low=0.001, high=0.3, half_cycle=0.95)"
    line = swept({**tables}, schedule="sweep(low=0.001, high=0.3, n_steps=20, kind='linear')")
    recipe = Recipe.from_tables({"data": {"limit": 300}, "network": {"width": 8}, **tables})
    (trial,) = recipe.train(Job((Training({"schedule": as_triangle}, 0, 1),)), lambda share: None)
    losses = line.curve["step_loss"]
    assert sum(losses) / 20 == pytest.approx(trial.curve["train_loss"][0], rel=1e-5)
    assert line.accuracy == trial.accuracy
    assert sweep.curve["step_loss"][0] == losses[0]
