"""Derive a recommendation from trials: one rule for all methods, so that only the search itself is compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from zonesearch.core.reading import BEST, Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Trial
from zonesearch.errors import StudyError, did_you_mean
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.process import Prior, fit
from zonesearch.statistics.gp.targets import Known

__all__ = ["RULES", "Repeated", "known_rule", "recommend", "repeated"]

Repeated = list[tuple[Params, tuple[float, ...]]]
"""For each measured point: its parameters, and one score per seed (larger is better)."""


def repeated(space: Space, trials: Iterable[Trial], reading: Reading = BEST) -> Repeated:
    """The scores at each point, from the longest trainings available; points in a fixed order."""
    complete = [trial for trial in trials if trial.complete and set(trial.params) == set(space.names)]
    longest = max((trial.epochs for trial in complete), default=0)
    cells: dict[object, list[Trial]] = {}
    for trial in sorted(complete, key=lambda trial: trial.training.key):
        if trial.epochs == longest:
            cells.setdefault(trial.training.identity[0], []).append(trial)
    return [
        (found[0].params, tuple(trial.metric.score(trial.value(reading)) for trial in found))
        for found in cells.values()
    ]


def observed(space: Space, points: Repeated) -> Params:
    """The point with the highest mean over its seeds; with mostly single seeds, this is the luckiest one."""
    return max(points, key=lambda point: math.fsum(point[1]) / len(point[1]))[0]


def posterior(space: Space, points: Repeated) -> Params:
    """The measured point with the highest mean of a Gaussian process fitted to all of them, which averages out luck."""
    cube = Cube(space)
    places = [tuple(cube.point(params).tolist()) for params, _ in points]
    values: dict[tuple[float, ...], list[float]] = {}
    for place, (_, accuracies) in zip(places, points, strict=True):
        values.setdefault(place, []).extend(accuracies)
    data, _ = Known(values).data(cube)
    means, _ = fit(data, Prior()).at_points(data.points)
    best = tuple(data.points[int(np.argmax(means))].tolist())
    return points[places.index(best)][0]


RULES: dict[str, Callable[[Space, Repeated], Params]] = {"observed": observed, "posterior": posterior}
"""By name: the function that picks a point from the measurements."""


def known_rule(rule: str) -> None:
    """Check the name of a rule.

    Raises:
        StudyError: there is no such rule.
    """
    if rule not in RULES:
        raise StudyError(f'unknown rule "{rule}" to recommend by; {did_you_mean(rule, RULES)}')


def recommend(space: Space, trials: Iterable[Trial], rule: str = "posterior", reading: Reading = BEST) -> Params | None:
    """The measured point that ``rule`` picks; None before any training has completed.

    Raises:
        StudyError: there is no such rule.
    """
    known_rule(rule)
    points = repeated(space, trials, reading)
    return RULES[rule](space, points) if points else None
