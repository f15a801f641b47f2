"""Metrics of predicted classes and probabilities, computed by scikit-learn.

Probabilities are the softmax of the scores. For two classes, ``roc_auc`` and ``average_precision`` are those of the
second one; for more, the unweighted mean over one-vs-rest values, without classes that have no example.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["OF_SCIKIT_LEARN"]

Floats = npt.NDArray[np.float64]


def _f1(average: str) -> Callable[[Tensor, Tensor], float]:
    def score(outputs: Tensor, targets: Tensor) -> float:
        from sklearn.metrics import f1_score

        if not bool(outputs.isfinite().all()):
            return math.nan
        return float(f1_score(_array(targets), _array(outputs.argmax(1)), average=average, zero_division=0.0))

    return score


def _log_loss(outputs: Tensor, targets: Tensor) -> float:
    from sklearn.metrics import log_loss

    shares = _shares(outputs)
    return math.nan if shares is None else float(log_loss(_array(targets), shares, labels=range(shares.shape[1])))


def _roc_auc(outputs: Tensor, targets: Tensor) -> float:
    from sklearn.metrics import roc_auc_score

    return _one_against_all(roc_auc_score, outputs, targets)


def _average_precision(outputs: Tensor, targets: Tensor) -> float:
    from sklearn.metrics import average_precision_score

    return _one_against_all(average_precision_score, outputs, targets)


OF_SCIKIT_LEARN: dict[str, Callable[[Tensor, Tensor], float]] = {
    "f1_macro": _f1("macro"),
    "f1_weighted": _f1("weighted"),
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
}
"""From outputs (n, classes) and targets (n,) to the value in its own sign; NaN if outputs are not finite."""


def _one_against_all(score: Callable[..., Any], outputs: Tensor, targets: Tensor) -> float:
    """The mean over the classes that some but not all examples have; NaN if there is no such class."""
    shares, y = _shares(outputs), _array(targets)
    if shares is None:
        return math.nan
    classes = [1] if shares.shape[1] == 2 else range(shares.shape[1])
    found = [float(score(y == k, shares[:, k])) for k in classes if 0 < (y == k).sum() < len(y)]
    return sum(found) / len(found) if found else math.nan


def _shares(outputs: Tensor) -> Floats | None:
    """Class probabilities, rows that sum to 1; None if some are not finite."""
    shares = torch.softmax(outputs.detach().double(), 1).cpu().numpy()
    return shares if np.isfinite(shares).all() else None


def _array(values: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = values.detach().cpu().numpy()
    return array
