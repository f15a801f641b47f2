"""Convolutions as they are computed here give what torch's own give; when bfloat16 pays."""

import copy

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from zonesearch.training.networks import build
from zonesearch.training.networks.convolutions import Trimmed, channels_last, trim
from zonesearch.training.settings import NetworkSettings

CPU = torch.device("cpu")


@settings(max_examples=60)
@given(
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    stride=st.integers(1, 3),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    groups=st.sampled_from([1, 2]),
)
def test_a_trimmed_convolution_is_torchs_own(kernel, padding, stride, size, groups) -> None:
    assume(all(s + 2 * p >= k for s, p, k in zip(size, padding, kernel, strict=True)))
    torch.manual_seed(0)
    plain = nn.Conv2d(2, 4, kernel, stride, padding, groups=groups).double()
    trimmed = trim(copy.deepcopy(plain))
    assert type(trimmed) is Trimmed
    found = []
    for layer in (plain, trimmed):
        x = torch.randn(3, 2, *size, dtype=torch.double, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = layer(x)
        y.square().sum().backward()
        found.append((y.detach(), x.grad, layer.weight.grad, layer.bias.grad))
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_trimming_leaves_other_paddings_alone() -> None:
    others = nn.ModuleList(
        [
            nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
            nn.Conv2d(1, 1, 3, padding="same"),
            nn.Conv2d(1, 1, 3, padding=2, dilation=2),
        ]
    )
    assert not any(isinstance(layer, Trimmed) for layer in trim(others))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_lie_with_their_channels_last_and_are_the_same(channels) -> None:
    x = torch.randn(2, channels, 4, 5)
    there = channels_last(x)
    assert torch.equal(there, x)
    assert there.stride() == (20 * channels, 1, 5 * channels, channels)
    assert channels_last(x.double()).is_contiguous(), "double precision has no quicker road"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pooling", ["max", "stride"])
def test_the_order_of_channels_changes_no_scores_beyond_rounding(monkeypatch, channels, pooling) -> None:
    torch.manual_seed(0)
    network = build(NetworkSettings(kind="cnn", channels=8, pooling=pooling, residual=True), (channels, 8, 8), 4)
    x = torch.randn(5, channels, 8, 8)
    ours = network(x)
    monkeypatch.setattr("zonesearch.training.networks.convolutional.channels_last", lambda x: x)
    torch.testing.assert_close(ours, network(x), rtol=1e-4, atol=1e-5)
