"""What a source gives: numbers as they are, not yet split, and what is checked of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.errors import ObjectiveError
from zonesearch.training.settings import DataSettings

__all__ = ["Raw", "as_raw"]

Raw = tuple[npt.NDArray[np.float32], npt.NDArray[Any]]
"""Inputs of shape (n, channels, height, width) or (n, columns), and targets of shape (n,)."""


def as_raw(inputs: Any, targets: Any, settings: DataSettings, what: str, classes: list[Any] | None = None) -> Raw:
    """Arrays of anybody's as raw data.

    Args:
        inputs: numbers of shape (n, columns), (n, height, width), (n, channels, height, width).
        targets: of shape (n,): labels of any kind, or the numbers of a regression.
        settings: give the task.
        what: is named in messages.
        classes: the labels that there may be; filled with those found when it is empty.

    Raises:
        ObjectiveError: of shapes that do not fit, numbers that are not finite, labels that training does not have.
    """
    x, y = np.asarray(inputs), np.asarray(targets)
    if x.ndim not in (2, 3, 4) or y.shape != (len(x),) or not len(x):
        raise ObjectiveError(
            f"{what}: inputs of shape (n, ...) and targets of shape (n,) are needed, not {x.shape} and {y.shape}"
        )
    try:
        x = np.ascontiguousarray(x, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ObjectiveError(f"{what}: inputs must be numbers: {error}") from None
    if x.ndim == 3:
        x = x[:, None]
    bad = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
    if bad.any():
        raise ObjectiveError(
            f"{what}: {int(bad.sum())} of {len(x)} examples hold numbers that are missing or not finite (the first is "
            f"number {int(bad.argmax())}); fill or drop them"
        )
    if settings.task == "regression":
        try:
            y = y.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ObjectiveError(f"{what}: targets of a regression must be numbers: {error}") from None
        if not np.isfinite(y).all():
            raise ObjectiveError(f"{what}: {int((~np.isfinite(y)).sum())} targets are missing or not finite")
        return x, y
    return x, _numbered(y, what, [] if classes is None else classes)


def _numbered(labels: npt.NDArray[Any], what: str, classes: list[Any]) -> npt.NDArray[np.int64]:
    """Labels as 0..n - 1 in the order of ``classes``."""
    if labels.dtype.kind == "f" and (not np.isfinite(labels).all() or (labels != np.round(labels)).any()):
        raise ObjectiveError(
            f'{what}: labels must name classes, but some are missing or fractions; is it a task = "regression"?'
        )
    found = sorted(set(labels.tolist()), key=lambda label: (isinstance(label, str), label))
    if not classes:
        classes.extend(found)
        if len(classes) < 2:
            raise ObjectiveError(f"{what}: there is only one class, {found[0]!r}; a classification needs two or more")
    strange = [label for label in found if label not in classes]
    if strange:
        raise ObjectiveError(
            f"{what}: the label {strange[0]!r} is out of range: the training data have {len(classes)} classes, "
            f"{classes[0]!r} to {classes[-1]!r}"
        )
    number = {label: i for i, label in enumerate(classes)}
    return np.array([number[label] for label in labels.tolist()], dtype=np.int64)
