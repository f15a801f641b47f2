"""How large the convolutions of a network are: what decides whether products in bfloat16 would be faster."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import torch
from torch import Tensor, nn

from zonesearch.errors import ObjectiveError
from zonesearch.training.networks.building import build
from zonesearch.training.settings import NetworkSettings

__all__ = ["largest_convolution"]


@lru_cache(maxsize=4096)  # asked for every training, and the network must be built to be looked at
def largest_convolution(settings: NetworkSettings, shape: tuple[int, ...], n_classes: int) -> int:
    """Multiplications of the largest convolution for one image.

    The network is built and run on torch's ``meta`` device, which computes shapes only.

    Args:
        settings: of a ``cnn``.
        shape: of one image: (channels, height, width).
        n_classes: number of scores.

    Returns:
        0 for settings that cannot be built; they are refused where they would be trained.
    """
    seen: list[int] = []

    def note(module: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(prod(output.shape[1:]) * module.in_channels * prod(module.kernel_size))

    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
            network = build(settings, shape, n_classes).eval()
            for module in network.modules():
                if isinstance(module, nn.Conv2d):
                    module.register_forward_hook(note)
            network(torch.empty(1, *shape))
    except ObjectiveError:
        return 0
    return max(seen)
