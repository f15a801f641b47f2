"""Raw examples from a source, before they are split, and the checks on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.errors import ObjectiveError
from zonesearch.training.data.table import is_frame
from zonesearch.training.settings import DataSettings

__all__ = ["Indices", "Items", "Lazy", "Pixels", "Raw", "as_inputs", "as_raw", "as_targets", "read_wanted"]

Indices = npt.NDArray[np.int64]

Raw = tuple[Any, npt.NDArray[Any]]
"""Inputs, and targets of shape (n,): class numbers or the values of a regression.

Inputs are numbers of shape (n, channels, height, width) or (n, columns), float32; integers as given; a pandas frame;
:class:`Items` for a collate function; :class:`Pixels`; or :class:`Lazy`, of which only a part is read.
"""


@dataclass(frozen=True)
class Items:
    """Examples of any kind and length without their targets; each a tuple of one or several inputs."""

    values: Sequence[tuple[Any, ...]]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Pixels:
    """Images as bytes in memory; only those that are needed are converted to numbers in 0..1.

    Args:
        values: of shape (n, channels, height, width).
    """

    values: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, indices: Any) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = (self.values[indices] / np.float32(255)).astype(np.float32)
        return found


@dataclass(frozen=True)
class Lazy:
    """Inputs that are read once it is known which of them are needed.

    Args:
        n: number of inputs.
        number: index of this part among those that ``read`` reads together.
        read: maps the wanted indices of each part to the inputs and to the indices that could be read, in the same
            order.
    """

    n: int
    number: int
    read: Callable[[Mapping[int, Indices]], Mapping[int, tuple[Any, Indices]]]

    def __len__(self) -> int:
        return self.n


def read_wanted(wanted: Sequence[tuple[Any, Indices]]) -> list[tuple[Any, Indices]]:
    """The inputs of each part at the wanted indices, and which of the indices could be read."""
    found: dict[int, tuple[Any, Indices]] = {}
    for place, (inputs, _) in enumerate(wanted):
        if place in found:
            continue
        if not isinstance(inputs, Lazy):
            found[place] = inputs, np.arange(len(inputs))
            continue
        together = {at: x for at, (x, _) in enumerate(wanted) if isinstance(x, Lazy) and x.read == inputs.read}
        came = inputs.read({lazy.number: wanted[at][1] for at, lazy in together.items()})
        found |= {at: came[lazy.number] for at, lazy in together.items()}
    return [found[place] for place in range(len(wanted))]


def as_raw(
    inputs: Any,
    targets: Any,
    settings: DataSettings,
    what: str,
    classes: list[Any] | None = None,
    keep_integers: bool = False,
) -> Raw:
    """A user's arrays as raw data.

    Args:
        inputs: numbers of shape (n, columns), (n, height, width), (n, channels, height, width); a pandas frame; items;
            or lazy inputs.
        targets: of shape (n,): labels of any kind, or the values of a regression.
        settings: of the data, for the task.
        what: is named in messages.
        classes: the permitted labels; filled with those found if it is empty.
        keep_integers: whether integers stay integers.

    Raises:
        ObjectiveError: shapes do not match, numbers are not finite, or labels do not occur in training.
    """
    y = np.asarray(targets)
    if isinstance(inputs, Items | Lazy | Pixels) or is_frame(inputs):
        x: Any = inputs
        shape: tuple[int, ...] = (len(x), 1)
    else:
        x = np.asarray(inputs)
        shape = x.shape
    if len(shape) not in (2, 3, 4) or y.shape != (len(x),) or not len(x):
        raise ObjectiveError(
            f"{what}: needs inputs of shape (n, ...) and targets of shape (n,), not {shape} and {y.shape}"
        )
    if isinstance(x, np.ndarray):
        x = as_inputs(x, what, keep_integers)
    return x, as_targets(y, settings, what, [] if classes is None else classes)


def as_inputs(x: npt.NDArray[Any], what: str, keep_integers: bool = False) -> npt.NDArray[Any]:
    """Numbers as float32, images with a channel dimension; integers as int64 if they stay integers.

    Bytes are pixels and booleans are quantities, so these always become float32.
    """
    if keep_integers and x.dtype.kind in "iu" and x.dtype != np.uint8:
        if x.dtype == np.uint64 and x.size and x.max() > np.iinfo(np.int64).max:
            raise ObjectiveError(f"{what}: integers beyond {np.iinfo(np.int64).max} cannot be inputs")
        return np.ascontiguousarray(x, dtype=np.int64)
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
    return x


def as_targets(y: npt.NDArray[Any], settings: DataSettings, what: str, classes: list[Any]) -> npt.NDArray[Any]:
    """The values of a regression, or the index of each label in ``classes``, which is filled if it is empty."""
    if settings.task == "regression":
        try:
            y = y.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ObjectiveError(f"{what}: targets of a regression must be numbers: {error}") from None
        if not np.isfinite(y).all():
            raise ObjectiveError(f"{what}: {int((~np.isfinite(y)).sum())} targets are missing or not finite")
        return y
    return _numbered(y, what, classes)


def _numbered(labels: npt.NDArray[Any], what: str, classes: list[Any]) -> npt.NDArray[np.int64]:
    """Labels as 0..n - 1, in the order of ``classes``."""
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
