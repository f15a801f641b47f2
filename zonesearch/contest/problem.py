"""What search methods compete on: a noisy answer to every training, and a truth that only the referee sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from zonesearch.domain.space import Space
from zonesearch.domain.trials import Params, Training, Trial

__all__ = ["FunctionProblem", "Problem"]


class Problem(Protocol):
    """A space with an answer to every training. Implementations are frozen dataclasses."""

    @property
    def name(self) -> str:
        """As it stands in tables."""
        ...

    @property
    def space(self) -> Space:
        """What is searched."""
        ...

    @property
    def epochs(self) -> int:
        """The full length of a training."""
        ...

    @property
    def noise(self) -> float:
        """The standard deviation of one training."""
        ...

    @property
    def best(self) -> float:
        """The true mean of the best point."""
        ...

    @property
    def median(self) -> float:
        """The true mean of the median point of the space: what a blind guess gives."""
        ...

    def answer(self, trainings: Sequence[Training], repeat: int) -> list[Trial]:
        """One trial per training, in order; another ``repeat`` gives the same seeds other noise."""
        ...

    def truth(self, params: Params) -> float:
        """The true mean accuracy at ``params``, as far as it can be known."""
        ...


@dataclass(frozen=True)
class FunctionProblem:
    """A surface without noise, measured with normal noise.

    Args:
        name: in tables.
        space: what is searched.
        surface: the true mean at a point, larger is better.
        noise: standard deviation of one training.
        best: the largest value of the surface.
        median: the median of the surface over the space; by default measured on 4,096 points of a Sobol sequence.
        epochs: the length of a training; the surface is the same at all.
    """

    name: str
    space: Space
    surface: Callable[[Params], float]
    noise: float
    best: float
    median: float = field(default=float("nan"))
    epochs: int = 1

    def __post_init__(self) -> None:
        if self.median != self.median:
            from scipy.stats import qmc

            points = qmc.Sobol(len(self.space.axes), rng=np.random.default_rng(0)).random(4096)
            median = float(np.median([self.surface(self.space.from_unit(point)) for point in points]))
            object.__setattr__(self, "median", median)

    def answer(self, trainings: Sequence[Training], repeat: int) -> list[Trial]:
        """Truth plus noise that depends on the training and the repeat alone."""
        return [Trial(training, accuracy=self._measure(training, repeat)) for training in trainings]

    def truth(self, params: Params) -> float:
        """The surface."""
        return self.surface(params)

    def _measure(self, training: Training, repeat: int) -> float:
        rng = np.random.default_rng([repeat, int(training.key, 16)])
        return float(self.surface(training.params) + rng.normal(0, self.noise))
