"""From settings to a network, and checks before it is built."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import prod

import torch
from torch import nn

from zonesearch.core.plugins import registered
from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.networks.backbone import TUNED, build_backbone, check_backbone
from zonesearch.training.networks.convolutional import POOLINGS, build_cnn
from zonesearch.training.networks.factory import build_by_factory, imported
from zonesearch.training.networks.feed_forward import INITS, build_mlp, n_mlp_parameters
from zonesearch.training.networks.parts import ACTIVATIONS
from zonesearch.training.settings import NETWORK_KINDS, NetworkSettings

__all__ = ["build", "check_network", "n_parameters"]


def check_network(settings: NetworkSettings) -> None:
    """Refuse settings that cannot be built.

    Raises:
        ObjectiveError: naming the setting, its value and the mend.
    """
    if settings.is_factory:
        imported(settings.kind, "[network] kind", "networks")
        return
    words = {"kind": NETWORK_KINDS, "activation": ACTIVATIONS, "init": INITS, "pooling": POOLINGS, "tune": TUNED}
    for name, known in words.items():
        value = getattr(settings, name)
        if value not in known:
            own = ' (or give "package.module:function")' if name == "kind" else ""
            names = (*known, *registered("networks")) if name == "kind" else known
            raise ObjectiveError(f'network {name} "{value}" is unknown; {did_you_mean(value, names)}{own}')
    for name in ("width", "depth", "channels", "blocks", "kernel"):
        if getattr(settings, name) < 1:
            raise ObjectiveError(f"network {name} must be at least 1, not {getattr(settings, name)}")
    if any(width < 1 for width in settings.widths):
        raise ObjectiveError(f"network widths must each be at least 1, not {list(settings.widths)}")
    if not 0 <= settings.dropout < 1:
        raise ObjectiveError(f"dropout is a probability, 0 <= dropout < 1, not {settings.dropout}")
    if not settings.body_rate > 0:
        raise ObjectiveError(
            f'body_rate must be above 0, not {settings.body_rate}; tune = "head" leaves the body alone'
        )
    if settings.kind == "backbone":
        check_backbone(settings)


def build(settings: NetworkSettings, shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """The network, with weights from torch's current random state.

    Args:
        settings: of the network.
        shape: of one example: (features,) or (channels, height, width).
        n_classes: number of scores per example; 1 for a regression.

    Raises:
        ObjectiveError: when it cannot be built for examples of this shape.
    """
    if settings.is_factory:
        return build_by_factory(settings, shape, n_classes)
    if settings.kind == "mlp":
        return build_mlp(settings, prod(shape), n_classes)
    if len(shape) != 3:
        raise ObjectiveError(f'network kind "{settings.kind}" needs images, but an example has the shape {shape}')
    return (build_cnn if settings.kind == "cnn" else build_backbone)(settings, shape, n_classes)


def n_parameters(settings: NetworkSettings, shape: tuple[int, ...], n_classes: int) -> int:
    """The number of free parameters; takes no memory for them unless the network is the user's own."""
    if settings.kind == "mlp":
        return n_mlp_parameters(settings, prod(shape), n_classes)
    return _counted(settings, shape, n_classes)


@lru_cache(maxsize=4096)  # called for every training in every round, and a user's network must be built to be counted
def _counted(settings: NetworkSettings, shape: tuple[int, ...], n_classes: int) -> int:
    plain = settings if settings.is_factory else replace(settings, weights="")  # no weights are loaded for counting
    with torch.random.fork_rng(devices=[]):
        if settings.is_factory:
            return _size(build(plain, shape, n_classes))
        try:
            with torch.device("meta"):
                return _size(build(plain, shape, n_classes))
        except NotImplementedError:  # the initialisation of RegNets needs memory for the weights
            return _size(build(plain, shape, n_classes))


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
