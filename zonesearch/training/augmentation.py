"""Augmentation of image batches on their device: pad, crop at a random position, flip horizontally.

Zero padding is the usual recipe for CIFAR (He et al. 2016); reflection padding did better in a reimplementation of
weight averaging.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.settings import AugmentationSettings

__all__ = ["PADDINGS", "Augmentation", "Drawn", "check_augmentation"]

PADDINGS = ("zero", "reflect")


def check_augmentation(settings: AugmentationSettings, shape: tuple[int, ...]) -> None:
    """Refuse settings that do not suit examples of this shape.

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


@dataclass(frozen=True)
class Drawn:
    """The random draws for the images of a batch, on their device.

    Args:
        shifts: (2, n, 1), row and column offsets of the crop in the padded image; None without padding.
        mirrored: (n,), which images are flipped; None without flipping.
    """

    shifts: Tensor | None
    mirrored: Tensor | None


class Augmentation:
    """Augments every image of every batch independently, from its own generator.

    Args:
        settings: already checked.
        seed: of the training's ``augmentation`` stream.
    """

    def __init__(self, settings: AugmentationSettings, seed: int) -> None:
        self._settings = settings
        self.generator = torch.Generator().manual_seed(seed)

    def twin(self) -> Augmentation:
        """A copy that will draw the same numbers; its draws do not advance this one."""
        twin = Augmentation(self._settings, 0)
        twin.generator.set_state(self.generator.get_state())
        return twin

    def ahead(self, sizes: Sequence[int], device: torch.device) -> list[Drawn]:
        """Draw for several batches, in order, and copy everything to ``device`` at once, so that no step on a GPU waits
        for the host.
        """
        shifts, mirrored = [], []
        for n in sizes:
            if self._settings.pad:
                shifts.append(torch.randint(2 * self._settings.pad + 1, (2, n, 1), generator=self.generator))
            if self._settings.flip:
                mirrored.append(torch.rand(n, generator=self.generator).lt(0.5))
        moved = torch.cat(shifts, 1).to(device).split_with_sizes(list(sizes), 1) if shifts else [None] * len(sizes)
        turned = torch.cat(mirrored).to(device).split_with_sizes(list(sizes)) if mirrored else [None] * len(sizes)
        return [Drawn(*each) for each in zip(moved, turned, strict=True)]

    def __call__(self, x: Tensor, drawn: Drawn | None = None) -> Tensor:
        """Augmented images of shape (n, channels, height, width), on the device of ``x``.

        Args:
            x: the images.
            drawn: random draws from :meth:`ahead`; drawn now if not given.
        """
        drawn = drawn or self.ahead([len(x)], x.device)[0]
        pad = self._settings.pad
        n, _, height, width = x.shape
        shifts = drawn.shifts
        if shifts is not None:
            mode = "constant" if self._settings.padding == "zero" else "reflect"
            padded = functional.pad(x, (pad,) * 4, mode=mode)
            rows = (shifts[0] + torch.arange(height, device=x.device))[:, None, :, None]
            columns = (shifts[1] + torch.arange(width, device=x.device))[:, None, None, :]
            images = torch.arange(n, device=x.device)[:, None, None, None]
            channels = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
            x = padded[images, channels, rows, columns]
        if drawn.mirrored is not None:
            x = torch.where(drawn.mirrored[:, None, None, None], x.flip(-1), x)
        return x
