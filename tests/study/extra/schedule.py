"""A learning rate that is divided by one more than the number of epochs."""

from __future__ import annotations

from collections.abc import Sequence


class Harmonic:
    uses_horizon = False

    def __init__(self, by: float = 1.0) -> None:
        self.by = by

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        return base / (1 + self.by * (step // steps_per_epoch))
