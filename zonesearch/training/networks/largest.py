"""How large the convolutions of a network are: what decides whether products in bfloat16 would be faster."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import prod

import torch
from torch import Tensor, nn

from zonesearch.errors import ZoneSearchError
from zonesearch.training.networks.building import build
from zonesearch.training.settings import NetworkSettings

__all__ = ["largest_convolution"]


@lru_cache(maxsize=4096)  # asked for every training, and the network must be built to be looked at
def largest_convolution(settings: NetworkSettings, shape: tuple[int, ...], n_classes: int) -> int:
    """Multiplications of the largest convolution for one image.

    The network is built and run on torch's ``meta`` device, which computes shapes only.

    Args:
        settings: of the network.
        shape: of one image: (channels, height, width).
        n_classes: number of scores.

    Returns:
        0 for networks in which bfloat16 is not known to pay: those with grouped convolutions (depthwise ones are up to
        three times slower), the user's own, feed-forward ones, and those that cannot run on that device.
    """
    if settings.kind not in ("cnn", "backbone"):
        return 0
    seen: list[int] = []

    def note(module: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        each = prod(output.shape[1:]) * module.in_channels * prod(module.kernel_size)
        seen.append(each if module.groups == 1 else 0)

    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
            network = build(replace(settings, weights=""), shape, n_classes).eval()
            for module in network.modules():
                if isinstance(module, nn.Conv2d):
                    module.register_forward_hook(note)
            network(torch.empty(1, *shape))
    except (
        ZoneSearchError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ):  # what cannot be built is refused elsewhere
        return 0
    return max(seen, default=0) if all(seen) else 0
