"""How a learning curve is reduced to one number.

Under a constant learning rate, the accuracy at a given epoch is dominated by jitter between epochs, about three times
the noise between seeds. So by default the value of a cell is the accuracy at its best validation epoch; the median of
the last k epochs is the least affected by chance. The last value is available for comparison.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from zonesearch.core.metric import ACCURACY, Metric

__all__ = ["BEST", "Reading"]


@dataclass(frozen=True)
class Reading:
    """``best``, ``last`` or ``median(k)`` of a curve of validation values (one number per epoch, not empty)."""

    kind: str = "best"
    k: int = 1

    @classmethod
    def parse(cls, text: str) -> Reading:
        """Parse ``"best"``, ``"last"`` or ``"median(5)"``.

        Raises:
            ValueError: for any other string.
        """
        if text in ("best", "last"):
            return cls(text)
        found = re.fullmatch(r"median\((\d+)\)", text.strip())
        if found and int(found[1]) >= 1:
            return cls("median", int(found[1]))
        raise ValueError(f'a reading is "best", "last" or "median(k)" with k >= 1, not "{text}"')

    def __call__(self, curve: Sequence[float], metric: Metric = ACCURACY) -> float:
        """The value of ``curve``; "best" uses the direction of ``metric``."""
        if self.kind == "best":
            return metric.best(curve)
        if self.kind == "last":
            return curve[-1]
        return median(curve[-self.k :])

    def __str__(self) -> str:
        return f"median({self.k})" if self.kind == "median" else self.kind


BEST = Reading()
