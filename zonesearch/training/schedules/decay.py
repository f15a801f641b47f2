"""Decaying schedules: constant, step, plateau, linear, exponential, cosine; and one-cycle, which rises once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from zonesearch.training.schedules.schedule import Schedule

__all__ = ["Constant", "Cosine", "Exponential", "Linear", "OneCycle", "Plateau", "Step"]


@dataclass(frozen=True)
class Constant(Schedule):
    """The base rate throughout."""

    name: ClassVar[str] = "constant"
    within_epoch: ClassVar[bool] = False

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """``base``."""
        return base


@dataclass(frozen=True)
class Step(Schedule):
    """Multiply the rate by ``factor`` every ``every`` epochs."""

    every: float = 7
    factor: float = 0.5
    name: ClassVar[str] = "step"

    def __post_init__(self) -> None:
        self._number("every", above=0)
        self._number("factor", above=0, most=1)

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """``base factor^floor(t / every)``."""
        return base * float(self.factor ** (step // max(1, round(self.every * steps_per_epoch))))


@dataclass(frozen=True)
class Plateau(Schedule):
    """Multiply the rate by ``factor`` when validation accuracy has not improved for ``patience`` epochs.

    The first accuracy counts as an improvement; after a cut the count restarts. Equal to torch's
    ``ReduceLROnPlateau(mode="max", patience=patience - 1, threshold_mode="abs")``, whose patience is off by one, and to
    Keras' callback.

    Args:
        patience: epochs without a better accuracy, 1 or more.
        factor: by which the rate is multiplied at each cut.
        threshold: an accuracy must exceed the best so far by more than this.
    """

    patience: int = 3
    factor: float = 0.5
    threshold: float = 1e-4
    name: ClassVar[str] = "plateau"
    within_epoch: ClassVar[bool] = False
    uses_history: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._number("patience", least=1)
        self._number("factor", above=0, most=1)
        self._number("threshold", least=0)

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """``base factor^cuts``, with the number of cuts that follow from ``history``."""
        best, waited, cuts = -math.inf, 0, 0
        for accuracy in history:
            if accuracy > best + self.threshold:
                best, waited = accuracy, 0
            else:
                waited += 1
            if waited >= self.patience:
                cuts, waited = cuts + 1, 0
        return base * float(self.factor**cuts)


@dataclass(frozen=True)
class _Horizon(Schedule):
    """A decay over ``length`` epochs; over the whole training by default."""

    length: float | None = None

    def __post_init__(self) -> None:
        self._number("length", above=0, optional=True)

    @property
    def uses_horizon(self) -> bool:
        return self.length is None

    def _share(self, step: int, steps_per_epoch: int, epochs: float) -> float:
        """The completed fraction t / T of the decay, at most 1."""
        return min(1.0, step / ((epochs if self.length is None else self.length) * steps_per_epoch))


@dataclass(frozen=True)
class Linear(_Horizon):
    """Linear decay to zero over ``length`` epochs (the whole training by default)."""

    name: ClassVar[str] = "linear"

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """``base (1 - t / T)``."""
        return base * (1 - self._share(step, steps_per_epoch, epochs))


@dataclass(frozen=True)
class Exponential(_Horizon):
    """Exponential decay by a factor e every ``length`` epochs (over the whole training by default)."""

    name: ClassVar[str] = "exponential"

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """``base exp(-t / T)``, also beyond T."""
        length = epochs if self.length is None else self.length
        return base * math.exp(-step / (length * steps_per_epoch))


@dataclass(frozen=True)
class Cosine(_Horizon):
    """Half a cosine wave from the base down to ``low`` over ``length`` epochs (the whole training by default)."""

    low: float = 0.0
    name: ClassVar[str] = "cosine"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("low", least=0)

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """``low + (base - low) (1 + cos(pi t / T)) / 2`` (Loshchilov & Hutter 2016, eq. 5, one cycle)."""
        share = self._share(step, steps_per_epoch, epochs)
        return self.low + (base - self.low) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to the base rate, then down far below the initial rate, in half cosine waves (Smith & Topin 2018).

    Equal to torch's ``OneCycleLR(max_lr=base, cycle_momentum=False)`` over the whole training.

    Args:
        rise: fraction of the training in which the rate rises.
        start_divisor: the first rate is base / start_divisor.
        end_divisor: the last rate is the first one / end_divisor.
    """

    rise: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4
    name: ClassVar[str] = "onecycle"

    def __post_init__(self) -> None:
        self._number("rise", above=0, most=1)
        self._number("start_divisor", least=1)
        self._number("end_divisor", least=1)

    @property
    def uses_horizon(self) -> bool:
        return True

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """Half a cosine wave to ``base`` at step rise T - 1, half a wave down to the end at step T - 1."""
        n_steps = epochs * steps_per_epoch
        top = self.rise * n_steps - 1
        first = base / self.start_divisor
        if step <= top:
            return _half_wave(first, base, step / top if top > 0 else 1.0)
        below = n_steps - 1 - top
        return _half_wave(base, first / self.end_divisor, min(1.0, (step - top) / below) if below > 0 else 1.0)


def _half_wave(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
