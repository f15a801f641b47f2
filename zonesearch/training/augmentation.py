"""Augmentation of image batches on their device: pad and crop at a random place, mirror left and right.

Padding with zeros is the usual recipe for CIFAR (He et al. 2016); padding by reflection did better in a
re-implementation of weight averaging.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.settings import AugmentationSettings

__all__ = ["PADDINGS", "Augmentation", "check_augmentation"]

PADDINGS = ("zero", "reflect")


def check_augmentation(settings: AugmentationSettings, shape: tuple[int, ...]) -> None:
    """Say what cannot be done to examples of this shape.

    Raises:
        ObjectiveError: naming the setting, its value and the mend.
    """
    if settings.padding not in PADDINGS:
        raise ObjectiveError(f'[augmentation] padding "{settings.padding}": {did_you_mean(settings.padding, PADDINGS)}')
    if settings.pad < 0:
        raise ObjectiveError(f"[augmentation] pad is a number of pixels, 0 or more, not {settings.pad}")
    if settings and len(shape) != 3:
        raise ObjectiveError(f"[augmentation] is for images, but an example has the shape {shape}")
    if settings.padding == "reflect" and settings.pad >= min(shape[-2:], default=1):
        raise ObjectiveError(f"[augmentation] pad = {settings.pad} reflects more than an image of {shape[-2:]} holds")


class Augmentation:
    """Draws anew for each image of each batch, from a generator of its own.

    Args:
        settings: checked ones.
        seed: of the training's stream ``augmentation``.
    """

    def __init__(self, settings: AugmentationSettings, seed: int) -> None:
        self._settings = settings
        self.generator = torch.Generator().manual_seed(seed)

    def twin(self) -> Augmentation:
        """Another one that will draw the same: what it draws is not missed here."""
        twin = Augmentation(self._settings, 0)
        twin.generator.set_state(self.generator.get_state())
        return twin

    def __call__(self, x: Tensor) -> Tensor:
        """Images of shape (n, channels, height, width), changed; the same shape and device."""
        pad = self._settings.pad
        n, _, height, width = x.shape
        if pad:
            mode = "constant" if self._settings.padding == "zero" else "reflect"
            padded = functional.pad(x, (pad,) * 4, mode=mode)
            shifts = torch.randint(2 * pad + 1, (2, n, 1), generator=self.generator).to(x.device)
            rows = (shifts[0] + torch.arange(height, device=x.device))[:, None, :, None]
            columns = (shifts[1] + torch.arange(width, device=x.device))[:, None, None, :]
            images = torch.arange(n, device=x.device)[:, None, None, None]
            channels = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
            x = padded[images, channels, rows, columns]
        if self._settings.flip:
            mirrored = torch.rand(n, generator=self.generator).lt(0.5).to(x.device)
            x = torch.where(mirrored[:, None, None, None], x.flip(-1), x)
        return x
