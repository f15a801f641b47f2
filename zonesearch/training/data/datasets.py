"""Data sets of torch, one example at a time, as arrays: what most training scripts already have."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

__all__ = ["as_arrays"]


def as_arrays(part: Any) -> tuple[object, object]:
    """(inputs, targets) of a pair of them, or of a ``torch.utils.data.Dataset`` of (input, target), which is read once.

    Pictures of PIL become (channels, height, width), pixels as 0..1; tensors and arrays stay as they are.
    """
    if not isinstance(part, Dataset):
        return _array(part[0]), _array(part[1])
    examples = [part[i] for i in range(len(part))]  # type: ignore[arg-type]
    inputs, targets = zip(*((x, y) for x, y in examples), strict=True)
    return np.stack([_input(x) for x in inputs]), np.asarray([_array(y) for y in targets])


def _input(value: Any) -> npt.NDArray[Any]:
    if not hasattr(value, "getbands"):  # no picture of PIL
        return np.asarray(_array(value))
    pixels = np.asarray(value, dtype=np.float32) / np.float32(255)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _array(values: Any) -> object:
    return values.numpy(force=True) if hasattr(values, "numpy") and hasattr(values, "requires_grad") else values
