"""The rates of a schedule before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zonesearch.errors import StudyError
from zonesearch.training.schedules.members import members
from zonesearch.training.schedules.parsing import parse
from zonesearch.training.schedules.schedule import Schedule

__all__ = ["Preview", "preview"]


def preview(
    schedule: Schedule, epochs: int, steps_per_epoch: int, base: float, history: Sequence[float] = ()
) -> list[float]:
    """The learning rate of every step, shape (epochs x steps_per_epoch).

    Args:
        schedule, epochs, steps_per_epoch, base: as in :meth:`Schedule.rate`.
        history: assumed validation accuracies, one per epoch, for schedules that read them; by default every epoch is
            an improvement.
    """
    return [
        schedule.rate(base, step, steps_per_epoch, epochs, history[: step // steps_per_epoch])
        for step in range(epochs * steps_per_epoch)
    ]


@dataclass(frozen=True)
class Preview:
    """What ``zonesearch schedule`` shows.

    Args:
        schedule: the full specification, with every argument.
        epochs, steps_per_epoch, learning_rate: as given; the rate is the base.
        learning_rates: one per step.
        note: a remark on what the rates do not show.
        members: the epochs, counted from 1, after which an average or ensemble takes a member; empty if the schedule
            leaves them to ``[averaging]``, or its cycles do not end with an epoch.
    """

    schedule: str
    epochs: int
    steps_per_epoch: int
    learning_rate: float
    learning_rates: tuple[float, ...]
    note: str = ""
    members: tuple[int, ...] = ()

    @classmethod
    def of(cls, spec: str, epochs: int, steps_per_epoch: int, learning_rate: float) -> Preview:
        """The preview of a specification.

        Raises:
            StudyError: the specification cannot be read, or the numbers make no sense.
        """
        schedule = parse(spec)
        for name, value in (("epochs", epochs), ("steps per epoch", steps_per_epoch)):
            if value < 1:
                raise StudyError(f"a schedule is shown over at least 1 of its {name}, not {value}")
        if not learning_rate > 0:
            raise StudyError(f"the learning rate must be above 0, not {learning_rate}")
        note = ""
        if schedule.uses_history:
            note = "cuts depend on validation accuracy; this shows a training that improves in every epoch"
        rates = tuple(preview(schedule, epochs, steps_per_epoch, learning_rate))
        found: tuple[int, ...] = ()
        try:
            found = members(schedule, epochs, steps_per_epoch, learning_rate) or ()
        except StudyError as error:  # only matters for [averaging]: without it the rates are fine
            note = f"[averaging] refuses it: {error}"
        return cls(str(schedule), epochs, steps_per_epoch, learning_rate, rates, note, found)

    def describe(self) -> dict[str, Any]:
        """The preview as plain data."""
        return {
            "schedule": self.schedule,
            "epochs": self.epochs,
            "steps_per_epoch": self.steps_per_epoch,
            "learning_rate": self.learning_rate,
            "note": self.note,
            "members": list(self.members),
            "learning_rates": list(self.learning_rates),
        }
