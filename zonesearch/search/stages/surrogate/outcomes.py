"""Outcomes of trainings: values for the process, and the probability that a training yields one.

There are five outcomes: complete, diverged, failed, infeasible and pruned. A complete training has a value. A diverged
or failed one has none, but is evidence of where that happens; one that ran out of memory shows what is too large. An
infeasible one (it reports a ``violation`` above 0) has a value but may not be the best. A pruned one was not promising:
it counts by its curve so far, but as no better than the median of the complete ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from zonesearch.core.reading import Reading
from zonesearch.core.trials import Params, Trial
from zonesearch.core.values import point
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.success import Labels
from zonesearch.statistics.gp.targets import Known
from zonesearch.statistics.memory import learn, ran_out_of_memory
from zonesearch.statistics.zones import Zone

__all__ = ["EXPECTED", "Chance", "Outcomes", "expected", "infeasible", "level_notes", "tried_points"]

EXPECTED: Mapping[str, Any] = {"expected": True}
"""Provenance of a trial that is still running, with its predicted value."""

Array = npt.NDArray[np.float64]
Place = tuple[float, ...]


class Chance(Protocol):
    """The probability that a training does not fail from one cause."""

    def log_probability(self, points: Array) -> Array:
        """The log-probability, (n, n_axes) -> (n,)."""
        ...

    def slopes(self, points: Array) -> tuple[Array, Array]:
        """The same and its derivatives with respect to the coordinates, shapes (n,) and (n, n_axes)."""
        ...


def expected(trial: Trial) -> bool:
    """Whether the training is still running, so that its value is only predicted."""
    return bool(trial.provenance.get("expected"))


def infeasible(trial: Trial) -> bool:
    """Whether a training reported that it violates a constraint."""
    return not trial.feasible


def tried_points(trials: Iterable[Trial], reading: Reading) -> tuple[Params, ...]:
    """The points of complete trials, each once: those without a violation, best value first, then by violation."""
    alive = [trial for trial in trials if trial.complete]
    alive.sort(key=lambda trial: (max(0.0, trial.violation or 0.0), -trial.metric.score(trial.value(reading))))
    found: dict[Any, Params] = {}
    for trial in alive:
        found.setdefault(point(trial.params), trial.params)
    return tuple(found.values())


def level_notes(trials: Iterable[Trial], zones: Sequence[Zone], reading: Reading) -> tuple[str, ...]:
    """A sentence if nothing tells the settings apart: all have the same value, or none is significantly worse than the
    best; for the user of a search that passes on ``zones``.
    """
    alive = [trial for trial in trials if trial.complete and trial.feasible]
    n = len({point(trial.params) for trial in alive})
    if n < 2:
        return ()
    scores = [trial.metric.score(trial.value(reading)) for trial in alive]
    if max(scores) - min(scores) <= 1e-12 * max(map(abs, scores)):
        return (f"All {n} settings have the same value, so nothing tells them apart.",)
    if len(zones) == 1 and len(zones[0].cells) == n:
        return (f"None of the {n} settings is significantly worse than the best, so nothing tells them apart.",)
    return ()


@dataclass(frozen=True)
class Outcomes:
    """Trials in the form that the surrogate uses.

    Args:
        cube: the unit cube of the space.
        trials: trials with a value on every axis, in any order.
        reading: how learning curves are read.
    """

    cube: Cube
    trials: Sequence[Trial]
    reading: Reading

    def known(self) -> Known:
        """The values; a point with infeasible or pruned trainings and no regular one may not be the best."""
        complete = [self._score(trial) for trial in self.trials if trial.complete]
        middle, worst = (float(np.median(complete)), min(complete)) if complete else (math.nan, math.nan)
        values: dict[Place, list[float]] = {}
        fine: set[Place] = set()
        for trial in self.trials:
            place = self._place(trial)
            score = self._score(trial)
            if trial.state == "pruned":
                curve = trial.counted_curve
                score = min(trial.metric.score(self.reading(curve, trial.metric)), middle) if curve else worst
            elif trial.complete and not infeasible(trial):
                fine.add(place)
            values.setdefault(place, []).append(score)
        return Known(values, frozenset(values) - fine)

    def chances(self) -> tuple[Chance, ...]:
        """A model for each cause of failure that has occurred."""
        if all(trial.complete and not infeasible(trial) for trial in self.trials):
            return ()
        trials = [trial for trial in self.trials if trial.state != "pruned" or trial.counted_curve]
        lacked = [trial for trial in trials if ran_out_of_memory(trial)]
        memory = learn(
            self.cube.space,
            np.array([self._place(trial) for trial in trials if trial.state != "failed"]),
            np.array([self._place(trial) for trial in lacked]),
        )
        failed = [trial for trial in trials if trial.state == "failed" and not (memory and ran_out_of_memory(trial))]
        causes = {
            "failed": ([trial for trial in trials if trial.state != "failed"], failed),
            "diverged": (
                [trial for trial in trials if trial.state in ("complete", "pruned")],
                [trial for trial in trials if trial.state == "diverged"],
            ),
            "infeasible": (
                [trial for trial in trials if trial.complete and not infeasible(trial)],
                [trial for trial in trials if trial.complete and infeasible(trial)],
            ),
        }
        found: list[Chance] = [memory] if memory else []
        for fine, lost in causes.values():
            region = Labels(self._counts(fine, lost)).region(self.cube.choices) if lost else None
            if region is not None:
                found.append(region)
        return tuple(found)

    def _counts(self, fine: Sequence[Trial], lost: Sequence[Trial]) -> dict[Place, tuple[int, int]]:
        counts: dict[Place, tuple[int, int]] = {}
        for trial in fine:
            a, b = counts.get(self._place(trial), (0, 0))
            counts[self._place(trial)] = a + 1, b
        for trial in lost:
            a, b = counts.get(self._place(trial), (0, 0))
            counts[self._place(trial)] = a, b + 1
        return counts

    def _score(self, trial: Trial) -> float:
        return trial.metric.score(trial.value(self.reading))

    def _place(self, trial: Trial) -> Place:
        return self._places[id(trial)]

    @cached_property
    def _places(self) -> dict[int, Place]:
        """The point of each trial, cached because every cause needs it."""
        return {id(trial): tuple(self.cube.point(trial.params).tolist()) for trial in self.trials}
