"""Schedules that rise and fall repeatedly: cyclical rates (Smith 2015) and warm restarts (SGDR)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from zonesearch.errors import StudyError
from zonesearch.training.schedules.schedule import Fall, Schedule, nearest

__all__ = ["ExpRange", "Sgdr", "Triangular", "Triangular2"]


@dataclass(frozen=True)
class Triangular(Schedule):
    """Linearly from ``low`` to ``high`` and back, ``half_cycle`` epochs each way; both rates are absolute.

    Equal to torch's ``CyclicLR(cycle_momentum=False)``.
    """

    low: float
    high: float
    half_cycle: float = 2
    name: ClassVar[str] = "triangular"

    def __post_init__(self) -> None:
        self._number("low", least=0)
        self._number("high", above=0)
        self._number("half_cycle", above=0)
        if self.high < self.low:
            raise StudyError(f'schedule "{self.name}": high must be at least low, but {self.high} < {self.low}')

    @property
    def uses_base(self) -> bool:  # type: ignore[override]
        """False for this class; a plug-in's subclass may have rates of its own."""
        return type(self).rate is not Triangular.rate

    def falls(self, epochs: float) -> tuple[Fall, ...]:
        """The second halves of the triangles."""
        return self._falls(0, 2 * self.half_cycle, epochs, self.half_cycle)

    def neighbours(self, epochs: float) -> Iterator[Schedule]:
        """Triangles of whole epochs."""
        for whole in nearest(2 * self.half_cycle):
            yield replace(self, half_cycle=whole / 2)

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """``low + (high - low) amplitude max(0, 1 - x)``.

        With ``x = |t / stepsize - 2 cycle + 1|`` and ``cycle = floor(1 + t / (2 stepsize))``.
        """
        stepsize = self.half_cycle * steps_per_epoch
        cycle = math.floor(1 + step / (2 * stepsize))
        x = abs(step / stepsize - 2 * cycle + 1)
        return self.low + (self.high - self.low) * max(0.0, 1 - x) * self._amplitude(step, cycle)

    def _amplitude(self, step: int, cycle: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Triangular2(Triangular):
    """Triangular with an amplitude that halves after every cycle."""

    name: ClassVar[str] = "triangular2"

    def _amplitude(self, step: int, cycle: int) -> float:
        return 0.5 ** (cycle - 1)


@dataclass(frozen=True)
class ExpRange(Triangular):
    """Triangular with an amplitude that is multiplied by ``gamma`` after every step (not epoch), as in the source."""

    gamma: float = 0.99994
    name: ClassVar[str] = "exp_range"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("gamma", above=0, most=1)

    def _amplitude(self, step: int, cycle: int) -> float:
        return float(self.gamma**step)


@dataclass(frozen=True)
class Sgdr(Schedule):
    """Cosine decay with warm restarts (Loshchilov & Hutter 2016, eq. 5).

    Args:
        low: the absolute rate at the end of a cycle; its start is the base rate.
        period: length of the first cycle in epochs.
        multiply: ratio of the length of a cycle to that of the previous one.
        decay: ratio of a peak to the previous one (never below ``low``).
    """

    low: float = 0.0
    period: float = 10
    multiply: float = 1
    decay: float = 1.0
    name: ClassVar[str] = "sgdr"

    def __post_init__(self) -> None:
        self._number("low", least=0)
        self._number("period", above=0)
        self._number("multiply", least=1)
        self._number("decay", above=0, most=1)

    def falls(self, epochs: float) -> tuple[Fall, ...]:
        """The cycles that end within the training."""
        found: list[Fall] = []
        start, length = 0.0, self.period
        while start + length <= epochs + 1e-9:
            found.append((start, start + length))
            start, length = start + length, length * self.multiply
        return tuple(found)

    def neighbours(self, epochs: float) -> Iterator[Schedule]:
        """First cycles of whole epochs, then all cycles of whole epochs."""
        for whole in nearest(self.period):
            yield replace(self, period=whole)
        for whole in nearest(self.period):
            yield replace(self, period=whole, multiply=round(self.multiply))

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """``low + (peak - low) (1 + cos(pi T_cur / T_i)) / 2``, with ``peak = base decay^i`` in cycle i."""
        since, length, peak = float(step), self.period * steps_per_epoch, base
        if self.multiply == 1:
            cycle = since // length
            since, peak = since - cycle * length, peak * float(self.decay**cycle)
        while since >= length:
            since, length, peak = since - length, length * self.multiply, peak * self.decay
        return self.low + (max(peak, self.low) - self.low) * (1 + math.cos(math.pi * since / length)) / 2
