"""Lessons: the results of a user's earlier run by role, from which the prior of another space can learn.

A lesson is plain numbers: for each setting the values of the axes with a role, and the score that it reached. It
contains no names of code and nothing that could be called; runs store it as the record of what they learned, and it is
small enough for people to read. Centre and unit of its scores are unknown, as for every task.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.core.axes import Axis
from zonesearch.core.reading import Reading
from zonesearch.core.roles import ROLES, roles_among
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.search.controller.context import OPTIMIZERS, optimizer_odds

__all__ = ["MOST_LESSONS", "MOST_SETTINGS", "Lesson", "lesson_of"]

Array = npt.NDArray[np.float64]

MOST_SETTINGS = 40
"""Maximum number of settings of a run: the best ones and an even spread of the others."""
MOST_LESSONS = 64
_LEAST = 3
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Lesson:
    """The settings of an earlier run, one per entry.

    Args:
        run: the name of the run.
        epochs: the length of its trainings.
        trainings: number of trainings it was made from.
        values: pairs of a role and its values; NaN if the axis does not apply.
        scores: larger is better; NaN for diverged trainings.
        seeds: number of trainings of each setting.
        optimizers: -1 or 1 each, as in :data:`zonesearch.search.controller.context.OPTIMIZERS`.
    """

    run: str
    epochs: int
    trainings: int
    values: tuple[tuple[str, tuple[float, ...]], ...]
    scores: tuple[float, ...]
    seeds: tuple[int, ...]
    optimizers: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def digest(self) -> str:
        """A sixteen-digit identifier."""
        return hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode()).hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """As plain data, which :meth:`parse` reads back."""
        return {
            "run": self.run,
            "epochs": self.epochs,
            "trainings": self.trainings,
            "values": {role: [_null(v) for v in column] for role, column in self.values},
            "scores": [_null(score) for score in self.scores],
            "seeds": list(self.seeds),
            "optimizers": list(self.optimizers),
        }

    @classmethod
    def parse(cls, given: Any, place: str) -> Lesson:
        """Parse the output of :meth:`describe`, validating untrusted input.

        Raises:
            StudyError: it is not a lesson; the message names the ``place``.
        """
        wrong = StudyError(f"{place} is no lesson of an earlier run; `zonesearch learn RUN` makes one")
        if not isinstance(given, Mapping) or not isinstance(given.get("values"), Mapping):
            raise wrong
        try:
            found = cls(
                str(given["run"])[:_LONGEST_NAME],
                _whole(given["epochs"]),
                _whole(given["trainings"]),
                tuple((str(r), tuple(_number(v) for v in column)) for r, column in sorted(given["values"].items())),
                tuple(_number(v) for v in given["scores"]),
                tuple(_whole(v) for v in given["seeds"]),
                tuple(float(v) for v in given["optimizers"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            raise wrong from None
        columns = [found.scores, found.seeds, found.optimizers, *(column for _, column in found.values)]
        if not found.values or not set(dict(found.values)) <= set(ROLES) or {len(c) for c in columns} != {len(found)}:
            raise wrong
        if not 0 < len(found) <= MOST_SETTINGS or found.epochs < 1 or min(found.seeds) < 1:
            raise wrong
        if not set(found.optimizers) <= {-1.0, 1.0} or not any(map(math.isfinite, found.scores)):
            raise wrong
        for role, column in found.values:
            for value in column:
                if not math.isnan(value) and not ROLES[role].bears(value, value):
                    raise wrong
        return found

    def groups(self) -> list[tuple[npt.NDArray[np.int64], float, dict[str, Array]]]:
        """Groups of settings with the same roles and kind of optimizer: (their indices, the kind, their values by
        role).
        """
        kinds: dict[tuple[Any, ...], list[int]] = {}
        for i, optimizer in enumerate(self.optimizers):
            known = tuple(role for role, column in self.values if not math.isnan(column[i]))
            kinds.setdefault((optimizer, known), []).append(i)
        return [
            (np.array(rows), optimizer, {role: np.array(column)[rows] for role, column in self.values if role in known})
            for (optimizer, known), rows in kinds.items()
        ]


def _null(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def lesson_of(run: str, space: Space, trials: Trials, reading: Reading, epochs: int, optimizer: str = "") -> Lesson:
    """Build the lesson of trials, by role.

    Failed trainings say nothing about other tasks and are left out; diverged ones count as the worst, and pruned ones
    by their curve so far. Shorter trainings than those of the study (rungs) are left out.

    Args:
        run: the name of the run.
        space: the space searched.
        trials: of the run.
        reading: how curves are read.
        epochs: the full training length of the study.
        optimizer: the optimizer of all trainings; empty if unknown or searched.

    Raises:
        StudyError: no axis has a role, or too few trainings have a value.
    """
    roles = roles_among(space.axes)
    if not roles:
        raise StudyError(
            f"nothing can be learned from the run {run}: no axis has a role "
            f'({", ".join(space.names)}); the usual names have theirs, and role = "learning_rate" in [space] gives one'
        )
    sums: dict[tuple[Any, ...], list[float]] = {}
    optimizers: dict[tuple[Any, ...], float] = {}
    n_trainings = 0
    for trial in trials:
        score = _score(trial, reading, epochs)
        if score is None:
            continue
        n_trainings += 1
        kind = _optimizer(trial.params, space, roles, optimizer)
        place = (kind, *(_mean(trial.params, [n for n, r in roles.items() if r == role]) for role in _row(roles)))
        sums.setdefault(place, []).append(score)
        optimizers[place] = kind
    n_complete = sum(any(map(math.isfinite, scores)) for scores in sums.values())
    if n_complete < _LEAST:
        raise StudyError(
            f"nothing can be learned from the run {run}: {n_complete} of its settings have a value, and "
            f"{_LEAST} are the least"
        )
    means = {
        place: math.fsum(finite) / len(finite) if (finite := [s for s in scores if math.isfinite(s)]) else math.nan
        for place, scores in sums.items()
    }
    kept = _thinned(sorted(means, key=lambda place: (-_sunk(means[place]), [_sunk(v) for v in place])))
    return Lesson(
        run[:_LONGEST_NAME],
        epochs,
        n_trainings,
        tuple((role, tuple(place[1 + i] for place in kept)) for i, role in enumerate(_row(roles))),
        tuple(means[place] for place in kept),
        tuple(len(sums[place]) for place in kept),
        tuple(optimizers[place] for place in kept),
    )


def _row(roles: Mapping[str, str]) -> list[str]:
    return sorted(set(roles.values()))


def _sunk(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _thinned(ranked: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The settings kept: a third of them the best, the rest evenly by rank."""
    if len(ranked) <= MOST_SETTINGS:
        return list(ranked)
    n_best = MOST_SETTINGS // 3
    rest = ranked[n_best:]
    places = np.unique(np.linspace(0, len(rest) - 1, MOST_SETTINGS - n_best).round().astype(int))
    return [*ranked[:n_best], *(rest[i] for i in places)]


