"""The problems that search methods compete on: a noisy answer to every training, and true values that only the scoring
sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trial

__all__ = ["FunctionProblem", "Problem", "Truths"]


@dataclass(frozen=True)
class Truths:
    """The true values of points, used for scoring.

    Args:
        values: the true mean of each in the metric's own sign, or the best estimate of it.
        best: the true mean of the best point, or of the best one known.
        noise: the standard deviation of one training; NaN if unknown.
        median: the median of the true means over the space, expected of a random guess; NaN if unknown.
        source: where they come from, as a sentence.
    """

    values: tuple[float, ...]
    best: float
    noise: float
    median: float = math.nan
    source: str = ""


class Problem(Protocol):
    """A space with an answer to every training. Implementations are frozen dataclasses.

    If its values are not accuracies, it has an attribute ``metric``, and its trials carry that metric.
    """

    @property
    def name(self) -> str:
        """The name shown in tables."""
        ...

    @property
    def space(self) -> Space:
        """What is searched."""
        ...

    @property
    def epochs(self) -> int:
        """The full length of a training in epochs."""
        ...

    def answer(self, trainings: Sequence[Training], repeat: int) -> list[Trial]:
        """One trial per training, in order; a different ``repeat`` gives the same seeds different noise."""
        ...

    def truths(self, points: Sequence[Params]) -> Truths:
        """The true means at all points that searches recommended; called once, after all searches."""
        ...


@dataclass(frozen=True)
class FunctionProblem:
    """A known surface, measured with normal noise.

    Args:
        name: in tables.
        space: what is searched.
        surface: the true mean at a point.
        noise: standard deviation of one training.
        best: the best value of the surface.
        median: the median of the surface over the space; by default computed on 4,096 points of a Sobol sequence.
        epochs: the length of a training; the surface does not depend on it.
        metric: the metric of the surface, with its direction.
    """

    name: str
    space: Space
    surface: Callable[[Params], float]
    noise: float
    best: float
    median: float = field(default=math.nan)
    epochs: int = 1
    metric: Metric = ACCURACY

    def __post_init__(self) -> None:
        if self.median != self.median:
            from scipy.stats import qmc

            points = qmc.Sobol(len(self.space.axes), rng=np.random.default_rng(0)).random(4096)
            median = float(np.median([self.surface(self.space.from_unit(point)) for point in points]))
            object.__setattr__(self, "median", median)

    def answer(self, trainings: Sequence[Training], repeat: int) -> list[Trial]:
        """The true value plus noise that depends only on the training and the repeat."""
        return [Trial(training, accuracy=self._measure(training, repeat), metric=self.metric) for training in trainings]

    def truths(self, points: Sequence[Params]) -> Truths:
        """The values of the surface."""
        values = tuple(float(self.surface(point)) for point in points)
        return Truths(values, self.best, self.noise, self.median, "The true means are those of the surface itself.")

    def _measure(self, training: Training, repeat: int) -> float:
        rng = np.random.default_rng([repeat, int(training.key, 16)])
        return float(self.surface(training.params) + rng.normal(0, self.noise))
