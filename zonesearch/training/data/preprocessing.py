"""From raw inputs to what a network is given, fitted on the training part alone: plain data that can be stored.

Whoever takes a network home needs the same steps for new examples: the columns of a table with their fillings and
categories, mean and deviation, the names of the classes, the scale of a regression's target. All of it is here, in one
frozen object whose description holds lists, numbers and texts only.
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
    """What is done to examples before a network sees them.

    Args:
        kind: ``numbers`` are normalised; ``integers`` (token ids, categories) stay as they are; ``collated`` examples
            are made into batches by a function of the user's.
        shape: of one example as a network sees it; empty for collated ones.
        mean, deviation: per channel of images (channels, height, width), per column of anything else; empty where
            nothing is normalised.
        columns: of a table, by which it becomes numbers; None for arrays.
        classes: their names in the order of the network's scores; empty for a regression.
        scale: mean and deviation by which the target of a regression was standardised.
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
        """Examples as a network is to be given them.

        Args:
            inputs: a frame with the columns of the table; or numbers of shape (n, *shape), pixels as 0..1, a single
                channel may be left out.

        Returns:
            Of shape (n, *shape), float32, or int64 where integers stay integers.

        Raises:
            ObjectiveError: they do not fit what the network was trained on.
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
        """Numbers of shape (n, *shape) less their mean, over their deviation."""
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
    """Mean and deviation of each channel or column, and which of them are constant: their deviation is 1.

    A constant is left at its size: over a deviation of next to nothing another value than the constant, in validation
    or in use, would be a number of millions.
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
