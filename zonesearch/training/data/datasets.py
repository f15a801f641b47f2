"""Torch data sets, read one example at a time into arrays: what most training scripts already have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, Subset, TensorDataset

from zonesearch.errors import ObjectiveError
from zonesearch.training.data.raw import Indices, Items, Lazy
from zonesearch.training.data.table import is_frame

__all__ = ["as_arrays"]


def as_arrays(part: Any, collate: bool = False, lazily: bool = False) -> tuple[object, object]:
    """(inputs, targets) from such a pair, or from a ``torch.utils.data.Dataset`` of (input, target).

    PIL images become (channels, height, width), pixels in 0..1; tensors and arrays stay as they are.

    Args:
        part: the pair, or the data set.
        collate: whether examples stay as they are, for a collate function.
        lazily: whether only some of the examples will be needed; those of a data set that lists all its targets are
            then read once it is known which.
    """
    if not isinstance(part, Dataset):
        inputs, targets = part
        if collate:
            return Items([(x,) for x in inputs]), _array(targets)
        if isinstance(inputs, list | tuple) and any(hasattr(x, "shape") for x in inputs):
            inputs = _stacked(inputs)
        return (inputs if is_frame(inputs) else _array(inputs)), _array(targets)
    n = len(part)  # type: ignore[arg-type]
    targets = _targets_of(part) if lazily and not collate else None
    if targets is not None and targets.shape == (n,) and n and _array(part[0][1]) == targets[0]:
        return Lazy(n, 0, _Reader(part, targets).read), targets
    examples = [part[i] for i in range(n)]
    if collate:
        return Items([_inputs(example) for example in examples]), np.asarray([_array(e[-1]) for e in examples])
    found, targets = zip(*((x, y) for x, y in examples), strict=True)
    return _stacked(found), np.asarray([_array(y) for y in targets])


class _Reader:
    """Reads examples of a data set, and checks that their targets are those that the data set lists."""

    def __init__(self, part: Any, targets: npt.NDArray[Any]) -> None:
        self._part, self._targets = part, targets

    def read(self, wanted: Mapping[int, Indices]) -> dict[int, tuple[object, Indices]]:
        inputs = []
        for i in wanted[0].tolist():
            x, y = self._part[i]
            if _array(y) != self._targets[i]:
                raise ObjectiveError(
                    f"example {i} of the data set has the target {_array(y)}, but its targets say {self._targets[i]}; "
                    "make them agree"
                )
            inputs.append(x)
        return {0: (_stacked(inputs), wanted[0])}


def _targets_of(part: Any) -> npt.NDArray[Any] | None:
    """All targets of a data set that lists them without reading its examples; None if it does not."""
    if isinstance(part, TensorDataset):
        return np.asarray(_array(part.tensors[-1]))
    if isinstance(part, Subset):
        whole = _targets_of(part.dataset)
        return None if whole is None else whole[np.asarray(part.indices, dtype=np.int64)]
    if getattr(part, "target_transform", None) is not None:
        return None
    for name in ("targets", "labels"):
        values = getattr(part, name, None)
        if isinstance(values, Sequence) or hasattr(values, "__array__"):
            return np.asarray(_array(values))
    return None


def _inputs(example: Any) -> tuple[Any, ...]:
    """Everything in an example except the last item, its target."""
    if not isinstance(example, list | tuple) or len(example) < 2:
        raise TypeError(f"an example is (input, target), not {type(example).__name__}")
    return tuple(example[:-1])


def _stacked(values: Sequence[Any]) -> npt.NDArray[Any]:
    inputs = [_input(x) for x in values]
    shapes = {x.shape for x in inputs}
    if len(shapes) > 1:
        a, b = sorted(shapes)[:2]
        raise ValueError(
            f"examples have several shapes, {a} and {b}; name a function that batches them as [data] collate "
            '= "package.module:function", or give them the same shape'
        )
    return np.stack(inputs)


def _input(value: Any) -> npt.NDArray[Any]:
    if not hasattr(value, "getbands"):  # not a PIL image
        return np.asarray(_array(value))
    pixels = np.asarray(value, dtype=np.float32) / np.float32(255)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _array(values: Any) -> Any:
    return values.numpy(force=True) if hasattr(values, "numpy") and hasattr(values, "requires_grad") else values
