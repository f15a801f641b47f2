"""Data sets as tensors in memory, split in three: train, validation (what the search sees), test (what it never sees).

The split is stratified and belongs to the study: it is drawn from the study's seed and is the same for every training.
Inputs are normalised per channel by the mean and deviation of the training split alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zonesearch.domain.seeding import stream_seed
from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.settings import DataSettings

__all__ = ["Split", "load"]

Raw = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Split:
    """One data set, split, normalised, on one device.

    Args:
        train, validation, test: (inputs of shape (n, channels, height, width) as float32, labels of shape (n,)).
        n_classes: number of classes; labels are 0..n_classes - 1.
        digest: hash of the content before it was split.
    """

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    n_classes: int
    digest: str

    @property
    def n_inputs(self) -> int:
        """Number of input values of one example."""
        return self.train[0][0].numel()


@lru_cache(maxsize=2)
def load(settings: DataSettings, seed: int, device: str = "cpu") -> Split:
    """The data set, loaded once a process.

    Raises:
        ObjectiveError: there is no such data set, its folder is missing, or it is too small for the split.
    """
    if settings.name not in _SOURCES:
        raise ObjectiveError(
            f'[data] name: there is no data set "{settings.name}"; {did_you_mean(settings.name, _SOURCES)}'
        )
    for key in ("validation", "test"):
        if not 0 < getattr(settings, key) < 1:
            raise ObjectiveError(f"[data] {key} must be a share between 0 and 1, not {getattr(settings, key)}")
    (inputs, labels), test = _SOURCES[settings.name](settings)
    digest = hashlib.sha256(inputs.tobytes() + labels.tobytes())
    rng = np.random.default_rng(stream_seed(seed, "split"))
    rest = np.arange(len(labels))
    if test is None:
        rest, held = _stratified(labels, rest, settings.test, rng)
        test = inputs[held], labels[held]
    else:
        digest.update(test[0].tobytes() + test[1].tobytes())
    train, validation = _stratified(labels, rest, settings.validation, rng)
    if settings.limit:
        if settings.limit >= len(train):
            raise ObjectiveError(f"[data] limit = {settings.limit}, but there are only {len(train)} training examples")
        train, _ = _stratified(labels, train, 1 - settings.limit / len(train), rng)
    seen = inputs[train]
    mean = seen.mean(axis=(0, 2, 3), keepdims=True)
    deviation = np.maximum(seen.std(axis=(0, 2, 3), keepdims=True), 1e-6)

    def tensors(raw: Raw) -> tuple[Tensor, Tensor]:
        x = np.ascontiguousarray((raw[0] - mean) / deviation, dtype=np.float32)
        return torch.from_numpy(x).to(device), torch.from_numpy(raw[1]).to(device)

    return Split(
        train=tensors((seen, labels[train])),
        validation=tensors((inputs[validation], labels[validation])),
        test=tensors(test),
        n_classes=int(labels.max()) + 1,
        digest=digest.hexdigest()[:16],
    )


def _stratified(
    labels: npt.NDArray[np.int64], among: npt.NDArray[np.int64], share: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """``among`` split in (rest, part), the part holding ``share`` of every class; both in ascending order."""
    part = []
    for label in np.unique(labels[among]):
        members = among[labels[among] == label]
        n = round(share * len(members))
        if not 0 < n < len(members):
            raise ObjectiveError(
                f"class {label} has only {len(members)} examples, too few to put a share of {share:.3g} aside; "
                f"give more data or another share in [data]"
            )
        part.append(rng.permutation(members)[:n])
    chosen = np.sort(np.concatenate(part))
    return np.setdiff1d(among, chosen), chosen


def _digits(settings: DataSettings) -> tuple[Raw, Raw | None]:
    """1,797 images of 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    return ((inputs.reshape(-1, 1, 8, 8) / 16).astype(np.float32), labels.astype(np.int64)), None


def _mnist(settings: DataSettings) -> tuple[Raw, Raw | None]:
    """60,000 and 10,000 images of 28 x 28 pixels."""
    from torchvision.datasets import MNIST

    root = _root(settings, "mnist")
    download = not settings.root and not (root / "MNIST" / "raw").is_dir()
    try:
        parts = [MNIST(str(root), train=train, download=download) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise ObjectiveError(
            f"MNIST is not in {root} ({error}): set [data] root to the folder that holds MNIST/raw, or connect to the "
            f"network so that torchvision can download it"
        ) from None
    train, test = (
        ((part.data.numpy()[:, None] / 255).astype(np.float32), part.targets.numpy().astype(np.int64)) for part in parts
    )
    return train, test


def _root(settings: DataSettings, folder: str) -> Path:
    """Where a data set lies: the given root, the folder that ZONESEARCH_DATA names, or the user's cache."""
    if settings.root:
        root = Path(settings.root).expanduser()
        if not root.is_dir():
            raise ObjectiveError(f"[data] root = {settings.root!r} is no folder; name the one that holds the data set")
        return root
    given = os.environ.get("ZONESEARCH_DATA")
    if given and (Path(given) / folder).is_dir():
        return Path(given) / folder
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return cache / "zonesearch" / folder


_SOURCES: dict[str, Callable[[DataSettings], tuple[Raw, Raw | None]]] = {"digits": _digits, "mnist": _mnist}
