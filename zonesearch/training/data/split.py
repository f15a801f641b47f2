"""Data sets as tensors in memory, split in three: train, validation (what the search sees), test (what it never sees).

The split is stratified and belongs to the study: it is drawn from the study's seed and is the same for every training.
Inputs are normalised per channel (per column of a table) by the mean and standard deviation of the training split
alone; integers stay integers for a user's own network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zonesearch.training.data.collate import Collated, Inputs
from zonesearch.training.data.content import digest_of
from zonesearch.training.data.drawing import draw
from zonesearch.training.data.preprocessing import Preprocessing, statistics
from zonesearch.training.data.raw import Indices, Items, Raw, as_inputs, read_wanted
from zonesearch.training.data.sources import read
from zonesearch.training.data.table import Columns, content, is_frame
from zonesearch.training.settings import DataSettings

__all__ = ["Split", "read_split"]


@dataclass(frozen=True)
class Split:
    """One data set, split and normalised, on one device. Its tensors may be in memory that is shared with other
    processes.

    Args:
        train, validation, test: (inputs of shape (n, channels, height, width) or (n, columns), targets of shape (n,)):
            labels 0..n_classes - 1, or the standardised numbers of a regression. Inputs for a collate function are
            :class:`~zonesearch.training.data.collate.Collated`.
        n_classes: number of classes; 0 of a regression.
        digest: hash of the content before the split, as far as it was read.
        scale: mean and standard deviation by which the targets of a regression were standardised.
        preprocessing: that of the inputs.
        given: for integer inputs, the split with unchanged integers, as a user's own network sees it.
        limited: the sizes of the validation and test parts if a limit made them smaller, by the name of the limit.
        code: version of the preprocessing by feature, for features whose numbers differ from version 0.1.0.
    """

    train: tuple[Inputs, Tensor]
    validation: tuple[Inputs, Tensor]
    test: tuple[Inputs, Tensor]
    n_classes: int
    digest: str
    scale: tuple[float, float] = (0.0, 1.0)
    preprocessing: Preprocessing = Preprocessing()
    given: Split | None = None
    limited: Mapping[str, int] = field(default_factory=dict)
    code: Mapping[str, int] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example; empty for examples that are collated."""
        return tuple(self.train[0].shape[1:]) if isinstance(self.train[0], Tensor) else ()

    @property
    def n_outputs(self) -> int:
        """The number of outputs of a network for an example."""
        return self.n_classes or 1

    def seen_by(self, own_network: bool) -> Split:
        """The data as a network sees them: with unchanged integers if it is the user's own."""
        return self.given if own_network and self.given is not None else self


def read_split(settings: DataSettings, seed: int, double: bool = False) -> Split:
    """Read the data set from its source; as float64 with ``double``.

    Raises:
        ObjectiveError: there is no such data set, its folder is missing, an image or number cannot be read, or it
            is too small for the split.
    """
    raw, test, classes = read(settings)
    what = settings.root or settings.name
    drawn = draw(settings, seed, raw[1], None if test is None else test[1], classes)
    both = [raw] if test is None else [raw, test]
    taken = [drawn.train, drawn.validation, *([drawn.test] if test is None else [])]
    wanted = [np.unique(np.concatenate(taken)), *([] if test is None else [drawn.test])]
    came = read_wanted([(inputs, indices) for (inputs, _), indices in zip(both, wanted, strict=True)])
    sources: list[Raw] = []
    for (inputs, there), (_, targets) in zip(came, both, strict=True):
        own = isinstance(inputs, np.ndarray) and ":" in settings.name
        sources.append((as_inputs(inputs, what, keep_integers=True) if own else inputs, targets[there]))
    digest = digest_of(sources, is_frame(sources[0][0]), what)
    places = [(drawn.train, 0), (drawn.validation, 0), (drawn.test, len(both) - 1)]
    parts = [_part(sources[at], part, came[at][1]) for part, at in places]
    scale = (0.0, 1.0)
    if not classes:
        scale = float(parts[0][1].mean()), max(float(parts[0][1].std()), 1e-12)
    dtype = torch.float64 if double else torch.float32
    labels = [_targets(part[1], classes, scale, dtype) for part in parts]
    base = Preprocessing(classes=tuple(classes), scale=scale)
    inputs = [part[0] for part in parts]
    code: dict[str, int] = {}

    def made(steps: Preprocessing, tensors: Sequence[Inputs], given: Split | None = None) -> Split:
        train, validation, test = zip(tensors, labels, strict=True)
        n = len(classes)
        return Split(train, validation, test, n, digest, scale, steps, given, drawn.limited, code)

    if isinstance(inputs[0], Items):
        path = settings.collate
        pairs = zip(inputs, labels, strict=True)
        collated = [Collated(part.values, wanted, path, dtype) for part, wanted in pairs]
        collated[0].batch(range(min(2, len(collated[0]))))  # reports faults of the function early
        return made(replace(base, kind="collated", collate=path), collated)
    columns, given = None, None
    if is_frame(inputs[0]):
        columns = Columns.fit(inputs[0], what)
        _, before, words_missing = content([source[0] for source in sources], what)
        if words_missing or columns.made != before:
            code["table"] = 2
        inputs = [columns.apply(part, what) for part in inputs]
    if inputs[0].dtype.kind == "i":
        whole = [torch.from_numpy(part) for part in inputs]
        given = made(replace(base, kind="integers", shape=inputs[0].shape[1:]), whole)
        inputs = [as_inputs(part, what) for part in inputs]
    mean, deviation, constant = statistics(inputs[0])
    if constant.any():
        at = np.array(mean, dtype=np.float32)[constant].reshape(1, -1, *(1,) * (inputs[0].ndim - 2))
        if any((part[:, constant] != at).any() for part in inputs):
            code["constants"] = 2
    steps = replace(base, shape=inputs[0].shape[1:], mean=mean, deviation=deviation, columns=columns)
    return made(steps, [torch.from_numpy(steps.normalise(part)).to(dtype) for part in inputs], given)


def _part(source: Raw, wanted: Indices, there: Indices) -> Raw:
    """The wanted examples of a source from which those in ``there`` were read; unreadable ones are left out."""
    at = np.searchsorted(there, wanted[np.isin(wanted, there)])
    inputs, targets = source
    if isinstance(inputs, Items):
        return Items([inputs.values[i] for i in at.tolist()]), targets[at]
    return (inputs.iloc[at] if is_frame(inputs) else inputs[at]), targets[at]


def _targets(
    values: npt.NDArray[Any], classes: Sequence[object], scale: tuple[float, float], dtype: torch.dtype
) -> Tensor:
    """Class numbers, or the standardised targets of a regression."""
    if classes:
        return torch.from_numpy(values)
    return torch.from_numpy((values - scale[0]) / scale[1]).to(dtype)
