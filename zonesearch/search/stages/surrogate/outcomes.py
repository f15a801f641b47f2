"""What became of trainings: values for the process, and how probable it is that a training has one.

Complete, diverged, failed, infeasible and pruned are five things. A complete training has a value. One that diverged or
failed has none, and says where such things happen; one that ran out of memory says what is too large. An infeasible one
(it reports a ``violation`` above 0) has a value but may not be the best. One that was pruned was not promising: it
counts as far as it came, and as no better than the middle of those that were complete.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from zonesearch.core.reading import Reading
from zonesearch.core.trials import Trial
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.success import Labels
from zonesearch.statistics.gp.targets import Known
from zonesearch.statistics.memory import learn, ran_out_of_memory

__all__ = ["EXPECTED", "Chance", "Outcomes", "expected", "infeasible"]

EXPECTED: Mapping[str, Any] = {"expected": True}
"""Provenance of a trial that is under way still, with the value that is expected of it."""

Array = npt.NDArray[np.float64]
Place = tuple[float, ...]


class Chance(Protocol):
    """How probable it is that a training ends well in one respect."""

    def log_probability(self, points: Array) -> Array:
        """Logarithm of the probability, (n, n_axes) -> (n,)."""
        ...

    def slopes(self, points: Array) -> tuple[Array, Array]:
        """The same and its derivatives by the coordinates, shapes (n,) and (n, n_axes)."""
        ...


def expected(trial: Trial) -> bool:
    """Whether nothing came back yet, and its value is only what is expected."""
    return bool(trial.provenance.get("expected"))


def infeasible(trial: Trial) -> bool:
    """Whether a training reported that it breaks a constraint."""
    return not trial.feasible


@dataclass(frozen=True)
class Outcomes:
    """Trials as the surrogate sees them.

    Args:
        cube: of the space.
        trials: with a value on every axis, in any order.
        reading: of learning curves.
    """

    cube: Cube
    trials: Sequence[Trial]
    reading: Reading

    def known(self) -> Known:
        """The values; a place where a training was infeasible or pruned, and none was in order, is barred."""
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
        """A model for each cause of which there was a case."""
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
        """By trial, where it lies: it is asked for with every cause."""
        return {id(trial): tuple(self.cube.point(trial.params).tolist()) for trial in self.trials}
