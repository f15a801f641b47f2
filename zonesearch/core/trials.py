"""Trials and their union; trainings and single trials are passed on from their own files.

:class:`Trials` is an immutable set of trials whose union (``a | b``) merges two runs: commutative, associative and
idempotent, because it *is* a set union. Everything else, such as which record represents a training and which records
contradict each other, is derived from the set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

from zonesearch.core.frames import frame_of
from zonesearch.core.log import Records
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.training import Training
from zonesearch.core.trial import State, Trial
from zonesearch.core.values import Params, Value, order, plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Conflict", "Params", "State", "Training", "Trial", "Trials", "Value", "plain"]


@dataclass(frozen=True)
class Conflict:
    """Contradictory records of one key: the same experiment with different results."""

    key: str
    trials: tuple[Trial, ...]

    def __str__(self) -> str:
        first, seen = self.trials[0], self.trials
        for epochs in sorted({trial.epochs for trial in seen}, reverse=True):  # the first epoch at which they differ
            begun = tuple(trial.at(epochs) for trial in self.trials if trial.epochs >= epochs)
            seen = begun if any(a.contradicts(b) for a, b in combinations(begun, 2)) else seen
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
            (identity, trial.whole, *trial.rank, tuple(sorted(trial.curve.items())))
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
                chosen[experiment] = trial if other is None or trial.rank > other.rank else other
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
        for trial in sorted(records, key=lambda t: t.rank, reverse=True) if len(records) > 1 else records:
            if trial.reaches(training):
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
                if trial.reaches(training):
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
        return tuple(sorted(records, key=lambda trial: (trial.epochs, trial.rank)))

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
            pairs = (pair for pair in combinations(records, 2) if among(*pair) and pair[0].contradicts(pair[1]))
            if clashing := {id(trial): trial for pair in pairs for trial in pair}:
                ordered = tuple(sorted(clashing.values(), key=lambda t: t.rank))
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
