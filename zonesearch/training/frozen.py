"""The frozen part of a network, computed once, since its features of an image are the same in every epoch.

The network is cut (:mod:`zonesearch.training.networks.cut`) before the first operation that training changes or that is
random; augmented images differ in every epoch, so with them nothing is computed in advance. From then on the features
replace the images; the network stays whole, and takes both. Features are kept for later trainings of the same frozen
part, in memory if enough is free, otherwise in an unlinked file, which disappears with the process.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from zonesearch.training.data.collate import Inputs
from zonesearch.training.data.features import Features
from zonesearch.training.networks.backbone import Backbone
from zonesearch.training.numerics import autocast

__all__ = ["Parts", "once"]

Parts = tuple[Inputs, Inputs]
"""Inputs of the training and of the validation part."""

_PIECE = 256  # images at a time
_SHARE = 4  # a quarter of the free memory, or of the free disk space
_FEW = 4  # images for checking that both halves give the same result as the whole


@dataclass(frozen=True)
class _Kept:
    """Features, and what they were computed from."""

    images: weakref.ref[Tensor]
    made_by: str
    features: Features
    in_memory: int


_kept: list[_Kept] = []


@torch.no_grad()
def once(network: nn.Module, parts: Parts, precision: str, passes: float, augmented: bool) -> Parts:
    """Features in place of images, if a network has a frozen part and sees its images more than once.

    Args:
        network: in its state at the beginning of training.
        parts: images on the device where it trains.
        precision: of products.
        passes: number of passes over all images; with fewer than 2, images stay as they are.
        augmented: whether images differ in every pass; then they stay as they are.
    """
    if augmented or passes < 2 or not isinstance(network, Backbone) or network.halves() is None:
        return parts
    if not all(isinstance(images, Tensor) for images in parts) or not _agree(network, parts[0][:_FEW], precision):  # type: ignore[index]
        return parts
    made_by = _maker(network, precision)
    found = [_features(network, images, precision, made_by) for images in parts]  # type: ignore[arg-type]
    return parts if None in found else (found[0], found[1])  # type: ignore[return-value]


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


def _features(network: Backbone, images: Tensor, precision: str, made_by: str) -> Features | None:
    """Cached or new features; None if they fit neither in memory nor on disk."""
    for kept in _kept:
        if kept.images() is images and kept.made_by == made_by:
            return kept.features
    was_training = network.training
    network.eval()
    try:
        made: list[Tensor] | None = None
        n_bytes = 0
        for start in range(0, len(images), _PIECE):
            with autocast(precision, images.device):
                piece = network.features(images[start : start + _PIECE])
            if made is None:
                n_bytes = sum(each[0].numel() * each.element_size() for each in piece) * len(images)
                made = _room(piece, len(images), n_bytes)
                if made is None:
                    return None
            for place, each in zip(made, piece, strict=True):
                place[start : start + len(each)] = each
    finally:
        network.train(was_training)
    assert made is not None
    features = Features(tuple(made), images.device)
    _kept.append(_Kept(weakref.ref(images), made_by, features, n_bytes))
    return features


def _room(like: Sequence[Tensor], n: int, n_bytes: int) -> list[Tensor] | None:
    """Empty tensors for ``n`` examples, in memory or else in a file; None if neither has space."""
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
