"""The schedule of a range test: every step a higher rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from zonesearch.domain.lr_range import sweep_rates
from zonesearch.training.schedules.schedule import Schedule

__all__ = ["Sweep"]


@dataclass(frozen=True)
class Sweep(Schedule):
    """From ``low`` to ``high`` (both absolute) within ``n_steps`` steps, by equal factors or equal steps.

    A training under it is a range test: it ends with the last of these steps, and its curve holds the loss of each.
    """

    low: float = 1e-6
    high: float = 1.0
    n_steps: int = 150
    kind: str = "exponential"
    name: ClassVar[str] = "sweep"

    def __post_init__(self) -> None:
        self.rates()

    def rates(self) -> list[float]:
        """All its rates, shape (n_steps,).

        Raises:
            StudyError: when the arguments make no sweep.
        """
        return sweep_rates(self.low, self.high, self.n_steps, self.kind)  # type: ignore[arg-type]

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """``low (high / low)^(t / (n_steps - 1))``, or the same along a line; ``high`` beyond."""
        share = min(1.0, step / (self.n_steps - 1))
        if self.kind == "linear":
            return self.low + (self.high - self.low) * share
        return self.low * float((self.high / self.low) ** share)
