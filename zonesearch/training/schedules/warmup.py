"""A warm-up before any other schedule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from zonesearch.errors import StudyError
from zonesearch.training.schedules.decay import Constant
from zonesearch.training.schedules.schedule import Fall, Schedule, nearest
from zonesearch.training.schedules.sweep import Sweep

__all__ = ["Warmup"]


@dataclass(frozen=True)
class Warmup(Schedule):
    """Rise linearly to the first rate of ``then``, which begins when the warm-up ends (Goyal et al. 2017).

    ``then`` counts epochs and accuracies from the end of the warm-up; its horizon is the rest of the training.
    """

    epochs: float = 1
    then: Schedule = field(default_factory=Constant)
    name: ClassVar[str] = "warmup"

    def __post_init__(self) -> None:
        self._number("epochs", above=0)
        if not isinstance(self.then, Schedule):
            raise StudyError(f'schedule "warmup": then must be a schedule such as then=cosine, not {self.then!r}')
        if isinstance(self.then, Sweep):
            raise StudyError('schedule "warmup": then may be any schedule but a sweep, which is a range test by itself')

    @property
    def within_epoch(self) -> bool:  # type: ignore[override]
        return True

    @property
    def uses_history(self) -> bool:  # type: ignore[override]
        return self.then.uses_history

    @property
    def uses_base(self) -> bool:  # type: ignore[override]
        return self.then.uses_base

    @property
    def uses_horizon(self) -> bool:
        return self.then.uses_horizon

    def falls(self, epochs: float) -> tuple[Fall, ...] | None:
        """Those of ``then``, shifted by the warm-up."""
        falls = self.then.falls(max(0.0, epochs - self.epochs))
        return falls and tuple((peak + self.epochs, low + self.epochs) for peak, low in falls)

    def store_points(self, epochs: int) -> tuple[int, ...] | None:
        """Those of ``then``, shifted by the warm-up, rounded up to a whole epoch."""
        points = self.then.store_points(max(0, math.floor(epochs - self.epochs)))
        return points and tuple(math.ceil(point + self.epochs) for point in points)

    def neighbours(self, epochs: float) -> Iterator[Schedule]:
        """A warm-up of whole epochs, with the neighbours of ``then``."""
        for whole in nearest(self.epochs, 2):
            rest = max(1.0, epochs - whole)
            for then in (self.then, *self.then.neighbours(rest)):
                yield replace(self, epochs=whole, then=then)

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """``first (step + 1) / n`` during the n steps of the warm-up, then that of ``then``."""
        n_steps = round(self.epochs * steps_per_epoch)
        rest = max(epochs - self.epochs, 1 / steps_per_epoch)
        if step < n_steps:
            return self.then.rate(base, 0, steps_per_epoch, rest, ()) * (step + 1) / n_steps
        return self.then.rate(base, step - n_steps, steps_per_epoch, rest, history[math.ceil(self.epochs) :])
