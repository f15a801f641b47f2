"""What is believed of trainings that are under way, so that others can be thought of meanwhile.

With nothing believed, all workers that ask at one time would get the same answer. What is still running is taken to
come out as its neighbours did (the kriging believer of Ginsbourger, Le Riche & Carraro 2010, with inverse distances in
the place of kriging): not so well that all follow it, not so badly that its surroundings are given up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials

__all__ = ["believed"]

_POWER = 4  # of the distance: the nearest points decide
_NEAR = 1e-6
_Array = npt.NDArray[np.float64]


def believed(trainings: Sequence[Training], trials: Trials, space: Space) -> list[Trial]:
    """A complete trial for each of ``trainings``, its value that of the neighbours by inverse distance.

    Args:
        trainings: with a value on every axis; one that lacks an axis, or has a value outside, is worth the mean.
        trials: what is known; those without a value do not count. Where none has one, 0 is believed.
        space: whose unit cube says how far points are apart.
    """
    known = [trial for trial in trials if trial.accuracy is not None and space.contains(trial.params)]
    values = np.array([trial.accuracy for trial in known], dtype=float)
    points = np.array([space.unit(trial.params) for trial in known]).reshape(len(known), len(space.axes))
    return [
        Trial(
            Training(training.params, training.seed, training.epochs, test=True),
            accuracy=_value(training, points, values, space),
        )
        for training in trainings
    ]


def _value(training: Training, points: _Array, values: _Array, space: Space) -> float:
    if not len(values):
        return 0.0
    if not space.contains(training.params):
        return float(values.mean())
    away = np.sqrt(((points - space.unit(training.params)) ** 2).sum(axis=1))
    weights = 1.0 / (away + _NEAR) ** _POWER
    return float((weights * values).sum() / weights.sum())
