"""What points under schedules are expected to be worth, trained with few seeds each.

All schedules of a point share its seeds, and with them their luck: the best of them by its mean is the luckiest point
under any of them. So a setting is worth what its point is expected to be worth (:mod:`zonesearch.statistics.expected`)
plus what its schedule adds to the same seeds, which in turn is drawn towards what that schedule adds at the other
points as far as noise explains the difference (an empirical Bayes estimate; Efron & Morris 1975).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Setting", "added", "copies"]


@dataclass(frozen=True)
class Setting:
    """A point under a schedule.

    Args:
        point: identifies the point.
        schedule: its name.
        scores: by seed, larger is better.
        results: by seed, everything that the training came to.
    """

    point: Hashable
    schedule: str
    scores: Mapping[int, float]
    results: Mapping[int, object]


def added(settings: Sequence[Setting], own: Mapping[Hashable, Mapping[int, float]]) -> list[float]:
    """What the schedule of each setting adds to the scores of its point.

    Args:
        settings: any points and schedules.
        own: by point, its scores under the schedule that the point's expected score is for, by seed.

    Returns:
        One number per setting; NaN where no seed was trained both ways.
    """
    differences = [
        [score - own[s.point][seed] for seed, score in s.scores.items() if seed in own.get(s.point, {})]
        for s in settings
    ]
    means = [math.fsum(found) / len(found) if found else math.nan for found in differences]
    by_schedule: dict[str, list[int]] = {}
    for i, setting in enumerate(settings):
        if differences[i]:
            by_schedule.setdefault(setting.schedule, []).append(i)
    squares = sum(float(np.var(found)) * len(found) for found in differences if len(found) > 1)
    degrees = sum(len(found) - 1 for found in differences if len(found) > 1)
    several = [places for places in by_schedule.values() if len(places) > 1]
    if not degrees or not several:
        return means
    noise = [squares / degrees / len(found) if found else math.nan for found in differences]
    # how far the same schedule adds different amounts at different points, beyond noise
    between = [float(np.var([means[i] for i in places], ddof=1)) for places in several]
    explained = [float(np.mean([noise[i] for i in places])) for places in several]
    real = max(0.0, float(np.mean(between)) - float(np.mean(explained)))
    found = list(means)
    for places in several:
        usual = float(np.mean([means[i] for i in places]))
        for i in places:
            kept = real / (real + noise[i]) if real + noise[i] > 0 else 1.0
            found[i] = usual + kept * (means[i] - usual)
    return found


def copies(settings: Sequence[Setting]) -> set[int]:
    """The indices of settings whose trainings are, seed by seed, those of an earlier setting of the same point: a
    schedule that never changed the rate.
    """
    seen: set[Hashable] = set()
    found = set()
    for i, setting in enumerate(settings):
        said = (setting.point, repr(sorted(setting.results.items())))
        if said in seen and setting.results:
            found.add(i)
        seen.add(said)
    return found
