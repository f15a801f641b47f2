"""A finished training: its value, its curve, and which other trainings it also answers for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

from zonesearch.core.compact import Curves
from zonesearch.core.metric import ACCURACY, Metric, is_usable
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.training import Training
from zonesearch.core.values import Params

__all__ = ["State", "Trial"]

State = Literal["complete", "diverged", "failed", "pruned"]

_STATES = get_args(State)
_LONGEST_REASON = 500  # characters of an error that are shown in a sentence; the record keeps all of it
_EXACTNESS = {"bf16": 0, "tf32": 1, "float32": 2, "float64": 3}
_SAME = 1e-12  # values for one key that differ by more than this contradict each other


@dataclass(frozen=True)
class Trial:
    """A finished training, whatever its outcome.

    Args:
        training: the request; its ``epochs`` is the requested length (after an early stop, ``curve`` is shorter).
        state: ``complete``, ``diverged`` (loss or accuracy became non-finite: a result without a value; an accuracy
            beyond 1e100, which some return for failures, is converted to this state), ``failed`` (the objective raised;
            ``error`` holds the traceback) or ``pruned`` (stopped on purpose as unpromising: its curve is known so far,
            its accuracy is not).
        accuracy: the metric on the validation split at the best epoch, in its own sign; None unless complete.
        curve: one tuple per recorded quantity, one number per epoch: ``validation_accuracy`` first of all, and
            where the objective has them ``validation_loss``, ``train_accuracy``, ``train_loss``, ``learning_rate``.
        test_accuracy: on the test split at the epoch that validation chose; None unless requested.
        seconds: wall time of this training in seconds (its share, if it ran in a job).
        n_parameters: number of parameters of the network, if there is one.
        n_validation: number of validation examples behind ``accuracy``; None if the binomial error is unknown.
        n_test: number of test examples behind ``test_accuracy``.
        error: the traceback of a failed training.
        provenance: where and with what it was computed (versions, device, host, ...).
        metric: of ``accuracy`` and ``test_accuracy``, with its direction.
        noted: further values that the objective reported, by name; they become columns and decide nothing.
        cost: cost of using this setting, in any unit, if the objective reports it; otherwise None.
        right: which validation examples were correct at the best epoch, one bit each in the order of the split
            (``numpy.packbits``); empty if only their number is known. ``test_right`` likewise for the test split.
        n_steps: total optimizer steps of the training; None if there are none to count.
        whole: whether it depends on its length (a schedule that falls to zero at the end, averaging from a fraction of
            it on): its first n epochs then differ from a training of n epochs, so it cannot represent a shorter one.
        averaged_from: the epoch, counted from 1, from which averaged weights or an ensemble was evaluated instead of
            the network itself: only epochs from there on count for the value. None without averaging.
        evaluated_every: number of epochs between evaluations, in addition to the first and the last; in between, curves
            repeat the last values.
    """

    training: Training
    state: State = "complete"
    accuracy: float | None = None
    curve: Mapping[str, Sequence[float]] = field(default_factory=dict)
    test_accuracy: float | None = None
    seconds: float = 0.0
    n_parameters: int | None = None
    n_validation: int | None = None
    n_test: int | None = None
    error: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metric: Metric = ACCURACY
    noted: Mapping[str, float] = field(default_factory=dict)
    cost: float | None = None
    right: bytes = b""
    test_right: bytes = b""
    whole: bool = False
    n_steps: int | None = None
    averaged_from: int | None = None
    evaluated_every: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.curve, Curves):
            curve = {name: tuple(map(float, values)) for name, values in self.curve.items()}
            object.__setattr__(self, "curve", curve)
        if self.noted:
            object.__setattr__(self, "noted", {str(name): float(value) for name, value in self.noted.items()})
        if self.state not in _STATES:
            raise ValueError(f"a trial is complete, diverged, failed or pruned, not {self.state!r}")
        measured = (value for value in (self.accuracy, self.test_accuracy) if value is not None)
        if self.state == "complete" and not all(map(is_usable, measured)):
            object.__setattr__(self, "state", "diverged")
            object.__setattr__(self, "accuracy", None)
            object.__setattr__(self, "test_accuracy", None)
        if (self.accuracy is not None) != (self.state == "complete"):
            raise ValueError(f"a {self.state} trial has {'an' if self.accuracy is None else 'no'} accuracy")

    @property
    def params(self) -> Params:
        return self.training.params

    @property
    def seed(self) -> int:
        return self.training.seed

    @property
    def epochs(self) -> int:
        return self.training.epochs

    @property
    def key(self) -> str:
        """The experiment's identifier on all machines: the training's key, with the length if that matters."""
        return self.training.key_of_length if self.whole else self.training.key

    @property
    def length(self) -> int:
        """The epochs if they are part of the identity; otherwise 0."""
        return self.epochs if self.whole else 0

    @property
    def of_any_precision(self) -> bool:
        """Whether its machine determined the precision (``auto``, ``tf32``), so that another may get another value."""
        return "precision_asked" in self.provenance

    @property
    def violation(self) -> float | None:
        """The constraint violation reported by the objective; infeasible if above 0."""
        return self.noted.get("violation")

    @property
    def feasible(self) -> bool:
        """Whether it reported no violation."""
        return not (self.violation or 0.0) > 0.0

    @property
    def complete(self) -> bool:
        return self.state == "complete"

    @property
    def reason(self) -> str:
        """Why it failed, in one line: ``Error: message`` from the traceback."""
        lines = [line for line in self.error.splitlines() if line.strip()] or ["no message"]
        n_message = next((i for i, line in enumerate(reversed(lines)) if line[0].isspace()), len(lines))
        said = lines[-max(1, n_message)].strip()
        return said if len(said) <= _LONGEST_REASON else f"{said[:_LONGEST_REASON]} ..."

    @property
    def validation_curve(self) -> tuple[float, ...]:
        """Validation accuracy after each epoch; empty when only the final accuracy is known."""
        return tuple(self.curve.get("validation_accuracy", ()))

    @property
    def counted_curve(self) -> tuple[float, ...]:
        """The part of the validation curve that counts for the value: all of it, or the averaged part."""
        return self.validation_curve[(self.averaged_from or 1) - 1 :]

    @property
    def follows_epochs(self) -> bool:
        """Whether the curve has a value for every epoch, so that it also represents shorter trainings that end at an
        evaluated epoch.
        """
        return not self.whole and len(self.validation_curve) == self.epochs

    @property
    def evaluated_epochs(self) -> tuple[int, ...]:
        """The epochs, counted from 1, after which validation was evaluated."""
        return tuple(epoch for epoch in range(1, len(self.validation_curve) + 1) if self.evaluated_after(epoch))

    def evaluated_after(self, epoch: int) -> bool:
        """Whether the value of the curve after this epoch was evaluated there rather than repeated."""
        n, every = len(self.validation_curve), self.evaluated_every
        return epoch <= n and (epoch == 1 or epoch % every == 0 or (epoch == n and self.complete))

    def answers(self, training: Training) -> bool:
        """Whether this trial provides the result of ``training``."""
        return training.identity == self.training.identity and self.reaches(training)

    def reaches(self, training: Training) -> bool:
        """Whether it provides the result of ``training``, which has the same params and seed."""
        epochs = self.training.epochs
        if epochs != training.epochs and self.whole:
            return False
        if epochs == training.epochs and not training.test:
            return True
        if self.state == "diverged":
            if epochs <= training.epochs or self.n_finite < training.epochs:
                return True
            return not training.test and self.evaluated_after(training.epochs)
        if self.state in ("failed", "pruned"):
            return epochs >= training.epochs
        if training.test and not self._tested_at(training.epochs):
            return False
        longer = epochs > training.epochs and self.follows_epochs and self.evaluated_after(training.epochs)
        return epochs == training.epochs or longer

    @cached_property
    def n_finite(self) -> int:
        """The number of epochs with finite values: up to there a diverged training is valid."""
        n = len(self.validation_curve)
        for name in ("validation_accuracy", "validation_loss", "train_loss"):
            values = self.curve.get(name, ())[:n]
            n = next((i for i, value in enumerate(values) if not is_usable(value)), n)
        return n

    def _tested_at(self, epochs: int) -> bool:
        """Whether the test split was measured for ``epochs``, or requested from an objective without one."""
        asked_in_vain = self.training.test and self.test_accuracy is None
        return asked_in_vain or self.at(epochs).test_accuracy is not None

    def at(self, epochs: int) -> Trial:
        """This trial after ``epochs`` epochs: the beginning of the curve, with its accuracy recomputed.

        The test accuracy is kept only if validation would still choose the epoch at which it was measured. A trial that
        diverged later was complete at that point.
        """
        if epochs >= self.epochs or self.whole or (self.evaluated_every > 1 and not self.evaluated_after(epochs)):
            return self
        if self.state == "diverged" and epochs <= self.n_finite:
            return replace(self, state="complete", accuracy=0.0)._cut(epochs)
        if not self.follows_epochs or not self.complete:
            return self
        return self._cut(epochs)

    def _cut(self, epochs: int) -> Trial:
        """The first ``epochs`` epochs of a trial with a value for each of them."""
        curve = {name: values[:epochs] for name, values in self.curve.items()}
        averaged = self.averaged_from if self.averaged_from is not None and self.averaged_from <= epochs else None
        counted = (averaged or 1) - 1
        accuracy = BEST(curve["validation_accuracy"][counted:], self.metric)
        at_best = curve["validation_accuracy"].index(accuracy, counted)
        noted = {name: curve[name][at_best] if name in curve else value for name, value in self.noted.items()}
        same = (accuracy, averaged) == (self.accuracy, self.averaged_from)
        return replace(
            self,
            training=replace(self.training, epochs=epochs),
            curve=curve,
            accuracy=accuracy,
            noted=noted,
            cost=noted.get("cost", self.cost),
            test_accuracy=self.test_accuracy if same else None,
            right=self.right if same else b"",
            test_right=self.test_right if same else b"",
            seconds=self.seconds * epochs / self.epochs,
            n_steps=None if self.n_steps is None else round(self.n_steps * epochs / self.epochs),
            averaged_from=averaged,
        )

    def value(self, reading: Reading = BEST) -> float:
        """The value according to ``reading``; NaN if the trial is not complete."""
        if self.accuracy is None:
            return math.nan
        return reading(self.counted_curve, self.metric) if self.counted_curve else self.accuracy

    @property
    def rank(self) -> tuple[Any, ...]:
        """The rank of a record among several of one key: the longest, tested, complete one represents it; with
        automatic precision, the most exact of these; ties are broken by content.
        """
        return (
            self.state == "complete",
            self.epochs,
            self.test_accuracy is not None,
            self.training.test,
            self.state == "diverged",
            _EXACTNESS.get(str(self.provenance.get("precision")), 2) if self.of_any_precision else 2,
            -self.metric.score(self.accuracy or 0.0),
            len(self.curve),
            -self.seconds,
            tuple(sorted(self.noted.items())),
            self.error,
            json.dumps(dict(self.provenance), sort_keys=True, default=str),
        )

    def says_the_same(self, other: Trial) -> bool:
        return self is other or (self.rank == other.rank and self.curve == other.curve)

    def contradicts(self, other: Trial) -> bool:
        """Whether two records of one key contradict each other (failed and pruned trainings contradict nothing)."""
        if {"failed", "pruned"} & {self.state, other.state} or self.params != other.params:  # equal but for rounding
            return False
        if self.epochs != other.epochs and (self.state != other.state or self.whole or other.whole):
            return False
        if self.state != other.state:
            return True
        epochs = min(self.epochs, other.epochs)
        mine, yours = self.at(epochs), other.at(epochs)
        if mine.epochs != yours.epochs or mine.accuracy is None or yours.accuracy is None:
            return False
        return abs(mine.accuracy - yours.accuracy) > _SAME
