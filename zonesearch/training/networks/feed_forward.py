"""Feed-forward networks of any depth."""

from __future__ import annotations

from torch import nn

from zonesearch.training.networks.dropout import Dropout
from zonesearch.training.networks.parts import ACTIVATIONS
from zonesearch.training.settings import NetworkSettings

__all__ = ["INITS", "build_mlp", "n_mlp_parameters"]

INITS = ("torch", "keras")


def build_mlp(settings: NetworkSettings, n_inputs: int, n_classes: int) -> nn.Sequential:
    """Linear layers with batch norm, activation and dropout between them; gives scores of shape (n, n_classes)."""
    layers: list[nn.Module] = [nn.Flatten()]
    n_in = n_inputs
    for width in settings.hidden:
        layers.append(nn.Linear(n_in, width))
        if settings.batch_norm:
            layers.append(nn.BatchNorm1d(width))
        layers.append(ACTIVATIONS[settings.activation]())
        if settings.dropout:
            layers.append(Dropout(settings.dropout))
        n_in = width
    layers.append(nn.Linear(n_in, n_classes))
    network = nn.Sequential(*layers)
    if settings.init == "keras":
        for layer in network:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
    return network


def n_mlp_parameters(settings: NetworkSettings, n_inputs: int, n_classes: int) -> int:
    """The number of free parameters: 795 H + 10 for 784 inputs, one layer of H and 10 classes."""
    total, n_in = 0, n_inputs
    for width in settings.hidden:
        total += (n_in + 1) * width + (2 * width if settings.batch_norm else 0)
        n_in = width
    return total + (n_in + 1) * n_classes
