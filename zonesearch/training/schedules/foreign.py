"""A plug-in's schedule that has little more than a ``rate``, with the rest of the interface added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from zonesearch.errors import StudyError
from zonesearch.training.schedules.schedule import Schedule

__all__ = ["Foreign", "adapted"]


@dataclass(frozen=True)
class Foreign(Schedule):
    """For what the plug-in does not declare, the safe case is assumed: its rate may change at every step and depend on
    the length of the training.

    Args:
        spec: as written in a study file; two with the same text are the same schedule.
        inner: the plug-in's own object.
    """

    spec: str
    inner: Any = field(compare=False)
    name = "foreign"

    @property
    def within_epoch(self) -> bool:  # type: ignore[override]
        return bool(getattr(self.inner, "within_epoch", True))

    @property
    def uses_history(self) -> bool:  # type: ignore[override]
        return bool(getattr(self.inner, "uses_history", False))

    @property
    def uses_horizon(self) -> bool:
        return bool(getattr(self.inner, "uses_horizon", True))

    def store_points(self, epochs: int) -> tuple[int, ...] | None:
        """Those of the plug-in; None if it has no cycles."""
        points = getattr(self.inner, "store_points", None)
        found = None if points is None else points(epochs)
        return None if found is None else tuple(found)

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """The plug-in's."""
        return float(self.inner.rate(base, step, steps_per_epoch, epochs, history))

    def __str__(self) -> str:
        return self.spec


def adapted(made: Any, spec: str) -> Schedule:
    """``made`` as a schedule: itself, or a plug-in's object wrapped to have the whole interface.

    Raises:
        StudyError: it has no ``rate``.
    """
    if isinstance(made, Schedule):
        return made
    if not callable(getattr(made, "rate", None)):
        raise StudyError(
            f'schedule "{spec}": {type(made).__qualname__} has no rate(base, step, steps_per_epoch, epochs)'
        )
    return Foreign(spec, made)
