"""What search methods compete on: a noisy answer to every training, and a truth that only the referee sees."""

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
    """What the referee knows about points.

    Args:
        values: the true mean of each in the metric's own sign, as far as it can be known.
        best: that of the best point there is, or the best that is known.
        noise: the standard deviation of one training; NaN when unknown.
        median: that of the median point of the space, which a blind guess gives; NaN when unknown.
        source: how they are known, in a sentence.
    """

    values: tuple[float, ...]
    best: float
    noise: float
    median: float = math.nan
    source: str = ""


class Problem(Protocol):
    """A space with an answer to every training. Implementations are frozen dataclasses.

    One whose values are no accuracies says so in an attribute ``metric``, and in its trials.
    """

    @property
    def name(self) -> str:
        """Its name in tables."""
        ...

    @property
    def space(self) -> Space:
        """What is searched."""
        ...

    @property
    def epochs(self) -> int:
        """The full length of a training."""
        ...

    def answer(self, trainings: Sequence[Training], repeat: int) -> list[Trial]:
        """One trial per training, in order; another ``repeat`` gives the same seeds other noise."""
        ...

    def truths(self, points: Sequence[Params]) -> Truths:
        """The true means at all points that searches recommended; asked once, when all of them are over."""
        ...


@dataclass(frozen=True)
class FunctionProblem:
    """A surface without noise, measured with normal noise.

    Args:
        name: in tables.
        space: what is searched.
        surface: the true mean at a point.
        noise: standard deviation of one training.
        best: the best value of the surface.
        median: the median of the surface over the space; by default measured on 4,096 points of a Sobol sequence.
        epochs: the length of a training; the surface is the same at all.
        metric: what the surface is of, and which direction is better.
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
        """Truth plus noise that depends on the training and the repeat alone."""
        return [Trial(training, accuracy=self._measure(training, repeat), metric=self.metric) for training in trainings]

    def truths(self, points: Sequence[Params]) -> Truths:
        """The surface."""
        values = tuple(float(self.surface(point)) for point in points)
        return Truths(values, self.best, self.noise, self.median, "The true means are those of the surface itself.")

    def _measure(self, training: Training, repeat: int) -> float:
        rng = np.random.default_rng([repeat, int(training.key, 16)])
        return float(self.surface(training.params) + rng.normal(0, self.noise))
