"""The frozen part of a network, computed once, since its features of an image are the same in every epoch.

The network is cut (:mod:`zonesearch.training.networks.cut`) before the first operation that training changes or that is
random; images that are augmented anew in every epoch have no features in advance, those of which a few versions are
drawn in advance have features of each version. From then on the features replace the images; the network stays whole,
and takes both. Features are kept for later trainings of the same frozen
part, in memory if enough is free, otherwise in an unlinked file, which disappears with the process.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from zonesearch.training.augmentation import Augmentation, InAdvance
from zonesearch.training.data.collate import Inputs
from zonesearch.training.data.features import Features
from zonesearch.training.networks.backbone import Backbone
from zonesearch.training.numerics import autocast
from zonesearch.training.settings import AugmentationSettings

__all__ = ["Parts", "is_seen_often", "once", "versions"]

Parts = tuple[Inputs, Inputs]
"""Inputs of the training and of the validation part."""

_PIECE = 256  # images at a time
_SHARE = 4  # a quarter of the free memory, or of the free disk space
_FEW = 4  # images for checking that both halves give the same result as the whole


@dataclass(frozen=True, eq=False)
class _Kept:
    """Features, what they were computed from, and of which versions."""

    images: weakref.ref[Tensor]
    made_by: str
    features: Features
    filled: set[int]


_kept: list[_Kept] = []


def is_seen_often(passes: float, augmentation: AugmentationSettings, epochs: int) -> bool:
    """Whether a training sees its images so often that computing their frozen features once saves time.

    Args:
        passes: number of passes over all images.
        augmentation: each version of the images that is drawn in advance has features of its own.
        epochs: of the training, each of which sees one version.
    """
    return passes >= max(2, min(augmentation.n_versions, epochs))


@torch.no_grad()
def once(
    network: nn.Module,
    parts: Parts,
    precision: str,
    passes: float,
    augmentation: Augmentation | None = None,
    epochs: int = 1,
    looked_at_after: bool = False,
) -> Parts:
    """Features in place of images, if a network has a frozen part and sees its images often enough.

    Args:
        network: in its state at the beginning of training.
        parts: images on the device where it trains.
        precision: of products.
        passes: number of passes over all images; with fewer than 2, or than there are versions, images stay as they
            are.
        augmentation: of the images of the first part, which stay as they are unless it is drawn in advance.
        epochs: of the training; features are computed of the versions that these epochs see.
        looked_at_after: whether a technique looks at the training part after every epoch, as the next one would see it:
            after the last one too.
    """
    if not isinstance(network, Backbone) or network.halves() is None:
        return parts
    anew = augmentation is not None and not isinstance(augmentation, InAdvance)
    n_versions = 1
    if isinstance(augmentation, InAdvance):
        if passes < max(2, min(augmentation.n_versions, epochs)):
            return parts
        n_versions = min(augmentation.n_versions, epochs + looked_at_after)
    elif passes < 2 and not anew:
        return parts
    images, held = parts
    if not isinstance(images, Tensor) or not isinstance(held, Tensor):
        return parts
    if not _agree(network, images[:_FEW], precision):
        return parts
    made_by = _maker(network, precision)

    def compute(x: Tensor) -> tuple[Tensor, ...]:
        with autocast(precision, x.device):
            return network.features(x)

    was_training = network.training
    network.eval()
    try:
        judged = _features(held, made_by, compute)
        drawn = augmentation if isinstance(augmentation, InAdvance) else None
        seen = images if anew or judged is None else _features(images, made_by, compute, drawn, n_versions)
    finally:
        network.train(was_training)
    return parts if judged is None or seen is None else (seen, judged)


@torch.no_grad()
def versions(images: Tensor, augmentation: InAdvance, epochs: int) -> Tensor | None:
    """The versions of images that ``epochs`` epochs see, one after the other, kept like features; None if they fit
    nowhere.
    """
    n_seen = min(augmentation.n_versions, epochs)
    found = _features(images, "images", lambda x: (x,), augmentation, n_seen)
    return None if found is None else found.tensors[0][: n_seen * len(images)]


def _agree(network: Backbone, images: Tensor, precision: str) -> bool:
    """Whether both halves give bit for bit the same result as the whole network for a few images."""
    was_training = network.training
    network.eval()
    with autocast(precision, images.device):
        features = network.features(images)
        there = all(isinstance(each, Tensor) and len(each) == len(images) for each in features)
        same = there and torch.equal(network(images), network(images, *features))
    network.train(was_training)
    return same


def _maker(network: Backbone, precision: str) -> str:
    """A digest of everything that features depend on apart from the images."""
    halves = network.halves()
    assert halves is not None
    digest = hashlib.blake2b(f"{precision} {halves.code}".encode())
    state = network.body.state_dict()
    for name in halves.tensors:
        if name in state:
            digest.update(state[name].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _features(
    images: Tensor,
    made_by: str,
    compute: Callable[[Tensor], tuple[Tensor, ...]],
    augmentation: InAdvance | None = None,
    n_versions: int = 1,
) -> Features | None:
    """Cached or new features of the first versions; None if they fit neither in memory nor on disk.

    There is room for no more versions than were ever asked for: of a thousand draws, 20 epochs see 20.
    """
    n = len(images)
    if augmentation is not None:
        made_by = f"{made_by} {augmentation.key}"
    kept = next((each for each in _kept if each.images() is images and each.made_by == made_by), None)
    fewer = None if kept is None or kept.features.n_versions >= n_versions else kept
    if fewer is not None:
        _kept.remove(fewer)
        kept = _with_room([place[:1] for place in fewer.features.tensors], images, made_by, n_versions)
        if kept is None:
            return None
        for place, each in zip(kept.features.tensors, fewer.features.tensors, strict=True):
            place[: len(each)] = each
        kept.filled.update(fewer.filled)
    for version, start in product(range(n_versions), range(0, n, _PIECE)):
        if kept is not None and version in kept.filled:
            continue
        chosen = slice(start, start + _PIECE)
        piece = images[chosen]
        if augmentation is not None:
            piece = augmentation(piece, augmentation.version(version, images.device).part(chosen))
        made = compute(piece)
        kept = kept or _with_room(made, images, made_by, n_versions)
        if kept is None:
            return None
        for place, each in zip(kept.features.tensors, made, strict=True):
            place[version * n + start : version * n + start + len(each)] = each
        if start + _PIECE >= n:
            kept.filled.add(version)
    return None if kept is None else kept.features


def _with_room(like: Sequence[Tensor], images: Tensor, made_by: str, n_versions: int) -> _Kept | None:
    """Place for features of some versions of all images, none of them filled; None if there is none."""
    room = _room(like, n_versions * len(images))
    if room is None:
        return None
    _kept.append(
        _Kept(weakref.ref(images), made_by, Features(tuple(room), images.device, n_versions=n_versions), set())
    )
    return _kept[-1]


def _room(like: Sequence[Tensor], n: int) -> list[Tensor] | None:
    """Empty tensors for ``n`` examples, in memory or else in a file; None if neither has space."""
    n_bytes = sum(each[0].numel() * each.element_size() for each in like) * n
    _kept[:] = [kept for kept in _kept if kept.images() is not None]
    while True:
        if n_bytes * _SHARE <= _free(like[0].device):
            return [each.new_empty(n, *each.shape[1:]) for each in like]
        if not _kept:
            break
        del _kept[0]
    if n_bytes * _SHARE > shutil.disk_usage(tempfile.gettempdir()).free:
        return None
    return [_mapped(each, n) for each in like]


def _mapped(like: Tensor, n: int) -> Tensor:
    """A tensor in an unlinked file: it is freed once nothing uses it, however the process ends."""
    shape = (n, *like.shape[1:])
    with tempfile.TemporaryFile(prefix="zonesearch-") as file:
        flat = np.memmap(file, np.uint8, "w+", shape=(prod(shape) * like.element_size(),))
    return torch.from_numpy(flat).view(like.dtype).view(shape)


def _free(device: torch.device) -> int:
    """Bytes of free memory; if that is not known, the machine's total memory."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            found = {name: int(rest.split()[0]) for name, rest in (line.split(":", 1) for line in lines)}
        return found["MemAvailable"] * 1024
    except (OSError, KeyError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 << 30
