"""From raw inputs to network inputs, fitted on the training part alone, as plain data that can be stored.

Applying a trained network to new examples takes the same steps: the columns of a table with their fill values and
categories, mean and standard deviation, the names of the classes, the scale of a regression's target. This frozen
object holds all of them; its description consists of lists, numbers and strings only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from zonesearch.errors import ObjectiveError
from zonesearch.training.data.table import Columns, is_frame

__all__ = ["Kind", "Preprocessing", "statistics"]

Kind = Literal["numbers", "integers", "collated"]
Floats = npt.NDArray[np.float32]

_LEAST = np.float32(1e-6)  # deviation


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of examples before a network sees them.

    Args:
        kind: ``numbers`` are normalised; ``integers`` (token ids, categories) stay as they are; ``collated`` examples
            are batched by a function of the user.
        shape: of one example as a network sees it; empty for collated examples.
        mean, deviation: per channel for images (channels, height, width), otherwise per column; empty if nothing is
            normalised.
        columns: how the columns of a table are encoded as numbers; None for arrays.
        classes: their names in the order of the network's scores; empty for a regression.
        scale: mean and standard deviation by which the target of a regression was standardised.
        collate: the function of collated examples.
    """

    kind: Kind = "numbers"
    shape: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    columns: Columns | None = None
    classes: tuple[Any, ...] = ()
    scale: tuple[float, float] = (0.0, 1.0)
    collate: str = ""

    def apply(self, inputs: Any) -> npt.NDArray[Any]:
        """Examples as a network takes them.

        Args:
            inputs: a frame with the columns of the table, or numbers of shape (n, *shape) with pixels in 0..1; a single
                channel may be left out.

        Returns:
            Shape (n, *shape), float32, or int64 if integers stay integers.

        Raises:
            ObjectiveError: they do not match the network's training data.
        """
        if self.kind == "collated":
            raise ObjectiveError(f"these examples are batched by {self.collate}; call it on them")
        if self.columns is not None:
            if not is_frame(inputs):
                raise ObjectiveError(f"a table with the columns {', '.join(self.columns.names)} is needed")
            x: npt.NDArray[Any] = self.columns.apply(inputs)
        else:
            x = np.asarray(inputs)
        if len(self.shape) == 3 and self.shape[0] == 1 and x.shape[1:] == self.shape[1:]:
            x = x[:, None]
        if x.shape[1:] != self.shape:
            raise ObjectiveError(f"examples of shape {self.shape} are needed, not {x.shape[1:]}")
        if self.kind == "integers":
            if x.dtype.kind not in "iu":
                raise ObjectiveError(f"the network takes whole numbers, not {x.dtype}")
            return np.ascontiguousarray(x, dtype=np.int64)
        return self.normalise(x.astype(np.float32, copy=False))

    def normalise(self, x: Floats) -> Floats:
        """Numbers of shape (n, *shape) minus their mean, divided by their standard deviation."""
        along = (1, -1, *(1,) * (x.ndim - 2))
        mean, deviation = (np.array(a, dtype=np.float32).reshape(along) for a in (self.mean, self.deviation))
        return np.ascontiguousarray((x - mean) / deviation, dtype=np.float32)

    def describe(self) -> dict[str, Any]:
        """The steps as plain data, which :meth:`from_description` reads back."""
        return {
            "kind": self.kind,
            "shape": list(self.shape),
            "mean": list(self.mean),
            "deviation": list(self.deviation),
            "columns": None if self.columns is None else self.columns.describe(),
            "classes": list(self.classes),
            "scale": list(self.scale),
            "collate": self.collate,
        }

    @classmethod
    def from_description(cls, described: Mapping[str, Any]) -> Preprocessing:
        """The inverse of :meth:`describe`."""
        columns = described.get("columns")
        return cls(
            kind=described.get("kind", "numbers"),
            shape=tuple(described.get("shape", ())),
            mean=tuple(described.get("mean", ())),
            deviation=tuple(described.get("deviation", ())),
            columns=None if columns is None else Columns.from_description(columns),
            classes=tuple(described.get("classes", ())),
            scale=tuple(described.get("scale", (0.0, 1.0))),
            collate=described.get("collate", ""),
        )


def statistics(x: Floats) -> tuple[tuple[float, ...], tuple[float, ...], npt.NDArray[np.bool_]]:
    """Mean and standard deviation of each channel or column, and which of them are constant (deviation 1).

    A constant is not scaled: divided by a deviation close to zero, a different value in validation or in use would
    become a number in the millions.
    """
    axes = (0, *range(2, x.ndim))
    mean = x.mean(axis=axes, dtype=np.float32)
    deviation = x.std(axis=axes, dtype=np.float32)
    constant = deviation < _LEAST
    if constant.any():
        constant &= x.max(axis=axes) == x.min(axis=axes)
    deviation = np.where(constant, np.float32(1), np.maximum(deviation, _LEAST))
    return _floats(mean), _floats(deviation), constant


def _floats(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
