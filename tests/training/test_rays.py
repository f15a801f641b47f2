"""Width of an optimum, on a surface whose shape is known and on digits."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from tests.training.techniques import a_run, digits, small_network, train
from zonesearch.training.averaging import refresh_batch_norm
from zonesearch.training.rays import Rays, along_rays, random_direction


def bowl(width: float):
    """An error that is |w - origin|^2 / width^2, whatever the direction."""
    network = nn.Linear(20, 1, bias=False)
    origin = network.weight.detach().clone()
    return network, lambda moved: float(((moved.weight - origin) ** 2).sum()) / width**2


def test_rays_measure_the_width_of_a_known_bowl() -> None:
    distances = [i / 10 for i in range(101)]
    for width in (3.0, 6.0):
        network, error = bowl(width)
        rays = along_rays(network, error, distances, n_rays=5)
        assert rays.reaches(1.0) == pytest.approx([width] * 5, rel=1e-3)
        assert rays.mean == pytest.approx([(d / width) ** 2 for d in distances], abs=1e-4)


def test_rays_leave_the_network_as_it_is_and_start_at_its_own_error() -> None:
    run = a_run(small_network(batch_norm=True), epochs=3)
    train(run)
    before = copy.deepcopy(run.network.state_dict())
    _, _, inputs, labels = digits()

    def error(network: nn.Module) -> float:
        with torch.no_grad():
            return 1 - float((network(inputs).argmax(1) == labels).float().mean())

    rays = along_rays(
        run.network, error, [0.0, 1.0, 100.0], n_rays=3, refresh=lambda n: refresh_batch_norm(n, run.inputs)
    )
    assert all(torch.equal(before[key], value) for key, value in run.network.state_dict().items())
    refreshed = copy.deepcopy(run.network)
    refresh_batch_norm(refreshed, run.inputs)
    assert [row[0] for row in rays.errors] == [error(refreshed.eval())] * 3
    assert min(row[2] for row in rays.errors) > rays.errors[0][0] + 0.3


def test_the_same_seed_gives_two_solutions_the_same_directions() -> None:
    first, second = small_network(0), small_network(1)
    directions = [random_direction(list(n.parameters()), torch.Generator().manual_seed(3)) for n in (first, second)]
    assert torch.equal(*directions)
    assert directions[0].norm() == pytest.approx(1.0)


def test_filter_scaling_gives_every_row_its_own_norm_and_rests_the_biases() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(8, 2))
    direction = random_direction(list(network.parameters()), torch.Generator().manual_seed(0), "filter")
    pieces = direction.split([p.numel() for p in network.parameters()])
    for piece, parameter in zip(pieces, network.parameters(), strict=True):
        rows = piece.view(len(parameter), -1).norm(dim=1)
        wanted = parameter.flatten(1).norm(dim=1) if parameter.dim() > 1 else torch.zeros(len(parameter))
        assert torch.allclose(rows, wanted, atol=1e-5)
    assert parameters_to_vector(network.parameters()).shape == direction.shape


def test_reaches_interpolates_and_is_infinite_where_the_error_stays_low() -> None:
    rays = Rays((0.0, 1.0, 2.0), ((0.1, 0.2, 0.6), (0.1, 0.1, 0.1), (0.7, 0.8, 0.9)))
    assert rays.reaches(0.5) == pytest.approx((1.75, math.inf, 0.0))
    assert rays.describe()["mean_error"] == pytest.approx([0.3, 1.1 / 3, 1.6 / 3])
