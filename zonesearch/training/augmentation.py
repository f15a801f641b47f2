"""Augmentation of image batches on their device: pad, crop at a random position, flip horizontally.

Zero padding is the usual recipe for CIFAR (He et al. 2016); reflection padding did better in a reimplementation of
weight averaging. Random numbers are drawn for each batch, or, for a few versions of every image, in advance: then all
trainings of a study see the same versions, and what a frozen network computes of them can be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zonesearch.core.seeding import stream_seed
from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.settings import AugmentationSettings

__all__ = ["PADDINGS", "Augmentation", "Drawn", "InAdvance", "check_augmentation"]

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
    if settings.draws < 0:
        raise ObjectiveError(
            f"[augmentation] draws is a number of versions of each image, or 0 for new ones in each batch, "
            f"not {settings.draws}"
        )
    if settings and len(shape) != 3:
        raise ObjectiveError(f"[augmentation] is for images, but an example has the shape {shape}")
    if settings.padding == "reflect" and settings.pad >= min(shape[-2:], default=1):
        raise ObjectiveError(f"[augmentation] pad = {settings.pad} reflects more than an image of {shape[-2:]} holds")


@dataclass(frozen=True)
class Drawn:
    """The random draws for some images, on their device.

    Args:
        shifts: (2, n, 1), row and column offsets of the crop in the padded image; None without padding.
        mirrored: (n,), which images are flipped; None without flipping.
    """

    shifts: Tensor | None
    mirrored: Tensor | None

    @classmethod
    def of(cls, settings: AugmentationSettings, n: int, generator: torch.Generator) -> Drawn:
        """New draws for ``n`` images, on the CPU."""
        shifts = torch.randint(2 * settings.pad + 1, (2, n, 1), generator=generator) if settings.pad else None
        mirrored = torch.rand(n, generator=generator).lt(0.5) if settings.flip else None
        return cls(shifts, mirrored)

    def to(self, device: torch.device) -> Drawn:
        """The same on ``device``."""
        return Drawn(*(None if each is None else each.to(device) for each in (self.shifts, self.mirrored)))

    def part(self, chosen: Tensor | slice) -> Drawn:
        """The draws for some of the images."""
        return Drawn(
            None if self.shifts is None else self.shifts[:, chosen],
            None if self.mirrored is None else self.mirrored[chosen],
        )

    def split(self, sizes: Sequence[int]) -> list[Drawn]:
        """The draws batch by batch."""
        nothing = [None] * len(sizes)
        shifts = nothing if self.shifts is None else self.shifts.split_with_sizes(list(sizes), 1)
        mirrored = nothing if self.mirrored is None else self.mirrored.split_with_sizes(list(sizes))
        return [Drawn(*each) for each in zip(shifts, mirrored, strict=True)]


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
        drawn = [Drawn.of(self._settings, n, self.generator) for n in sizes]
        shifts = [each.shifts for each in drawn if each.shifts is not None]
        mirrored = [each.mirrored for each in drawn if each.mirrored is not None]
        joined = Drawn(torch.cat(shifts, 1) if shifts else None, torch.cat(mirrored) if mirrored else None)
        return joined.to(device).split(sizes)

    def of_batches(self, batches: Sequence[Tensor], device: torch.device, epoch: int) -> list[Drawn]:
        """The random draws for several batches.

        Args:
            batches: for each, the indices of its examples.
            device: of the images.
            epoch: in which they are seen, counted from 0.
        """
        return self.ahead([len(batch) for batch in batches], device)

    def part(self, chosen: Tensor) -> Augmentation:
        """That of some of the examples, which are numbered anew."""
        return self

    def __call__(self, x: Tensor, drawn: Drawn | None = None) -> Tensor:
        """Augmented images of shape (n, channels, height, width), on the device of ``x``.

        Args:
            x: the images.
            drawn: random draws for them, from :meth:`of_batches`; drawn now if not given.
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


class InAdvance(Augmentation):
    """Augments every image in as many versions as are drawn in advance; epoch e sees version e mod their number.

    Version k is drawn from the stream ``draws`` of the study with index k: the same for all trainings, and the first
    four versions of eight are those of four.

    Args:
        settings: already checked, with at least one draw.
        study_seed: the seed of the study.
        n: number of examples.
        rows: indices of the examples that these draws are for; None for all.
    """

    def __init__(self, settings: AugmentationSettings, study_seed: int, n: int, rows: Tensor | None = None) -> None:
        super().__init__(settings, 0)
        self._study_seed = study_seed
        self._n = n
        self._rows = rows
        self._drawn: dict[int, Drawn] = {}

    @property
    def n_versions(self) -> int:
        """How many versions there are."""
        return self._settings.draws

    @property
    def key(self) -> tuple[object, ...]:
        """What the versions of given images depend on."""
        return self._settings, self._study_seed

    def version(self, k: int, device: torch.device) -> Drawn:
        """The draws of version ``k`` for all examples."""
        if k not in self._drawn:
            generator = torch.Generator().manual_seed(stream_seed(self._study_seed, "draws", k))
            drawn = Drawn.of(self._settings, self._n, generator).to(device)
            self._drawn[k] = drawn if self._rows is None else drawn.part(self._rows.to(device))
        return self._drawn[k]

    def twin(self) -> InAdvance:
        """Itself: nothing advances."""
        return self

    def of_batches(self, batches: Sequence[Tensor], device: torch.device, epoch: int) -> list[Drawn]:
        """As :meth:`Augmentation.of_batches`."""
        chosen = torch.cat(list(batches)).to(device)
        return self.version(epoch % self.n_versions, device).part(chosen).split([len(batch) for batch in batches])

    def part(self, chosen: Tensor) -> InAdvance:
        """As :meth:`Augmentation.part`."""
        rows = chosen if self._rows is None else self._rows[chosen.to(self._rows.device)]
        return InAdvance(self._settings, self._study_seed, self._n, rows)
