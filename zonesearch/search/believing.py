"""What is believed of trainings that are under way, so that others can be thought of meanwhile.

With nothing believed, all workers that ask at one time would get the same answer. What is still running is taken to
come out as a Gaussian process of all that came back expects (the kriging believer of Ginsbourger, Le Riche & Carraro
2010): not so well that all follow it, not so badly that its surroundings are given up. A value that comes out as
expected does not move the mean of the process, so one fit answers for everything that is believed at one time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trial, Trials
from zonesearch.search.stages.surrogate.outcomes import EXPECTED
from zonesearch.search.stages.surrogate.proposals import Search
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.process import Posterior, Prior, fit
from zonesearch.statistics.gp.stack import Stack
from zonesearch.statistics.gp.targets import Known, Scale

__all__ = ["Belief", "believed"]

_Array = npt.NDArray[np.float64]


class Belief:
    """What is expected of trainings, by what came back; the process is fitted when it is first asked.

    Args:
        trials: what is known; those without a value do not count.
        space: in whose unit cube points lie near to each other or far apart.
    """

    def __init__(self, trials: Trials, space: Space) -> None:
        self._metric = trials.metric
        self._cube = Cube(space)
        self._known: dict[tuple[float, ...], list[float]] = {}
        for trial in trials:
            if trial.accuracy is not None and space.contains(trial.params):
                place = tuple(self._cube.point(trial.params).tolist())
                self._known.setdefault(place, []).append(self._metric.score(trial.accuracy))

    @property
    def knows(self) -> bool:
        """Whether anything came back with a value."""
        return bool(self._known)

    @cached_property
    def _fitted(self) -> tuple[Posterior, Scale]:
        data, scale = Known(self._known).data(self._cube)
        return fit(data, Prior()), scale

    @cached_property
    def _values(self) -> _Array:
        return np.array([score for scores in self._known.values() for score in scores])

    def of(self, trainings: Sequence[Training]) -> list[Trial]:
        """A complete trial for each of ``trainings``, with the posterior mean as its value, within what is known.

        Another seed of a known point is worth the mean of that point. One that lacks an axis, or has a value outside,
        is worth the mean of all. Where nothing is known, 0 is believed.
        """
        inside = [i for i, training in enumerate(trainings) if self._cube.space.contains(training.params)]
        scores = np.full(len(trainings), float(self._values.mean()) if len(self._values) else 0.0)
        if inside and len(self._values):
            posterior, scale = self._fitted
            means, _ = posterior.at_points(np.array([self._cube.point(trainings[i].params) for i in inside]))
            expected = [scale.back(float(z)) for z in means]
            scores[inside] = np.clip(expected, self._values.min(), self._values.max())
            for i in inside:  # another seed of a point that is known
                seen = self._known.get(tuple(self._cube.point(trainings[i].params).tolist()))
                scores[i] = scores[i] if seen is None else np.mean(seen)
        return [self._trial(training, float(score)) for training, score in zip(trainings, scores, strict=True)]

    def roughly(self, trainings: Sequence[Training]) -> list[Trial]:
        """The same with the mean of all as the value of each, for whom it is enough that somebody is there."""
        score = float(self._values.mean()) if len(self._values) else 0.0
        return [self._trial(training, score) for training in trainings]

    def _trial(self, training: Training, score: float) -> Trial:
        asked = Training(training.params, training.seed, training.epochs, test=True)
        return Trial(asked, accuracy=float(self._metric.value(score)), provenance=EXPECTED)

    def proposals(self, pending: Sequence[Training], rng: np.random.Generator) -> Iterator[Params]:
        """Points that are neither known nor ``pending``, by falling expected improvement when these come as expected.

        At random where nothing is known; empty where there are no other points.
        """
        cube = self._cube
        waiting = [cube.point(training.params) for training in pending if cube.space.contains(training.params)]
        taken = {*self._known, *(tuple(point.tolist()) for point in waiting)}
        if len(self._values):
            posterior = self._fitted[0].believing(np.array(waiting).reshape(-1, cube.n_axes))
            ranked = Search().ranked(cube, posterior, Stack([posterior]), rng)
        else:
            ranked = cube.snap(rng.random((64, cube.n_axes)))
        return (cube.params(point) for point in ranked if tuple(point.tolist()) not in taken)


def believed(trainings: Sequence[Training], trials: Trials, space: Space) -> list[Trial]:
    """A complete trial for each of ``trainings``, its value what a Gaussian process of ``trials`` expects there."""
    return Belief(trials, space).of(trainings)
