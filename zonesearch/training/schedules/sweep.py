"""The schedule of a range test, which raises the rate at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

from zonesearch.statistics.lr_range import sweep_rates
from zonesearch.training.schedules.schedule import Schedule

__all__ = ["Sweep"]


@dataclass(frozen=True)
class Sweep(Schedule):
    """From ``low`` to ``high`` within ``n_steps`` steps, by equal factors or equal steps.

    A training under it is a range test: it ends with the last of these steps, and its curve holds the loss of each.
    Both rates replace the recipe's own and are subject to the same batch rule.
    """

    low: float = 1e-6
    high: float = 1.0
    n_steps: int = 150
    kind: str = "exponential"
    name: ClassVar[str] = "sweep"
    uses_base: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.rates()

    def rates(self) -> list[float]:
        """All its rates, shape (n_steps,).

        Raises:
            StudyError: the arguments do not make a sweep.
        """
        return list(_rates(self))

    def times(self, tie: float) -> Sweep:
        """The sweep with every rate multiplied, as by the batch rule."""
        return self if tie == 1 else replace(self, low=self.low * tie, high=self.high * tie)

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """``low (high / low)^(t / (n_steps - 1))``, or the linear equivalent; ``high`` afterwards."""
        return _rates(self)[min(step, self.n_steps - 1)]


@cache
def _rates(sweep: Sweep) -> tuple[float, ...]:
    return tuple(sweep_rates(sweep.low, sweep.high, sweep.n_steps, sweep.kind))  # type: ignore[arg-type]
