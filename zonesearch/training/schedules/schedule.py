"""The interface of schedules."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import Field, fields, is_dataclass
from typing import Any, ClassVar

from zonesearch.errors import StudyError

__all__ = ["Fall", "Schedule", "nearest"]

Fall = tuple[float, float]
"""Beginning and end of a fall of the rate, in epochs."""


class Schedule(ABC):
    """A learning rate as a pure function of the step. Implementations are frozen dataclasses.

    Attributes:
        name: in study files.
        within_epoch: whether the rate may change within an epoch.
        uses_history: whether it reads the validation accuracies so far.
        uses_base: whether it uses the recipe's own learning rate.
    """

    name: ClassVar[str]
    within_epoch: ClassVar[bool] = True
    uses_history: ClassVar[bool] = False
    uses_base: ClassVar[bool] = True

    @abstractmethod
    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """The learning rate of optimizer step ``step``.

        Args:
            base: the recipe's own learning rate.
            step: 0 for the first step of the training.
            steps_per_epoch: optimizer steps in one epoch.
            epochs: the horizon, i.e. the length of the whole training.
            history: validation score of every finished epoch; larger is better. It is the accuracy or the metric in its
                place, negated if that is minimized.
        """

    @property
    def uses_horizon(self) -> bool:
        """Whether the rates of the first epochs depend on the length of the training.

        If so, a training of 80 epochs does not contain one of 40.
        """
        return False

    def falls(self, epochs: float) -> tuple[Fall, ...] | None:
        """The falls of the rate, each from its peak to the low end, where an average or ensemble takes a member.

        In epochs, fractions allowed, ascending, with low ends above 0 and up to ``epochs``; None for a schedule without
        cycles. :func:`~zonesearch.training.schedules.members.members` finds the whole epochs that are close enough.
        """
        return None

    def store_points(self, epochs: int) -> tuple[int, ...] | None:
        """The epochs, counted from 1, after which a member is taken, if a schedule without cycles specifies them."""
        return None

    @property
    def has_members(self) -> bool:
        """Whether the schedule itself specifies the epochs after which an average or ensemble takes a member."""
        return self.falls(1.0) is not None or self.store_points(1) is not None

    def neighbours(self, epochs: float) -> Iterator[Schedule]:
        """The same schedule with cycles that end with an epoch, the closest first; empty if there are none."""
        yield from ()

    def __str__(self) -> str:
        """The specification that :func:`~zonesearch.training.schedules.parse` reads back."""
        settings: tuple[Field[Any], ...] = fields(self) if is_dataclass(self) else ()
        given = [(field.name, getattr(self, field.name)) for field in settings]
        named = ", ".join(
            f"{name}={value if isinstance(value, Schedule) else repr(value)}"
            for name, value in given
            if value is not None
        )
        return f"{self.name}({named})" if named else self.name

    @staticmethod
    def _falls(first: float, period: float, epochs: float, fall: float) -> tuple[Fall, ...]:
        """Cycles of length ``period`` from ``first`` on, whose rate falls during their last ``fall`` epochs."""
        n = max(0, math.floor((epochs - first) / period + 1e-9))
        return tuple((first + (i + 1) * period - fall, first + (i + 1) * period) for i in range(n))

    def _number(self, argument: str, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf,
                optional: bool = False) -> None:  # fmt: skip
        """Check that an argument is a finite number within its range.

        Raises:
            StudyError: naming the schedule, the argument and what it must be.
        """
        value = getattr(self, argument)
        if value is None and optional:
            return
        limits = [("above", above), ("at least", least), ("at most", most)]
        wanted = "a number" + "".join(f" {word} {limit:g}" for word, limit in limits if math.isfinite(limit))
        right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not right or value <= above or value < least or value > most:
            raise StudyError(f'schedule "{self.name}": {argument} must be {wanted}, not {value!r}')


def nearest(value: float, n: int = 10) -> list[int]:
    """The ``n`` positive integers closest to ``value``, the closest first and the larger of ties first."""
    around = range(max(1, math.floor(value) - n), math.ceil(value) + n + 1)
    return sorted(around, key=lambda whole: (abs(whole - value), -whole))[:n]
