"""Data sets as tensors in memory, split in three: train, validation (what the search sees), test (what it never sees).

The split is stratified and belongs to the study: it is drawn from the study's seed and is the same for every training.
Inputs are normalised per channel (per column of a table) by the mean and deviation of the training split alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zonesearch.core.seeding import stream_seed
from zonesearch.errors import ObjectiveError
from zonesearch.training.data.preprocessing import Preprocessing
from zonesearch.training.data.raw import Raw
from zonesearch.training.data.sources import read
from zonesearch.training.settings import DataSettings

__all__ = ["Split", "load"]

Indices = npt.NDArray[np.int64]
_STRATA = 10  # a regression is stratified by tenths of its target


@dataclass(frozen=True)
class Split:
    """One data set, split, normalised, on one device.

    Args:
        train, validation, test: (inputs of shape (n, channels, height, width) or (n, columns), targets of shape (n,)):
            labels 0..n_classes - 1, or the standardised numbers of a regression.
        n_classes: number of classes; 0 of a regression.
        digest: hash of the content before it was split.
        scale: mean and deviation of the targets of a regression, by which they were standardised.
        preprocessing: what was done to the inputs, to be done to new ones.
    """

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    n_classes: int
    digest: str
    scale: tuple[float, float] = (0.0, 1.0)
    preprocessing: Preprocessing = Preprocessing()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.train[0].shape[1:])

    @property
    def n_inputs(self) -> int:
        """Number of input values of one example."""
        return self.train[0][0].numel()

    @property
    def n_outputs(self) -> int:
        """How many numbers a network gives for an example."""
        return self.n_classes or 1


@lru_cache(maxsize=2)
def load(settings: DataSettings, seed: int, device: str = "cpu", double: bool = False) -> Split:
    """The data set, loaded once a process; ``double`` gives its numbers as float64.

    Raises:
        ObjectiveError: there is no such data set, its folder is missing, an image or number cannot be read, or it
            is too small for the split.
    """
    for key in ("validation", "test"):
        if not 0 < getattr(settings, key) < 1:
            raise ObjectiveError(f"[data] {key} must be a share between 0 and 1, not {getattr(settings, key)}")
    raw, test, classes, columns = read(settings)
    n_classes = len(classes)
    inputs, targets = raw
    digest = hashlib.sha256()
    for array in (*raw, *(test or ())):
        digest.update(np.ascontiguousarray(array).data)
    rng = np.random.default_rng(stream_seed(seed, "split"))
    strata = targets if n_classes else _tenths(targets)
    rest = np.arange(len(targets))
    if test is None:
        rest, held = _stratified(strata, rest, settings.test, rng, classes)
        test = inputs[held], targets[held]
    train, validation = _stratified(strata, rest, settings.validation, rng, classes)
    if settings.limit:
        if settings.limit >= len(train):
            raise ObjectiveError(f"[data] limit = {settings.limit}, but there are only {len(train)} training examples")
        train, _ = _stratified(strata, train, 1 - settings.limit / len(train), rng)
    seen = inputs[train]
    axes = (0, *range(2, inputs.ndim))
    mean = seen.mean(axis=axes, keepdims=True, dtype=np.float32)
    deviation = np.maximum(seen.std(axis=axes, keepdims=True, dtype=np.float32), np.float32(1e-6))
    scale = (0.0, 1.0)
    if not n_classes:
        scale = float(targets[train].mean()), max(float(targets[train].std()), 1e-12)
    dtype = torch.float64 if double else torch.float32

    def tensors(part: Raw) -> tuple[Tensor, Tensor]:
        x = np.ascontiguousarray((part[0] - mean) / deviation, dtype=np.float32)
        y = torch.from_numpy(part[1] if n_classes else (part[1] - scale[0]) / scale[1])
        return torch.from_numpy(x).to(device, dtype), (y if n_classes else y.to(dtype)).to(device)

    return Split(
        train=tensors((seen, targets[train])),
        validation=tensors((inputs[validation], targets[validation])),
        test=tensors(test),
        n_classes=n_classes,
        digest=digest.hexdigest()[:16],
        scale=scale,
        preprocessing=Preprocessing(
            shape=inputs.shape[1:],
            mean=tuple(map(float, mean.ravel())),
            deviation=tuple(map(float, deviation.ravel())),
            columns=columns,
            classes=tuple(classes),
            scale=scale,
        ),
    )


def _tenths(targets: npt.NDArray[np.float64]) -> Indices:
    """Which tenth of all targets each belongs to."""
    ranks = np.argsort(np.argsort(targets, kind="stable"), kind="stable")
    return (ranks * _STRATA // max(1, len(targets))).astype(np.int64)


def _stratified(
    labels: npt.NDArray[np.generic],
    among: Indices,
    share: float,
    rng: np.random.Generator,
    names: Sequence[object] | None = None,
) -> tuple[Indices, Indices]:
    """``among`` split in (rest, part), the part holding ``share`` of every class; both in ascending order.

    With the ``names`` of the classes, none for a regression, the part must hold some of every class.
    """
    part = []
    for label in np.unique(labels[among]):
        members = among[labels[among] == label]
        n = round(share * len(members))
        if n == len(members) or (n == 0 and names is not None):
            few = f"{len(members)} example" + "s" * (len(members) != 1)
            what = f"class {names[label]} has only {few}" if names else f"{len(among)} examples are too few"
            raise ObjectiveError(
                f"{what}: a share of {share:.3g} cannot be put aside for each of training, validation and test; give "
                "more data, or another share in [data]"
            )
        part.append(rng.permutation(members)[:n])
    chosen = np.sort(np.concatenate(part))
    return np.setdiff1d(among, chosen), chosen
