"""The recorded trainings of the corpus, read for training and for benchmarks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.search.controller.context import OPTIMIZERS
from zonesearch.search.controller.model import LOST
from zonesearch.statistics.gp.targets import Scale

__all__ = ["CorpusTask", "read_corpus", "standardised"]

Array = npt.NDArray[np.float64]

_MISSING = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class CorpusTask:
    """A task of the corpus: ``values`` by role (n,), ``curves`` (n, seeds, epochs) with NaN after a divergence."""

    name: str
    about: dict[str, Any]
    values: dict[str, Array]
    curves: Array

    def best(self, epochs: int) -> Array:
        """The best accuracy within so many epochs, (n, seeds); NaN where the training had diverged by then."""
        part = self.curves[:, :, :epochs]
        return np.where(np.isnan(part).any(2), np.nan, np.nan_to_num(part).max(2))

    @property
    def optimizer(self) -> float:
        return OPTIMIZERS[self.about["optimizer"]]


def read_corpus(file: Path, without: Sequence[str] = ()) -> list[CorpusTask]:
    """The tasks in the file but for those of some families."""
    found = []
    with np.load(file, allow_pickle=False) as read:
        for name in sorted({key.split("/")[0] for key in read.files}):
            about = json.loads(str(read[f"{name}/about"]))
            if about["family"] in without:
                continue
            settings = read[f"{name}/settings"].astype(np.float64)
            values = {("width" if axis == "channels" else axis): settings[:, i] for i, axis in enumerate(about["axes"])}
            raw = read[f"{name}/accuracy"]
            found.append(CorpusTask(name, about, values, np.where(raw == _MISSING, np.nan, raw / 10_000.0)))
    return found


def standardised(values: Array, within: npt.NDArray[np.bool_]) -> Array:
    """Values of shape (n, seeds) in units of the settings that lie ``within``."""
    means = np.where(
        np.isnan(values).all(1), np.nan, np.nan_to_num(values).sum(1) / np.maximum(1, (~np.isnan(values)).sum(1))
    )
    pool = means[within]
    pool = np.where(np.isnan(pool), np.nanmin(pool), pool)
    return np.nan_to_num(np.maximum(Scale.of(pool).forth(values), LOST), nan=LOST)
