"""Schedules that yield several networks from one training: snapshots, fast geometric ensembles, weight averaging."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from zonesearch.errors import StudyError
from zonesearch.training.schedules.schedule import Fall, Schedule, nearest

__all__ = ["Fge", "Snapshot", "Swa"]


@dataclass(frozen=True)
class Snapshot(Schedule):
    """``cycles`` equal cosine cycles over the training, a network at the end of each (Huang et al. 2017, eq. 2)."""

    cycles: int = 5
    name: ClassVar[str] = "snapshot"

    def __post_init__(self) -> None:
        self._number("cycles", least=1)
        if self.cycles != int(self.cycles):
            raise StudyError(f'schedule "{self.name}": cycles must be a whole number, not {self.cycles}')

    @property
    def uses_horizon(self) -> bool:
        return True

    def falls(self, epochs: float) -> tuple[Fall, ...]:
        """The cycles; the last one ends with the training."""
        n = int(self.cycles)
        return tuple((epochs * i / n, epochs * (i + 1) / n) for i in range(n))

    def neighbours(self, epochs: float) -> Iterator[Schedule]:
        """Other numbers of cycles."""
        for cycles in sorted(range(1, math.floor(epochs) + 1), key=lambda n: (abs(n - self.cycles), -n)):
            yield replace(self, cycles=cycles)

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """``base / 2 (cos(pi mod(t - 1, ceil(T/M)) / ceil(T/M)) + 1)`` with ``t = step + 1``."""
        length = math.ceil(epochs * steps_per_epoch / self.cycles)
        return base / 2 * (math.cos(math.pi * (step % length) / length) + 1)


@dataclass(frozen=True)
class _FromCheckpoint(Schedule):
    """An ordinary training for the fraction ``start`` of its budget, then something else.

    The budget is ``length`` epochs, by default the whole training. With a given length, a longer training only extends
    the part after ``start``.
    """

    low: float
    length: float | None = None

    def __post_init__(self) -> None:
        self._number("low", least=0)
        self._number("length", above=0, optional=True)

    @property
    def uses_horizon(self) -> bool:
        return self.length is None

    def _budget(self, epochs: float) -> float:
        return epochs if self.length is None else self.length

    def _starts(self, start: float, epochs: float) -> list[float]:
        """Fractions of the budget that are whole epochs, the closest to ``start`` first."""
        budget = self._budget(epochs)
        return [round(whole / budget, 4) for whole in nearest(start * budget) if whole < budget]


@dataclass(frozen=True)
class Swa(_FromCheckpoint):
    """The schedule of SWA (Izmailov et al. 2018): base rate, linear decay, then constant or cycles.

    The base rate until half of ``start``, linearly down to ``low`` at nine tenths of it, then ``low``; set once per
    epoch, as published. With ``cycle``, from ``start`` on the rate repeatedly falls linearly from ``high`` to ``low``.

    Args:
        low: absolute rate while weights are averaged.
        start: fraction of the budget after which averaging begins.
        cycle: length in epochs of the cycles after ``start``; by default the rate is constant.
        high: absolute rate at the start of each cycle; by default the base.
    """

    start: float = 0.75
    cycle: float | None = None
    high: float | None = None
    name: ClassVar[str] = "swa"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("start", above=0, most=1)
        self._number("cycle", above=0, optional=True)
        self._number("high", least=self.low, optional=True)

    def falls(self, epochs: float) -> tuple[Fall, ...] | None:
        """The cycles after ``start``; none at a constant rate."""
        if self.cycle is None:
            return None
        return self._falls(self.start * self._budget(epochs), self.cycle, epochs, self.cycle)

    def store_points(self, epochs: int) -> tuple[int, ...]:
        """Every epoch from ``start`` on at a constant rate."""
        first = math.ceil(self.start * self._budget(epochs) - 1e-9)
        return tuple(range(max(1, first), epochs + 1)) if self.cycle is None else ()

    def neighbours(self, epochs: float) -> Iterator[Schedule]:
        """A start and cycles at whole epochs."""
        if self.cycle is not None:
            for cycle in nearest(self.cycle):
                for start in self._starts(self.start, epochs):
                    yield replace(self, cycle=cycle, start=start)

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """The published decay; in a cycle (1 - t) high + t low with t = (mod(i - 1, c) + 1) / c, i counted from 1."""
        start = self.start * self._budget(epochs)
        after = step - round(start * steps_per_epoch)
        if self.cycle is not None and after >= 0:
            length = max(1, round(self.cycle * steps_per_epoch))
            share = (after % length + 1) / length
            return (1 - share) * (base if self.high is None else self.high) + share * self.low
        return _line_down(step // steps_per_epoch / start, base, self.low)


@dataclass(frozen=True)
class Fge(_FromCheckpoint):
    """Fast geometric ensembles (Garipov et al. 2018): triangular cycles from a checkpoint.

    Until ``start`` the linear decay to a hundredth of the base, as published; then from ``high`` to ``low`` and back
    within ``cycle`` epochs, with a network stored at each minimum.

    Args:
        low, high: absolute rates of the triangles.
        length: the budget in epochs; the whole training when not given.
        cycle: epochs of one triangle.
        start: fraction of the budget after which the triangles begin.
    """

    high: float = 0.05
    cycle: float = 2
    start: float = 0.8
    name: ClassVar[str] = "fge"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("high", least=self.low)
        self._number("cycle", above=0)
        self._number("start", above=0, most=1)

    def falls(self, epochs: float) -> tuple[Fall, ...]:
        """The first halves of the triangles."""
        half = self.cycle / 2
        return self._falls(self.start * self._budget(epochs) - half, self.cycle, epochs, half)

    def neighbours(self, epochs: float) -> Iterator[Schedule]:
        """A start and triangle midpoints at whole epochs."""
        for start in self._starts(self.start, epochs):
            yield replace(self, start=start)
        for half in nearest(self.cycle / 2):
            for start in self._starts(self.start, epochs):
                yield replace(self, cycle=2 * half, start=start)

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """(1 - 2t) high + 2t low until t = 1/2, then back, with t = (mod(i - 1, c) + 1) / c, i counted from 1."""
        budget = self._budget(epochs)
        after = step - round(self.start * budget * steps_per_epoch)
        if after < 0:
            return _line_down(step // steps_per_epoch / budget, base, base / 100)
        length = max(1, round(self.cycle * steps_per_epoch))
        t = (after % length + 1) / length
        return self.low + (self.high - self.low) * abs(1 - 2 * t)


def _line_down(share: float, base: float, low: float) -> float:
    """The base until half way, linearly down to ``low`` at nine tenths, then ``low``."""
    return base + (low - base) * min(1.0, max(0.0, (share - 0.5) / 0.4))
