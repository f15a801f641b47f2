"""The budget of a whole search and the spending of its stages, in trainings, epochs, or time.

A training that continues a shorter one costs the difference; one that two stages want is paid once. Time is that of the
commands that searched, as recorded in the trials (:mod:`zonesearch.search.clock`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from zonesearch.core.trials import Training, Trials
from zonesearch.errors import StudyError, did_you_mean
from zonesearch.search.clock import Mark, marks_of, taken, trained

__all__ = ["Budget", "Ledger"]

Unit = Literal["trainings", "epochs", "seconds"]
_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600}
_KEYS = ("trainings", "epochs", *_SECONDS)


@dataclass(frozen=True)
class Budget:
    """An amount of ``trainings``, ``epochs`` or ``seconds`` for all stages together.

    Args:
        unit, amount: what is allowed.
        after: the amounts, rising, under which the same run was trained before. The search continues from where each of
            the smaller ones led; without them, they are inferred from the trials. Larger ones are remembered for a run
            whose budget was lowered and is raised again.
    """

    unit: Unit
    amount: float
    after: tuple[float, ...] = ()

    @classmethod
    def parse(cls, table: Any) -> Budget:
        """Parse ``{trainings = 200}``, ``{epochs = 4000}``, or a time: ``{hours = 2}``, ``minutes`` or ``seconds``.

        Raises:
            StudyError: saying what a budget is.
        """
        if isinstance(table, Budget):
            return table
        earlier: Any = ()
        if isinstance(table, Mapping) and len(table) == 2 and "after" in table:
            earlier, table = table["after"], {key: value for key, value in table.items() if key != "after"}
        if not isinstance(table, Mapping) or len(table) != 1:
            raise StudyError(
                f"budget must be a table with one of {', '.join(_KEYS)}, as {{trainings = 200}}: {table!r}"
            )
        ((key, value),) = table.items()
        if key not in _KEYS:
            raise StudyError(f'budget has no key "{key}"; {did_you_mean(str(key), _KEYS)}')
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
        if key in _SECONDS:
            if not number:
                raise StudyError(f"budget: {key} must be a number above 0, not {value!r}")
            return cls("seconds", float(value * _SECONDS[key]), _rising(earlier, float))
        if not number or not isinstance(value, int):
            raise StudyError(f"budget: {key} must be a whole number, at least 1, not {value!r}")
        return cls(key, value, _rising(earlier, int))

    def describe(self) -> dict[str, Any]:
        """The budget as a table that :meth:`parse` reads."""
        return {self.unit: self.amount, **({"after": list(self.after)} if self.after else {})}

    def in_unit(self, unit: Unit, epochs: int) -> Budget | None:
        """The same budget in another unit, if all trainings have ``epochs`` epochs; None if there is none exactly."""
        if "seconds" in (unit, self.unit) or unit == self.unit:
            return self if unit == self.unit else None
        amounts = [(*divmod(each, epochs),) if unit == "trainings" else (each * epochs, 0)
                   for each in (self.amount, *self.after)]  # fmt: skip
        if any(rest for _, rest in amounts):
            return None
        amount, *after = (int(whole) for whole, _ in amounts)
        return Budget(unit, amount, tuple(after))

    def continuing(self, former: Budget) -> Budget:
        """This budget for a run that was trained under ``former``.

        A lowered budget trains nothing new, so that raising it continues from the largest one before it.
        """
        if former.unit != self.unit:
            return self
        if former.amount == self.amount or former.amount <= max(former.after, default=0):
            return replace(self, after=former.after)
        return replace(self, after=(*former.after, former.amount))

    @property
    def earlier(self) -> tuple[Budget, ...]:
        """The smaller ones under which the same run was trained before, rising."""
        return tuple(replace(self, amount=amount, after=()) for amount in self.after if amount < self.amount)

    def __str__(self) -> str:
        if self.unit != "seconds":
            return f"{self.amount:,} {self.unit if self.amount != 1 else self.unit[:-1]}"
        unit = max((u for u in _SECONDS if self.amount >= _SECONDS[u]), key=_SECONDS.__getitem__, default="seconds")
        number = f"{self.amount / _SECONDS[unit]:.3g}"
        return f"{number} {unit if number != '1' else unit[:-1]}"


def _rising(amounts: Any, kind: type) -> tuple[float, ...]:
    """The amounts under which a run was trained before, as a run's settings give them.

    Raises:
        StudyError: they are anything else.
    """
    kinds = (int,) if kind is int else (int, float)
    sound = isinstance(amounts, list | tuple) and all(type(each) in kinds and math.isfinite(each) for each in amounts)
    if not sound or sorted({*amounts}) != [*amounts] or min(amounts, default=1) <= 0:
        raise StudyError(f"budget: after must be rising {'whole ' * (kind is int)}numbers, not {amounts!r}")
    return tuple(map(kind, amounts))


@dataclass(frozen=True)
class Ledger:
    """A budget and what has been spent of it.

    Args:
        budget: the whole budget.
        paid: the epochs paid for each training, by identity.
        spent: in the budget's unit.
        lengths: by identity, the lengths that were paid, for trainings that depend on their length, so that a longer
            one does not continue a shorter one.
        beside: the cost of trainings of an earlier plan that the present one does not want, in the budget's unit.
        marks: for time, by identity, when the paid trainings were trained.
    """

    budget: Budget
    paid: Mapping[Any, int] = field(default_factory=dict)
    spent: float = 0.0
    lengths: Mapping[Any, frozenset[int]] = field(default_factory=dict)
    beside: float = 0.0
    marks: Mapping[Any, tuple[Mark, ...]] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """The remaining amount, never below 0."""
        return max(0.0, self.budget.amount - self.spent - self.beside)

    @property
    def rate(self) -> float:
        """Units per epoch; for time, according to the trainings that were paid so far, and NaN before that."""
        return 1.0 if self.budget.unit != "seconds" else self._seconds_per_epoch

    @cached_property
    def _seconds_per_epoch(self) -> float:
        epochs = self._epochs(self.paid)
        return trained(mark for marks in self.marks.values() for mark in marks) / epochs if epochs else math.nan

    def price(self, training: Training, paid: Mapping[Any, int]) -> float:
        """The additional cost of a training, given the lengths in ``paid`` by identity; 0 if it is paid."""
        before = paid.get(training.identity, 0)
        lengths = self.lengths.get(training.identity)
        if lengths is not None:
            before = training.epochs if training.epochs in lengths else 0
        if self.budget.unit == "trainings":
            return 0.0 if before else 1.0
        return max(0, training.epochs - before) * self.rate

    def unit_price(self, epochs: int) -> float:
        """The cost of a new training of this length."""
        return 1.0 if self.budget.unit == "trainings" else epochs * self.rate

    def affordable(self, amount: float, epochs: int) -> int:
        """The number of new trainings of this length that ``amount`` pays for."""
        price = self.unit_price(epochs)
        return math.floor(amount / price + 1e-9) if price > 0 else 10**9

    def paying(self, trainings: Iterable[Training], trials: Trials) -> Ledger:
        """The ledger after paying for ``trainings``; for time, all of them must be among ``trials``."""
        paid, lengths, marks = dict(self.paid), dict(self.lengths), dict(self.marks)
        timed = self.budget.unit == "seconds"
        for training in trainings:
            identity = training.identity
            before = paid.get(identity)
            paid[identity] = max(training.epochs, paid.get(identity, 0))
            answer = trials.get(training)
            if answer is not None and answer.whole:
                lengths[identity] = lengths.get(identity, frozenset()) | {training.epochs}
            if timed and paid[identity] != before:
                marks[identity] = marks_of(trials, identity, paid[identity])
        ledger = replace(self, paid=paid, lengths=lengths, marks=marks)
        spent: float
        if timed:
            spent = taken(mark for each in marks.values() for mark in each)
        elif self.budget.unit == "epochs":
            spent = ledger._epochs(paid)
        else:
            spent = len(paid) + sum(len(each) - 1 for each in lengths.values())
        return replace(ledger, spent=spent)

    def _epochs(self, paid: Mapping[Any, int]) -> int:
        return sum(sum(self.lengths[identity]) if identity in self.lengths else n for identity, n in paid.items())
