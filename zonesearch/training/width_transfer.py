"""Width transfer of the learning rate (muP): the best rate of a narrow network is also best for a wide one.

In the maximal update parametrisation, every layer learns at the same speed at every width (Yang et al. 2021, "Tensor
Programs V", table 8). With m = width / base width: the outputs are divided by m and the readout's initial weights are
multiplied by sqrt(m); under Adam the rate of hidden-to-hidden weights is divided by m; under plain gradient descent the
rates of all other weights are multiplied by m. At the base width nothing changes. Meant for feed-forward networks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zonesearch.errors import ObjectiveError

__all__ = ["Readout", "transfer_width"]


class Readout(nn.Module):
    """A last layer whose outputs are divided by the multiple of the width."""

    def __init__(self, linear: nn.Linear, multiple: float) -> None:
        super().__init__()
        self.linear = linear
        self.multiple = multiple
        with torch.no_grad():
            linear.weight.mul_(multiple**0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        """(W x) / m + b."""
        return nn.functional.linear(inputs, self.linear.weight / self.multiple, self.linear.bias)


def transfer_width(network: nn.Module, base_width: int, rate: float, adaptive: bool = True) -> list[dict[str, Any]]:
    """Convert a freshly initialised feed-forward network to the parametrisation, in place.

    Args:
        network: an ``nn.Sequential`` of linear layers with anything in between; the last one is the readout.
        base_width: the width at which nothing changes, where the rate was tuned.
        rate: the base learning rate.
        adaptive: for optimizers that divide by the gradient's size (Adam and its like); False for SGD and momentum.

    Returns:
        Parameter groups for the optimizer; each has ``lr`` and ``lr_scale``, by which a schedule's rate is multiplied.

    Raises:
        ObjectiveError: the network has another form, or no hidden layer.
    """
    if not isinstance(network, nn.Sequential):
        raise ObjectiveError(f"width transfer (base_width) needs a feed-forward network, not {type(network).__name__}")
    places = [i for i, module in enumerate(network) if isinstance(module, nn.Linear)]
    if len(places) < 2:
        raise ObjectiveError("width transfer needs a feed-forward network with at least one hidden layer")
    scales: dict[Tensor, float] = {}
    for i, place in enumerate(places):
        linear = network[place]
        assert isinstance(linear, nn.Linear)
        hidden = 0 < i < len(places) - 1
        multiple = (linear.in_features if i else linear.out_features) / base_width
        if adaptive:
            scales[linear.weight] = 1 / multiple if hidden else 1.0
        else:
            scales[linear.weight] = 1.0 if hidden else multiple
        if linear.bias is not None:
            scales[linear.bias] = 1.0 if adaptive or i == len(places) - 1 else multiple
        if i == len(places) - 1:
            network[place] = Readout(linear, multiple)
    by_scale: dict[float, list[Tensor]] = {}
    for parameter in network.parameters():
        by_scale.setdefault(scales.get(parameter, 1.0), []).append(parameter)
    return [{"params": group, "lr": rate * scale, "lr_scale": scale} for scale, group in by_scale.items()]
