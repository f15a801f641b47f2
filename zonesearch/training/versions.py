"""Training images in several versions, where augmentations are drawn in advance, as stacks take them.

A stack sees one tensor of inputs: all examples of the first version, then all of the next. Each epoch takes its
examples from the version that it sees.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from zonesearch.training.augmentation import InAdvance
from zonesearch.training.data import Split
from zonesearch.training.frozen import versions
from zonesearch.training.settings import Settings

__all__ = ["in_advance", "on_versions", "with_versions"]


def in_advance(settings: Settings, data: Split, study_seed: int) -> InAdvance | None:
    """The augmentation that is drawn in advance; None without augmentation."""
    return InAdvance(settings.augmentation, study_seed, len(data.train[1])) if settings.augmentation else None


def on_versions(settings: Settings, data: Split, study_seed: int, epochs: int) -> Split | None:
    """The data with the versions that are seen in the training part; unchanged without augmentation, None if they fit
    nowhere.

    Args:
        settings: of a training that can be stacked.
        data: on the device where it is to be trained.
        study_seed: of the draws.
        epochs: the most of any training.
    """
    drawn = in_advance(settings, data, study_seed)
    if drawn is None:
        return data
    assert isinstance(data.train[0], Tensor)
    found = versions(data.train[0], drawn, epochs)
    return None if found is None or found.device != data.train[0].device else with_versions(data, found)


def with_versions(data: Split, inputs: Tensor) -> Split:
    """The data with these inputs of several versions in the training part."""
    labels = data.train[1]
    return replace(data, train=(inputs, labels.repeat(len(inputs) // len(labels))))
