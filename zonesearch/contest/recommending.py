"""What a search recommends by the trials it has: one rule for all methods, so that only the searching is compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from zonesearch.domain.reading import BEST, Reading
from zonesearch.domain.space import Space
from zonesearch.domain.trials import Params, Trial
from zonesearch.errors import StudyError, did_you_mean

__all__ = ["RULES", "Means", "cell_means", "recommend"]

Means = list[tuple[Params, float, int]]
"""Of each point that was measured: parameters, mean accuracy, number of seeds."""


def cell_means(space: Space, trials: Iterable[Trial], reading: Reading = BEST) -> Means:
    """Means over the seeds of each point, from the longest trainings that there are; points in a fixed order."""
    complete = [trial for trial in trials if trial.complete and set(trial.params) == set(space.names)]
    longest = max((trial.epochs for trial in complete), default=0)
    cells: dict[object, list[Trial]] = {}
    for trial in sorted(complete, key=lambda trial: trial.training.key):
        if trial.epochs == longest:
            cells.setdefault(trial.training.identity[0], []).append(trial)
    return [
        (repeats[0].params, math.fsum(trial.value(reading) for trial in repeats) / len(repeats), len(repeats))
        for repeats in cells.values()
    ]


def observed(space: Space, means: Means) -> Params:
    """The point with the highest mean over its seeds: the luckiest one, where most have a single seed."""
    return max(means, key=lambda cell: cell[1])[0]


RULES: dict[str, Callable[[Space, Means], Params]] = {"observed": observed}
"""By name: how a point is picked from what was measured."""


def recommend(space: Space, trials: Iterable[Trial], rule: str = "observed", reading: Reading = BEST) -> Params | None:
    """The measured point that ``rule`` picks; None before any training was complete.

    Raises:
        StudyError: there is no such rule.
    """
    if rule not in RULES:
        raise StudyError(f'there is no rule "{rule}" to recommend by; {did_you_mean(rule, RULES)}')
    means = cell_means(space, trials, reading)
    return RULES[rule](space, means) if means else None
