"""The gradient noise scale, where it is known exactly."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.training.techniques import a_run, digits, small_network, train
from zonesearch.training.noise_scale import NoiseScale, measure_noise_scale


@pytest.mark.parametrize("batch", [4, 64])
def test_noise_scale_of_a_linear_loss_is_variance_over_squared_mean(batch: int) -> None:
    """Loss w x: the gradient of an example is x itself, N(mean, deviation^2) in ten dimensions."""
    mean, deviation = 0.5, 2.0
    inputs = mean + deviation * torch.randn(40_000, 10, generator=torch.Generator().manual_seed(0))
    network = nn.Linear(10, 1, bias=False)
    measured = measure_noise_scale(
        network,
        lambda outputs, labels: outputs.mean(),
        inputs,
        torch.zeros(len(inputs)),
        batch=batch,
        n_batches=40_000 // batch,
        generator=torch.Generator().manual_seed(1),
    )
    assert measured.trace == pytest.approx(10 * deviation**2, rel=0.05)
    assert measured.squared_norm == pytest.approx(10 * mean**2, rel=0.05)
    assert measured.critical_batch == pytest.approx(deviation**2 / mean**2, rel=0.1)


def test_noise_scale_grows_as_training_goes_on() -> None:
    run = a_run(epochs=6)
    before = measure_noise_scale(run.network, run.loss, *digits()[:2], batch=16, generator=torch.Generator())
    train(run)
    after = measure_noise_scale(run.network, run.loss, *digits()[:2], batch=16, generator=torch.Generator())
    assert after.critical_batch > 2 * before.critical_batch > 0


def test_measuring_leaves_the_network_as_it_was() -> None:
    network = small_network(batch_norm=True).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    measure_noise_scale(network, nn.functional.cross_entropy, *digits()[:2])
    assert network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_a_batch_beyond_the_critical_one_is_warned_of() -> None:
    scale = NoiseScale(squared_norm=0.1, trace=20.0)
    assert scale.warning(200) == ""
    assert "a batch of 512 is above the critical batch of about 200 examples" in scale.warning(512)
    drowned = NoiseScale(squared_norm=-0.1, trace=20.0)
    assert drowned.critical_batch == math.inf
    assert drowned.warning(10**6) == ""
    assert drowned.describe()["critical_batch"] is None
