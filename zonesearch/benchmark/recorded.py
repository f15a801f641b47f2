"""A finished map as a problem: what was measured once answers again, so that a contest on real trainings takes seconds.

A training is answered from the nearest recorded cell, with one of its recorded seeds; the truth at a point is the mean
over all seeds of that cell. So the world of the contest is the table itself: its noise is real, its best cell known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from zonesearch.benchmark.problem import Truths
from zonesearch.core.axes import Choice
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.statistics.examples import n_right

__all__ = ["RecordedCell", "RecordedMap"]

Curve = tuple[float, ...]


@dataclass(frozen=True)
class RecordedCell:
    """What was measured at one point.

    Args:
        params: the point.
        curves: per seed the validation value after each epoch; empty for a training that diverged or failed.
        train: per seed the accuracy on the training split over each epoch, where it was recorded; empty otherwise.
        right: per seed which validation examples were right at the best epoch (packed bits), where that was recorded.
            Contests look at neither.
    """

    params: Params
    curves: tuple[Curve, ...]
    train: tuple[Curve, ...] = ()
    right: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        for name, found in (("training accuracies", self.train), ("answers", self.right)):
            if found and len(found) != len(self.curves):
                raise StudyError(
                    f"{name} of {len(found)} seeds at {self.params}, where {len(self.curves)} are recorded"
                )


@dataclass(frozen=True)
class RecordedMap:
    """A :class:`zonesearch.benchmark.problem.Problem` that answers from a table.

    Args:
        name: in tables.
        space: the axes, their rows being the recorded values where the map was a grid. Between the cells a method may
            ask whatever the axes allow; the nearest cell in the unit cube answers.
        epochs: the length of the curves; a shorter training is answered by their beginning.
        reading: how a curve is read.
        cells: at least one of them with a complete training.
        n_validation: number of examples behind each accuracy; None when unknown.
        metric: of which they are values.

    Raises:
        StudyError: no cell, or none with a complete training; curves of different lengths.
    """

    name: str
    space: Space
    epochs: int
    cells: tuple[RecordedCell, ...]
    reading: Reading = BEST
    n_validation: int | None = None
    metric: Metric = ACCURACY

    def __post_init__(self) -> None:
        curves = [curve for cell in self.cells for curve in cell.curves if curve]
        if not curves:
            raise StudyError(f"the map {self.name} holds no complete training at any point of its space")
        if any(len(curve) != self.epochs for curve in curves):
            raise StudyError(f"the map {self.name} holds curves of other lengths than its {self.epochs} epochs")

    @cached_property
    def means(self) -> npt.NDArray[np.float64]:
        """The true mean of each cell, shape (n_cells,); a training that was lost counts as the worst there is."""
        values = [
            [self.reading(curve, self.metric) if curve else math.nan for curve in cell.curves] for cell in self.cells
        ]
        worst = min((v for cell in values for v in cell if not math.isnan(v)), key=self.metric.score)
        return np.array([float(np.mean(np.nan_to_num(cell, nan=worst))) if cell else worst for cell in values])

    @property
    def best(self) -> float:
        """The best true mean of a cell."""
        return self.metric.best(self.means.tolist())

    @property
    def median(self) -> float:
        """The median over the cells."""
        return float(np.median(self.means))

    @property
    def n_seeds(self) -> int:
        """The fewest seeds of a cell; with one the table answers without noise."""
        return min(len(cell.curves) for cell in self.cells)

    @property
    def n_trainings(self) -> int:
        """How many trainings it holds, those that were lost too."""
        return sum(len(cell.curves) for cell in self.cells)

    @cached_property
    def noise(self) -> float:
        """The standard deviation between seeds in the better half of the cells, pooled; NaN with one seed each.

        The other half is left out: where trainings hardly learn, they scatter in a way that says nothing about the
        neighbourhood of the best.
        """
        squares, degrees = 0.0, 0
        for cell, truth in zip(self.cells, self.means, strict=True):
            values = [self.reading(curve, self.metric) for curve in cell.curves if curve]
            if not self.metric.better(self.median, truth) and len(values) > 1:
                squares += float(np.var(values)) * len(values)
                degrees += len(values) - 1
        return math.sqrt(squares / degrees) if degrees else math.nan

    def answer(self, trainings: Sequence[Training], repeat: int) -> list[Trial]:
        """Recorded seeds, drawn by point and repeat: seeds 0, 1, 2, ... of a point are different recorded ones."""
        return [self._answer(training, repeat) for training in trainings]

    @property
    def trials(self) -> Trials:
        """All that is recorded, as if it had been trained here: seeds are numbered in the order of the record."""
        return Trials(trial for cell in self.cells for trial in self._recorded(cell))

    def _recorded(self, cell: RecordedCell) -> Iterator[Trial]:
        for seed, curve in enumerate(cell.curves):
            training = Training(cell.params, seed, self.epochs)
            if not curve:
                yield Trial(training, "diverged", metric=self.metric)
                continue
            curves = {"validation_accuracy": curve, **({"train_accuracy": cell.train[seed]} if cell.train else {})}
            right = cell.right[seed] if cell.right else b""
            value = n_right(right) / self.n_validation if right and self.n_validation else BEST(curve, self.metric)
            yield Trial(
                training,
                accuracy=value,
                curve=curves,
                n_validation=self.n_validation,
                metric=self.metric,
                right=right,
            )

    def truth(self, params: Params) -> float:
        """The mean over all seeds of the nearest cell."""
        return float(self.means[self.nearest(params)])

    def truths(self, points: Sequence[Params]) -> Truths:
        """The means over all seeds of the nearest cells."""
        n, most = self.n_seeds, max(len(cell.curves) for cell in self.cells)
        seeds = f"{n} recorded seed{'s' if n > 1 else ''}" if n == most else f"{n} to {most} recorded seeds"
        source = f"The true mean of a point is that of its {seeds}; between the recorded cells the nearest one answers."
        return Truths(tuple(self.truth(point) for point in points), self.best, self.noise, self.median, source)

    def nearest(self, params: Params) -> int:
        """The number of the cell nearest to ``params`` in the unit cube; another choice is further than anything."""
        distances = np.sum((self._places - self._place(params)) ** 2, axis=1)
        return int(np.argmin(np.round(distances, 9)))

    def _answer(self, training: Training, repeat: int) -> Trial:
        curves = self.cells[self.nearest(training.params)].curves
        point = int(Training(training.params).key, 16)
        drawn = np.random.default_rng([repeat, point]).permutation(len(curves))
        curve = curves[int(drawn[training.seed % len(curves)])]
        if not curve:
            return Trial(training, "diverged", metric=self.metric)
        if training.epochs > self.epochs:
            raise StudyError(f"the map {self.name} ends at {self.epochs} epochs, but {training.epochs} were requested")
        known = curve[: training.epochs]
        return Trial(
            training,
            accuracy=BEST(known, self.metric),
            curve={"validation_accuracy": known},
            n_validation=self.n_validation,
            metric=self.metric,
        )

    @cached_property
    def _places(self) -> npt.NDArray[np.float64]:
        return np.array([self._place(cell.params) for cell in self.cells])

    def _place(self, params: Params) -> npt.NDArray[np.float64]:
        """Coordinates, those of choices stretched."""
        stretch = [2.0 * len(self.space.axes) * len(a.row()) if isinstance(a, Choice) else 1.0 for a in self.space.axes]
        place: npt.NDArray[np.float64] = self.space.unit(params) * np.array(stretch)
        return place