def _score(trial: Trial, reading: Reading, epochs: int) -> float | None:
    """The score of a trial; NaN if it diverged, None if it carries no information."""
    if trial.state == "failed" or (trial.epochs < epochs and trial.state != "pruned"):
        return None
    if trial.state == "pruned":
        curve = trial.counted_curve
        value = reading(curve, trial.metric) if curve else math.nan
    else:
        value = trial.at(epochs).value(reading)
    return trial.metric.score(value) if math.isfinite(value) else math.nan


def _mean(params: Params, names: Sequence[str]) -> float:
    """The value of a role: that of its axis, or the geometric mean of several; NaN if none applies."""
    found = [float(value) for name in names if isinstance(value := params.get(name), int | float)]
    if len(found) < 2:
        return found[0] if found else math.nan
    return float(np.exp(np.mean(np.log(np.maximum(found, 1e-12)))))


def _optimizer(params: Params, space: Space, roles: Mapping[str, str], said: str) -> float:
    named = next((params[name] for name in ("optimizer", "optimizer.name") if name in params), said)
    if isinstance(named, str) and named in OPTIMIZERS:
        return OPTIMIZERS[named]
    axes: dict[str, Any] = {axis.name: axis for axis in space.axes if isinstance(axis, Axis)}
    return max(optimizer_odds(axes, roles, ""), key=lambda each: each[1])[0]
