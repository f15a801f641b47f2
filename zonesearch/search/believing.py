"""Assumed results of running trainings, so that others can be proposed in the meantime.

Otherwise, all workers that ask at the same time would get the same answer. Running trainings are assumed to give the
values that a Gaussian process of the finished ones expects (the kriging believer of Ginsbourger, Le Riche & Carraro
2010): not so good that all follow them, not so bad that their surroundings are abandoned. An expected value does not
change the mean of the process, so a single fit serves for all assumed values at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trial, Trials
from zonesearch.search.stages.surrogate.knowledge import by_gain
from zonesearch.search.stages.surrogate.outcomes import EXPECTED
from zonesearch.search.stages.surrogate.proposals import Acquisition, Search, challenger
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.process import Posterior, Prior, fit
from zonesearch.statistics.gp.stack import Stack
from zonesearch.statistics.gp.targets import Known, Scale

__all__ = ["Belief", "believed"]

_Array = npt.NDArray[np.float64]


class Belief:
    """The expected values of trainings, given finished ones; the process is fitted on first use.

    Args:
        trials: known trials; those without a value do not count.
        space: defines distances, in its unit cube.
    """

    def __init__(self, trials: Trials, space: Space) -> None:
        self._metric = trials.metric
        self._cube = Cube(space)
        self._known: dict[tuple[float, ...], list[float]] = {}
        self._params: dict[tuple[float, ...], Params] = {}
        for trial in trials:
            if trial.accuracy is not None and space.contains(trial.params):
                place = tuple(self._cube.point(trial.params).tolist())
                self._known.setdefault(place, []).append(self._metric.score(trial.accuracy))
                self._params.setdefault(place, trial.params)

    @property
    def knows(self) -> bool:
        """Whether any training has a value."""
        return bool(self._known)

    @cached_property
    def _fitted(self) -> tuple[Posterior, Scale]:
        data, scale = Known(self._known).data(self._cube)
        return fit(data, Prior()), scale

    @cached_property
    def _values(self) -> _Array:
        return np.array([score for scores in self._known.values() for score in scores])

    def of(self, trainings: Sequence[Training]) -> list[Trial]:
        """A complete trial for each of ``trainings``, with the posterior mean as its value, clipped to the range of
        known values.

        Another seed of a known point gets the mean of that point. A point that lacks an axis, or has a value outside
        the space, gets the mean of all. If nothing is known, the value is 0.
        """
        inside = [i for i, training in enumerate(trainings) if self._cube.space.contains(training.params)]
        scores = np.full(len(trainings), float(self._values.mean()) if len(self._values) else 0.0)
        if inside and len(self._values):
            posterior, scale = self._fitted
            means, _ = posterior.at_points(np.array([self._cube.point(trainings[i].params) for i in inside]))
            expected = [scale.back(float(z)) for z in means]
            scores[inside] = np.clip(expected, self._values.min(), self._values.max())
            for i in inside:  # another seed of a known point
                seen = self._known.get(tuple(self._cube.point(trainings[i].params).tolist()))
                scores[i] = scores[i] if seen is None else np.mean(seen)
        return [self._trial(training, float(score)) for training, score in zip(trainings, scores, strict=True)]

    def roughly(self, trainings: Sequence[Training]) -> list[Trial]:
        """The same with the mean of all values for each, where it only matters that trainings are pending there."""
        score = float(self._values.mean()) if len(self._values) else 0.0
        return [self._trial(training, score) for training in trainings]

    def _trial(self, training: Training, score: float) -> Trial:
        asked = Training(training.params, training.seed, training.epochs, test=True)
        return Trial(asked, accuracy=float(self._metric.value(score)), provenance=EXPECTED)

    def proposals(self, pending: Sequence[Training], rng: np.random.Generator) -> Iterator[Params]:
        """Points that are neither known nor ``pending``, by decreasing expected improvement if pending ones give
        expected values.

        Random if nothing is known; empty if there are no other points.
        """
        cube = self._cube
        if not len(self._values):
            drawn = cube.allowed(cube.snap(rng.random((64, cube.n_axes))))
            return (cube.params(point) for point in drawn if tuple(point.tolist()) not in self._places(pending))
        return (cube.params(point) for point in self._new(pending, rng))

    def worthwhile(self, pending: Sequence[Training], rng: np.random.Generator) -> Iterator[Params]:
        """Known points and new ones, by how much one more training there is expected to raise the highest posterior
        mean once the ``pending`` ones have returned; something must be known.
        """
        cube, posterior = self._cube, self._fitted[0]
        running = np.array(self._places(pending)).reshape(-1, cube.n_axes)
        for point in by_gain(posterior, self._new(pending, rng), running):
            yield self._params.get(tuple(point.tolist())) or cube.params(point)
        yield from self.again(pending)

    def again(self, pending: Sequence[Training]) -> Iterator[Params]:
        """Known and pending points, by how much a repeat tells about which of them is the best, if pending ones give
        expected values; something must be known.
        """
        for point in challenger(self._believing(pending)):
            yield self._params.get(tuple(point.tolist())) or self._cube.params(point)

    def by_improvement(self, points: _Array, pending: Sequence[Training]) -> list[Params]:
        """``points`` of the cube, shape (n, n_axes), by decreasing expected improvement if pending trainings give
        expected values; something must be known.
        """
        posterior = self._believing(pending)
        known = posterior.data.points[posterior.data.eligible]
        best = np.array([posterior.at_points(known)[0].max()])
        worth = Acquisition(Stack([posterior]), best).at_points(points)
        return [self._cube.params(points[i]) for i in np.argsort(-worth, kind="stable")]

    def _new(self, pending: Sequence[Training], rng: np.random.Generator) -> _Array:
        """Points that are neither known nor pending, by decreasing expected improvement, shape (n, n_axes)."""
        posterior = self._believing(pending)
        ranked = Search().ranked(self._cube, posterior, Stack([posterior]), rng)
        taken = {*self._known, *self._places(pending)}
        return ranked[[tuple(point) not in taken for point in ranked.tolist()]]

    def _believing(self, pending: Sequence[Training]) -> Posterior:
        return self._fitted[0].believing(np.array(self._places(pending)).reshape(-1, self._cube.n_axes))

    def _places(self, trainings: Sequence[Training]) -> list[tuple[float, ...]]:
        space = self._cube.space
        return [tuple(self._cube.point(t.params).tolist()) for t in trainings if space.contains(t.params)]


def believed(trainings: Sequence[Training], trials: Trials, space: Space) -> list[Trial]:
    """A complete trial for each of ``trainings``, its value what a Gaussian process of ``trials`` expects there."""
    return Belief(trials, space).of(trainings)
