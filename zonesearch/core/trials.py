"""Trainings, trials and their union.

A :class:`Training` is a request: parameters, a seed, and a number of epochs along the trajectory. A :class:`Trial` is a
finished training. :class:`Trials` is an immutable set of trials whose union (``a | b``) merges two runs: commutative,
associative and idempotent, because it *is* a set union. Everything else, such as which record represents a training and
which records contradict each other, is derived from the set.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, get_args

from zonesearch.core.compact import Curves
from zonesearch.core.frames import frame_of
from zonesearch.core.log import Records
from zonesearch.core.metric import ACCURACY, Metric, is_usable
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.values import Params, Value, key_form, order, plain, told_apart

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Conflict", "Params", "State", "Training", "Trial", "Trials", "Value", "plain"]

State = Literal["complete", "diverged", "failed", "pruned"]

_STATES = get_args(State)
_EXACT = (int, str, bool)  # types of values that are already plain
_NAME = itemgetter(0)
_LONGEST_REASON = 500  # characters of an error that are shown in a sentence; the record keeps all of it
_EXACTNESS = {"bf16": 0, "tf32": 1, "float32": 2, "float64": 3}
_SAME = 1e-12  # values for one key that differ by more than this contradict each other


@dataclass(frozen=True, eq=False)
class Training:
    """A requested training.

    The identity is (params, seed): ``epochs`` says how far along the trajectory to train, and ``test`` whether to
    measure the test split too; neither makes it another experiment. (If something depends on the length, trainings of
    two lengths are two experiments; their trials say so, see :attr:`Trial.whole`.)

    Args:
        params: the hyperparameters by name; values are converted to plain Python types.
        seed: the index of the seed, 0 or more. The same index means the same initial weights and data order.
        epochs: the length of the training, at least 1.
        test: whether to measure the test split at the epoch that validation chooses (finalists only).
    """

    params: Params
    seed: int = 0
    epochs: int = 1
    test: bool = False

    def __post_init__(self) -> None:
        items = [
            (
                str(name),
                value if type(value) in _EXACT or (type(value) is float and math.isfinite(value)) else plain(value),
            )
            for name, value in self.params.items()
        ]
        items.sort(key=_NAME)
        object.__setattr__(self, "params", dict(items))
        if type(self.seed) is not int or type(self.epochs) is not int:
            object.__setattr__(self, "seed", int(self.seed))
            object.__setattr__(self, "epochs", int(self.epochs))
        if self.epochs < 1 or self.seed < 0:
            raise ValueError(f"a training needs epochs >= 1 and seed >= 0, not {self.epochs} and {self.seed}")

    @cached_property
    def identity(self) -> tuple[tuple[tuple[str, Hashable], ...], int]:
        """A hashable identity, equal for trainings that are the same experiment; fast, but only valid within one
        process.

        Values are compared by :func:`~zonesearch.core.values.told_apart`: 0.010000000000000005 equals 0.01, but True
        does not equal 1.
        """
        return tuple([(name, told_apart(value)) for name, value in self.params.items()]), self.seed

    @cached_property
    def key(self) -> str:
        """The identity as 16 hexadecimal digits, the same on every machine (SHA-256 of canonical JSON)."""
        return self._key()

    @cached_property
    def key_of_length(self) -> str:
        """The key for trainings that depend on their length (see :attr:`Trial.whole`)."""
        return self._key(self.epochs)

    def _key(self, *length: int) -> str:
        params = {name: key_form(value) for name, value in self.params.items()}
        text = json.dumps([params, self.seed, *length], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Training):
            return NotImplemented
        return (self.identity, self.epochs, self.test) == (other.identity, other.epochs, other.test)

    def __hash__(self) -> int:
        return hash(self.identity)


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
        return training.identity == self.training.identity and self._reaches(training)

    def _reaches(self, training: Training) -> bool:
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
    def _rank(self) -> tuple[Any, ...]:
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
        return self is other or (self._rank == other._rank and self.curve == other.curve)

    def _contradicts(self, other: Trial) -> bool:
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


@dataclass(frozen=True)
class Conflict:
    """Contradictory records of one key: the same experiment with different results."""

    key: str
    trials: tuple[Trial, ...]

    def __str__(self) -> str:
        first, seen = self.trials[0], self.trials
        for epochs in sorted({trial.epochs for trial in seen}, reverse=True):  # the first epoch at which they differ
            begun = tuple(trial.at(epochs) for trial in self.trials if trial.epochs >= epochs)
            seen = begun if any(a._contradicts(b) for a, b in combinations(begun, 2)) else seen
        where = [trial.provenance.get("host", "an unnamed machine") for trial in seen]
        values = [trial.state if trial.accuracy is None else trial.accuracy for trial in seen]
        said = dict.fromkeys(f"{value} on {host}" for value, host in zip(values, where, strict=True))
        return f"training {self.key} ({dict(first.params)}, seed {first.seed}) was recorded as {'; '.join(said)}"


class Trials:
    """An immutable set of trials. ``a | b`` merges; iteration is over one trial per training, in a fixed order."""

    def __init__(self, trials: Iterable[Trial] = ()) -> None:
        self._records: Records[Trial] = Records[Trial]().added(list(trials))
        self._asked: tuple[object, list[Training]] = ((), [])  # both a stage and its caller need it

    def __or__(self, other: Trials) -> Trials:
        if other._records.n_entries > self._records.n_entries:
            self, other = other, self
        return self.added(other.records())

    def added(self, trials: Iterable[Trial]) -> Trials:
        """The union with ``trials``.

        The cost of adding to the newest of a series of sets does not depend on its size.
        """
        new = list(trials)
        records = self._records.added(new)
        if records is self._records:
            return self
        union = Trials()
        union._records = records
        vars(union)["metric"] = _shared_metric([self.metric, *dict.fromkeys(trial.metric for trial in new)])
        return union

    def __reduce__(self) -> tuple[Any, ...]:
        return Trials, (list(self.records()),)

    def __len__(self) -> int:
        """The number of different finished trainings."""
        return self._n

    @cached_property
    def _n(self) -> int:
        return len(self._records) + sum(len({t.length for t in records}) - 1 for records in self._records.repeated())

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._spoken.values())

    def __contains__(self, training: object) -> bool:
        return isinstance(training, Training) and self.get(training) is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trials):
            return NotImplemented
        return self._content == other._content

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Trials: {len(self)} trainings, {len(self.conflicts)} conflicts>"

    @cached_property
    def _content(self) -> set[tuple[Any, ...]]:
        return {
            (identity, trial.whole, *trial._rank, tuple(sorted(trial.curve.items())))
            for identity, trials in self._records.items()
            for trial in trials
        }

    @cached_property
    def _spoken(self) -> dict[Any, Trial]:
        """The record that represents each experiment, in an order that does not depend on arrival."""
        chosen: dict[Any, Trial] = {}
        for identity, records in self._records.items():
            if len(records) == 1:
                chosen[(*identity, records[0].length)] = records[0]
                continue
            for trial in records:
                experiment = (*identity, trial.length)
                other = chosen.get(experiment)
                chosen[experiment] = trial if other is None or trial._rank > other._rank else other
        ordered = sorted(chosen.items(), key=lambda item: _order(item[1]))
        return dict(ordered)

    @cached_property
    def _by_params(self) -> dict[Any, list[Trial]]:
        """Trials by params, one per seed: the longest if there are several lengths."""
        found: dict[Any, dict[int, Trial]] = {}
        for (params, seed, _), trial in self._spoken.items():
            found.setdefault(params, {})[seed] = trial  # increasing lengths
        return {params: list(trials.values()) for params, trials in found.items()}

    @cached_property
    def metric(self) -> Metric:
        """The metric of the trials; accuracy if none is recorded.

        A failed training may not know the metric yet, and older versions did not record it, so any trial with a metric
        other than accuracy determines it.
        """
        return _shared_metric(dict.fromkeys(trial.metric for trial in self.records()))

    def get(self, training: Training) -> Trial | None:
        """The trial with the result of ``training``, cut to its epochs; None if it is missing."""
        records = self._records.get(training.identity, ())
        for trial in sorted(records, key=lambda t: t._rank, reverse=True) if len(records) > 1 else records:
            if trial._reaches(training):
                found = trial.at(training.epochs)
                if found.params == training.params:
                    return found
                return replace(found, training=replace(found.training, params=training.params))
        return None

    def missing(self, trainings: Iterable[Training]) -> list[Training]:
        """The ``trainings`` without a result, in the given order, each once."""
        if trainings is self._asked[0]:
            return list(self._asked[1])
        lacking: dict[Training, None] = {}
        for training in trainings:
            for trial in self._records.get(training.identity, ()):
                if trial._reaches(training):
                    break
            else:
                lacking[training] = None
        if isinstance(trainings, tuple):
            self._asked = trainings, list(lacking)
        return list(lacking)

    def of(self, params: Params) -> list[Trial]:
        """All trials with exactly these parameters, one per seed (the longest of several lengths), seeds ascending."""
        return list(self._by_params.get(Training(params).identity[0], ()))

    def values_along(self, params: Params, axis: str) -> list[Value]:
        """The values of ``axis`` at which there are trials that otherwise have exactly ``params``, ascending."""
        rest = tuple(item for item in Training(params).identity[0] if item[0] != axis)
        if axis not in self._lines:
            self._lines[axis] = self._line_index(axis)
        return sorted(self._lines[axis].get(rest, {}).values(), key=order)

    @cached_property
    def _lines(self) -> dict[str, dict[Any, dict[Hashable, Value]]]:
        return {}

    def _line_index(self, axis: str) -> dict[Any, dict[Hashable, Value]]:
        """By all other params, the values on the axis; of values equal up to rounding, the shortest form."""
        found: defaultdict[Any, dict[Hashable, Value]] = defaultdict(dict)
        for (params, _), records in self._records.items():
            for i, (name, told) in enumerate(params):
                if name == axis:
                    values = found[params[:i] + params[i + 1 :]]
                    value = records[0].params[axis]
                    if told not in values or len(repr(value)) < len(repr(values[told])):
                        values[told] = value
                    break
        return dict(found)

    def records(self) -> Iterator[Trial]:
        """Every record, including contradictory and repeated ones."""
        return self._records.entries()

    def records_of(self, training: Training | tuple[Any, int]) -> tuple[Trial, ...]:
        """Every record with the params and seed of ``training`` (or this identity), of any length; shortest first."""
        identity = training.identity if isinstance(training, Training) else training
        records = self._records.get(identity, ())
        if len(records) < 2:
            return tuple(records)
        return tuple(sorted(records, key=lambda trial: (trial.epochs, trial._rank)))

    @cached_property
    def conflicts(self) -> tuple[Conflict, ...]:
        """The trainings whose records contradict each other, ordered by key."""
        return self._differing(lambda a, b: not (a.of_any_precision and b.of_any_precision))

    @cached_property
    def rounded(self) -> tuple[Conflict, ...]:
        """Trainings with different values from machines that chose the precision, ordered by key: not a contradiction;
        the most exact one counts.
        """
        return self._differing(lambda a, b: a.of_any_precision and b.of_any_precision)

    def _differing(self, among: Callable[[Trial, Trial], bool]) -> tuple[Conflict, ...]:
        found = []
        for records in self._records.repeated():
            pairs = (pair for pair in combinations(records, 2) if among(*pair) and pair[0]._contradicts(pair[1]))
            if clashing := {id(trial): trial for pair in pairs for trial in pair}:
                ordered = tuple(sorted(clashing.values(), key=lambda t: t._rank))
                found.append(Conflict(ordered[0].key, ordered))
        return tuple(sorted(found, key=lambda conflict: conflict.key))

    def frame(self, metric: Metric | None = None) -> pd.DataFrame:
        """One row per training, with columns (params..., value) first, then everything else.

        Columns: the params; the metric's name (``accuracy`` by default) and ``test_`` plus that name; all further
        recorded values; seed, epochs, state, seconds, n_parameters, key. If a name is already taken, a recorded value
        is called ``noted_...`` and one of the last columns ``training_...``.

        Args:
            metric: names the value columns; by default that of the trials.
        """
        return frame_of(list(self), (metric or self.metric).name)


def _shared_metric(metrics: Iterable[Metric]) -> Metric:
    """The common metric of trials with these metrics, independent of order."""
    named = [metric for metric in metrics if metric != ACCURACY]
    return min(named, key=lambda metric: (not metric.unit, metric.name, str(metric.direction)), default=ACCURACY)


def _order(trial: Trial) -> tuple[Any, ...]:
    """A total order over experiments with values of mixed types: numbers before strings."""
    return tuple([(name, order(value)) for name, value in trial.params.items()]), trial.seed, trial.length
