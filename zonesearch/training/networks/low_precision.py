"""Whether products in bfloat16 pay for a convolutional network: by its layers, its size and the processor, no clock.

Measured on an AMD EPYC with AVX-512 BF16 (``python -m benchmarks.convolutions``): dense and grouped convolutions gain
1.1 to 1.9 times where a map has something to compute; those that slide one kernel over each channel alone (depthwise:
MobileNet, EfficientNet, ShuffleNet, ConvNeXt) lose up to three times, and with them the network; the smallest networks
are bound by the number of calls, to which the conversions add. Without instructions of its own bfloat16 is played in
software and never pays.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch
from torch import nn

from zonesearch.errors import ObjectiveError
from zonesearch.training.networks.building import build
from zonesearch.training.settings import NetworkSettings

__all__ = ["bf16_pays", "has_bf16"]

_CHANNELS = 8  # of the first block; with fewer the conversions cost what the products gain
_NUMBERS = 100_000  # of the first block's map, for a batch


def has_bf16(device: torch.device) -> bool:
    """Whether the processor or GPU has instructions for products in bfloat16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def bf16_pays(settings: NetworkSettings, shape: tuple[int, ...], batch: int, device: torch.device) -> bool:
    """Whether a network of convolutions (``cnn``, ``backbone``) trains more quickly with products in bfloat16 there.

    Of a network of another kind nothing is known: False.

    Args:
        settings: of the network.
        shape: of one image: (channels, height, width).
        batch: examples a step.
        device: where it trains.
    """
    if settings.kind not in ("cnn", "backbone") or len(shape) != 3 or not has_bf16(device):
        return False
    if settings.kind == "backbone":
        return not _has_depthwise(replace(settings, weights="", dropout=0.0, tune="full"), shape)
    stride = 2 if settings.pooling == "stride" else 1
    numbers = batch * settings.channels * shape[1] * shape[2] // stride**2
    return settings.channels >= _CHANNELS and numbers >= _NUMBERS


@lru_cache(maxsize=256)
def _has_depthwise(settings: NetworkSettings, shape: tuple[int, ...]) -> bool:
    """Whether some convolution sees each channel by itself; also where the network cannot be built to be looked at."""
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                network = build(settings, shape, 2)
        except NotImplementedError:  # see building.n_parameters
            network = build(settings, shape, 2)
        except ObjectiveError:
            return True
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    return not convolutions or any(layer.groups == layer.in_channels > 1 for layer in convolutions)
