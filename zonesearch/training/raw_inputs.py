"""New examples in their usual forms: image files, pixels as bytes, tables, arrays.

A network was trained on what its data source provided: pixels in 0..1, the columns of a table as numbers. The usual
forms of the same data are converted to that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.errors import ObjectiveError
from zonesearch.training.data.images import _picture
from zonesearch.training.data.preprocessing import Preprocessing
from zonesearch.training.data.table import is_frame
from zonesearch.training.settings import DataSettings

__all__ = ["Source", "prepared"]

_BYTES = ("mnist", "fashion-mnist", "kmnist", "cifar10", "cifar100", "images")


@dataclass(frozen=True)
class Source:
    """The source of the data, as far as it determines the form of new examples.

    Args:
        white: the value of the brightest pixel in the usual form (255 for bytes, 16 for scikit-learn's digits), if the
            source scaled it to 1; 0 if it did not scale.
        size: side in pixels to which images were resized; 0 if they were not.
    """

    white: float = 0.0
    size: int = 0

    @classmethod
    def of(cls, settings: DataSettings) -> Source:
        """The source of a data set."""
        white = 16.0 if settings.name == "digits" else 255.0 if settings.name in _BYTES else 0.0
        return cls(white, settings.size if settings.name == "images" else 0)

    def read(self, inputs: Any, shape: tuple[int, ...]) -> Any:
        """Examples as the data source provides them: a frame, or numbers of shape (n, *shape).

        Args:
            inputs: image files (paths) or PIL images; numbers of that shape, for images also with channels last,
                without a single channel, or flat; pixels in 0..1, or as bytes if the source scaled those; a frame.
            shape: of one example, as the network takes it.

        Raises:
            ObjectiveError: a file that cannot be read.
        """
        if is_frame(inputs):
            return inputs
        if isinstance(inputs, str | os.PathLike) or hasattr(inputs, "getbands"):
            raise ObjectiveError("pass a list of examples rather than a single one: put it in brackets")
        if isinstance(inputs, list | tuple) and inputs and _is_picture(inputs[0]):
            return np.stack(self._pictures(inputs, shape))
        if hasattr(inputs, "numpy") and hasattr(inputs, "requires_grad"):
            inputs = inputs.numpy(force=True)
        x = np.asarray(inputs)
        if self.white and x.size and (x.dtype.kind in "iu" or (x.dtype.kind == "f" and x.max() > 1)):
            x = (x / np.float32(self.white)).astype(np.float32)
        return _shaped(x, shape)

    def _pictures(self, inputs: Sequence[Any], shape: tuple[int, ...]) -> list[npt.NDArray[np.float32]]:
        if len(shape) != 3:
            raise ObjectiveError(f"the network takes examples of shape {shape}, not images")
        made = []
        for each in inputs:
            pixels = _pixels(each, self.size)
            if shape[0] == 1 and pixels.shape[2] == 3:
                raise ObjectiveError("the network takes grey images, but a coloured one was given; convert it to grey")
            if shape[0] == 3 and pixels.shape[2] == 1:
                pixels = np.repeat(pixels, 3, axis=2)
            x = pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
            if x.shape != shape:
                raise ObjectiveError(f"an image of {x.shape[1]} x {x.shape[2]} pixels was given, not {shape[1]} x "
                                     f"{shape[2]}; resize it")  # fmt: skip
            made.append(x)
        return made


def _is_picture(value: Any) -> bool:
    return isinstance(value, str | os.PathLike) or hasattr(value, "getbands")


def _pixels(given: Any, size: int) -> npt.NDArray[np.uint8]:
    """(height, width, 1 or 3), from a file or a PIL image."""
    if isinstance(given, str | os.PathLike):
        try:
            return _picture(Path(given).read_bytes(), size)
        except (OSError, ValueError, SyntaxError) as error:
            raise ObjectiveError(f"image {given} cannot be read: {error}") from None
    file = BytesIO()
    given.save(file, format="PNG")
    return _picture(file.getvalue(), size)


def _shaped(x: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Images in the order (channels, height, width), converted from other usual orders."""
    if len(shape) != 3 or x.shape[1:] == shape:
        return x
    if x.shape[1:] == (*shape[1:], shape[0]):
        return x.transpose(0, 3, 1, 2)
    if x.ndim == 2 and x.shape[1] == int(np.prod(shape)):
        return x.reshape(len(x), *shape)
    return x


def prepared(inputs: Any, source: Source, preprocessing: Preprocessing) -> npt.NDArray[Any]:
    """Examples as the network's module takes them: checked, of shape (n, *shape), not yet normalised.

    Raises:
        ObjectiveError: they do not match the network's training data.
    """
    shape = preprocessing.shape
    if preprocessing.kind == "collated":
        raise ObjectiveError(f"these examples are batched by {preprocessing.collate}: call .module on what it gives")
    x = source.read(inputs, shape)
    if preprocessing.columns is not None:
        if not is_frame(x):
            raise ObjectiveError(f"a table with the columns {', '.join(preprocessing.columns.names)} is needed")
        return preprocessing.columns.apply(x)
    if is_frame(x):
        x = x.to_numpy()
    if len(shape) == 3 and shape[0] == 1 and x.shape[1:] == shape[1:]:
        x = x[:, None]
    if x.ndim != len(shape) + 1 or x.shape[1:] != shape:
        raise ObjectiveError(f"examples of shape {shape} are needed, of which there are n: (n, "
                             f"{', '.join(map(str, shape))}), not {x.shape}")  # fmt: skip
    if preprocessing.kind == "integers":
        if x.dtype.kind not in "iu":
            raise ObjectiveError(f"the network takes whole numbers, not {x.dtype}")
        return np.ascontiguousarray(x, dtype=np.int64)
    try:
        x = np.ascontiguousarray(x, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ObjectiveError(f"inputs must be numbers: {error}") from None
    if not len(x):
        raise ObjectiveError("there are no examples to predict")
    bad = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
    if bad.any():
        raise ObjectiveError(f"example {int(bad.argmax())} holds a number that is missing or not finite; fill it")
    return x
