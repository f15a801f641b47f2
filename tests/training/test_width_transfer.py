"""Width transfer: nothing changes at the base width, and what a step does no longer depends on the width."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.training.techniques import digits, small_network
from zonesearch.errors import ObjectiveError
from zonesearch.training.width_transfer import transfer_width

OPTIMIZERS = {"adam": (torch.optim.Adam, 0.01), "sgd": (torch.optim.SGD, 0.1)}


def change_of_outputs(width: int, optimizer: str, depth: int, transferred: bool) -> float:
    """Root mean square of what five steps on one batch do to the outputs."""
    torch.manual_seed(width)
    hidden = [layer for _ in range(depth - 1) for layer in (nn.Linear(width, width), nn.ReLU())]
    network = nn.Sequential(nn.Linear(64, width), nn.ReLU(), *hidden, nn.Linear(width, 10))
    cls, rate = OPTIMIZERS[optimizer]
    groups = [{"params": list(network.parameters()), "lr": rate}]
    if transferred:
        groups = transfer_width(network, 64, rate, adaptive=optimizer == "adam")
    inputs, labels = digits()[0][:200], digits()[1][:200]
    stepper = cls([{"params": group["params"], "lr": group["lr"]} for group in groups])
    before = network(inputs).detach()
    for _ in range(5):
        stepper.zero_grad()
        nn.functional.cross_entropy(network(inputs), labels).backward()
        stepper.step()
    return float((network(inputs).detach() - before).square().mean().sqrt())


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_step_moves_the_outputs_alike_at_every_width(optimizer: str, depth: int) -> None:
    """The coordinate check: over a factor 32 in width the change stays within a factor 2; without, it grows by more."""
    changes = [change_of_outputs(width, optimizer, depth, True) for width in (64, 256, 2048)]
    plain = [change_of_outputs(width, optimizer, depth, False) for width in (64, 2048)]
    assert max(changes) < 2 * min(changes)
    if optimizer == "adam":
        assert plain[1] > 4 * plain[0]


def test_nothing_changes_at_the_base_width() -> None:
    plain, transferred = small_network(width=32), small_network(width=32)
    groups = transfer_width(transferred, 32, 0.1)
    assert torch.equal(plain(digits()[0]), transferred(digits()[0]))
    assert [(group["lr"], group["lr_scale"]) for group in groups] == [(0.1, 1.0)]


def test_every_parameter_is_in_one_group() -> None:
    network = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.Linear(32, 10))
    groups = transfer_width(network, 16, 0.1)
    ids = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(ids) == sorted(map(id, network.parameters()))
    assert {group["lr_scale"] for group in groups} == {1.0, 0.5}


def test_a_network_without_a_hidden_layer_is_refused() -> None:
    with pytest.raises(ObjectiveError, match="at least one hidden layer"):
        transfer_width(nn.Sequential(nn.Linear(64, 10)), 16, 0.1)
