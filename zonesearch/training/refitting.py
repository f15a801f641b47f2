"""The final training of a chosen setting: on the validation split too, for the number of epochs that validation chose.

Nothing is held out to decide when to stop, so the number of epochs is the one chosen when the validation split was held
out. The nominal length of the training stays as in the search, so that schedules and averaging that depend on it behave
as before, and the training ends early. A schedule that reads validation values is given those of the search.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from zonesearch.training.data import Split
from zonesearch.training.data.collate import Collated, Inputs
from zonesearch.training.early_stopping import EarlyStopping
from zonesearch.training.schedules import Schedule
from zonesearch.training.technique import Hooks, Run
from zonesearch.training.techniques import Techniques

__all__ = ["all_data", "refitting"]


def all_data(data: Split) -> Split:
    """The data with the validation split appended to the training split, normalised as in the search."""
    (first, its), (second, others) = data.train, data.validation
    targets = torch.cat([its, others])
    given = None if data.given is None else all_data(data.given)
    return replace(data, train=(_joined(first, second, targets), targets), given=given)


def _joined(first: Inputs, second: Inputs, targets: Tensor) -> Inputs:
    if isinstance(first, Collated) and isinstance(second, Collated):
        return dataclasses.replace(first, items=[*first.items, *second.items], targets=targets, kept=[])
    assert isinstance(first, Tensor)
    assert isinstance(second, Tensor)
    return torch.cat([first, second])


def refitting(techniques: Techniques, n_epochs: int, past: Sequence[float]) -> Techniques:
    """The techniques of a training that ends after ``n_epochs``, whatever the validation values."""
    others = {field.name: getattr(techniques, field.name) for field in dataclasses.fields(Techniques)}
    return _Refit(**{**others, "early_stopping": EarlyStopping(after=n_epochs)}, past=tuple(past))


@dataclass(frozen=True)
class _Refit(Techniques):
    """Techniques under which a schedule reads earlier validation values."""

    past: tuple[float, ...] = ()

    def begin(self, run: Run) -> list[Hooks]:
        hooks = super().begin(run)
        if run.schedule.uses_history:
            run.schedule = _Remembering(run.schedule, self.past)  # type: ignore[assignment]
        return hooks


class _Remembering:
    """A schedule that reads the validation values of another training."""

    def __init__(self, inner: Schedule, past: tuple[float, ...]) -> None:
        self._inner, self._past = inner, past

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        """The rate of the inner schedule, given the values of that training up to the same epoch."""
        return self._inner.rate(base, step, steps_per_epoch, epochs, self._past[: len(history)])
