"""Controlled networks: feed-forward nets of any depth."""

from __future__ import annotations

from torch import nn

from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.settings import NetworkSettings

__all__ = ["build", "check_network", "n_parameters"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


def check_network(settings: NetworkSettings) -> None:
    """Say what cannot be built.

    Raises:
        ObjectiveError: naming the setting, its value and the mend.
    """
    for name, known in (("kind", ("mlp",)), ("activation", _ACTIVATIONS), ("init", ("torch", "keras"))):
        value = getattr(settings, name)
        if value not in known:
            raise ObjectiveError(f'network {name} "{value}" is unknown; {did_you_mean(value, known)}')
    for name in ("width", "depth"):
        if getattr(settings, name) < 1:
            raise ObjectiveError(f"network {name} must be at least 1, not {getattr(settings, name)}")
    if not 0 <= settings.dropout < 1:
        raise ObjectiveError(f"dropout is a probability, 0 <= dropout < 1, not {settings.dropout}")


def build(settings: NetworkSettings, n_inputs: int, n_classes: int) -> nn.Module:
    """The network, with weights from torch's current random state; gives scores of shape (n, n_classes)."""
    layers: list[nn.Module] = [nn.Flatten()]
    n_in = n_inputs
    for _ in range(settings.depth):
        layers.append(nn.Linear(n_in, settings.width))
        if settings.batch_norm:
            layers.append(nn.BatchNorm1d(settings.width))
        layers.append(_ACTIVATIONS[settings.activation]())
        if settings.dropout:
            layers.append(nn.Dropout(settings.dropout))
        n_in = settings.width
    layers.append(nn.Linear(n_in, n_classes))
    network = nn.Sequential(*layers)
    if settings.init == "keras":
        for layer in network:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
    return network


def n_parameters(settings: NetworkSettings, n_inputs: int, n_classes: int) -> int:
    """The number of free parameters, without building the network: 795 H + 10 for 784 inputs and one layer of H."""
    w = settings.width
    norm = 2 * w if settings.batch_norm else 0
    hidden = (n_inputs + 1) * w + norm + (settings.depth - 1) * ((w + 1) * w + norm)
    return hidden + (w + 1) * n_classes
