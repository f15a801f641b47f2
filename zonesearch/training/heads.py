"""Heads on frozen features: with the features computed once, what is left to train is one linear layer.

So several trainings of a head (seeds, learning rates, schedules) are one program, as small networks are
(:mod:`zonesearch.training.stack`), whose first layer is the last. Only where the frozen part is the same for all of
them, which given weights make sure of, and where the head is nothing but a linear layer on features: that is tried, and
what is anything else trains in the reference loop.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from zonesearch.training.data import Split
from zonesearch.training.data.features import Features
from zonesearch.training.frozen import once
from zonesearch.training.networks import build
from zonesearch.training.networks.backbone import Backbone
from zonesearch.training.networks.cut import moves
from zonesearch.training.numerics import dtype_of
from zonesearch.training.settings import Settings
from zonesearch.training.stack import is_plain
from zonesearch.training.techniques import Techniques
from zonesearch.training.versions import in_advance, with_versions

__all__ = ["FEATURES", "is_head", "on_features"]

FEATURES = 2048
"""About as many does a head see: for prices, which must not take a network to be built."""
_FEW = 4  # images: what it is tried on has the shape of their features


def is_head(settings: Settings, techniques: Techniques) -> bool:
    """Whether a training may be one of several heads: by its settings, the same on every machine."""
    network = settings.network
    return (
        settings.training.stack
        and network.kind == "backbone"
        and network.tune == "head"
        and bool(network.weights)
        and not network.dropout
        and network.base_width == 0
        and settings.training.precision != "bf16"
        and settings.augmentation.n_versions > 0
        and is_plain(settings, techniques)
    )


@torch.no_grad()
def on_features(settings: Settings, data: Split, tested: bool, study_seed: int, epochs: int) -> Split | None:
    """The data with features in the place of images; None where the head is more than a linear layer on them, or they
    fit nowhere.

    Args:
        settings: of a training that :func:`is_head`.
        data: on the device where it is to be trained.
        tested: whether the test part is looked at too; otherwise it stays as it is.
        study_seed: of augmentations that are drawn in advance.
        epochs: the most of any training.

    Returns:
        The training part has the versions that these epochs see, one after the other, if they are drawn in advance.
    """
    precision = settings.training.precision
    with torch.random.fork_rng(devices=[]):
        network = build(settings.network, data.shape, data.n_outputs)
    network.to(data.train[0].device, dtype_of(precision))
    if not isinstance(network, Backbone) or not isinstance(data.train[0], Tensor) or not _is_linear(network, data):
        return None
    drawn = in_advance(settings, data, study_seed)
    parts = [data.train, data.validation, data.test][: 3 if tested else 2]
    found: list[Tensor] = []
    for images, _ in parts[1:]:
        pair = once(network, (data.train[0], images), precision, math.inf, drawn, epochs)
        if not all(isinstance(each, Features) and len(each.tensors) == 1 for each in pair):
            return None
        found = [*(found or [_of(pair[0])[: epochs * len(data.train[1])]]), _of(pair[1])]
    if len(found[0]) > len(data.train[1]) and found[0].device != data.train[1].device:
        return None  # too large for a GPU, where the loop copies it batch by batch
    test = (found[2], data.test[1]) if tested else data.test
    return with_versions(replace(data, validation=(found[1], data.validation[1]), test=test), found[0])


def _of(features: object) -> Tensor:
    assert isinstance(features, Features)
    found = features.tensors[0].flatten(1)
    return found if features.n_versions > 1 else found.to(features.device)


def _is_linear(network: Backbone, data: Split) -> bool:
    """Whether what follows the frozen part, training and judging, is the head alone, a linear layer."""
    head, halves, images = network.head, network.halves(), data.train[0]
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if halves is None or not isinstance(head, nn.Linear) or not isinstance(images, Tensor):
        return False
    if len(trained) != 2 or trained[0] is not head.weight or trained[1] is not head.bias:
        return False
    was_training = network.training
    network.train()
    same = not any(moves(module) for module in network.modules())
    network.eval()
    features = network.features(images[:_FEW])
    same = same and len(features) == 1 and features[0][0].numel() == head.in_features
    if same:
        drawn = torch.linspace(-1, 1, features[0].numel(), dtype=head.weight.dtype, device=images.device)
        drawn = drawn.view(features[0].shape)  # features of these images may be all zero
        scores = functional.linear(drawn.flatten(1), head.weight, head.bias)
        for training, rest in ((True, halves.rest), (False, halves.judging)):
            network.train(training)
            same = same and torch.allclose(rest(network.body, drawn), scores, rtol=1e-5, atol=1e-5)
    network.train(was_training)
    return same
