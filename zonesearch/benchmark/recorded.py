"""A finished map as a problem: recorded trainings are looked up, so that a contest on real data takes seconds.

A training returns one of the recorded seeds of the nearest recorded cell; the true value at a point is the mean over
all seeds of that cell. So the table itself is the ground truth: its noise is real and its best cell is known.
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
    """The measurements at one point.

    Args:
        params: the point.
        curves: per seed the validation value after each epoch; empty for a training that diverged or failed.
        train: per seed the accuracy on the training split by epoch, if recorded; empty otherwise.
        right: per seed which validation examples were right at the best epoch (packed bits), if recorded. Contests use
            neither.
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
    """A :class:`zonesearch.benchmark.problem.Problem` whose answers are looked up in a table.

    Args:
        name: in tables.
        space: the axes; if the map was a grid, their rows are the recorded values. Methods may request any allowed
            point between the cells; the cell nearest in the unit cube is used.
        epochs: the length of the curves; a shorter training returns their beginning.
        reading: how a curve is read.
        cells: at least one of them with a complete training.
        n_validation: number of examples behind each accuracy; None when unknown.
        metric: the metric of the values.
        with_replacement: whether every training draws one of the recorded seeds anew. By default, seeds 0, 1, 2, ... of
            a point are different recorded ones until all were used; then a few repeats of a point return exactly its
            true mean, which favours methods that repeat.

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
    with_replacement: bool = False

    def __post_init__(self) -> None:
        curves = [curve for cell in self.cells for curve in cell.curves if curve]
        if not curves:
            raise StudyError(f"the map {self.name} holds no complete training at any point of its space")
        if any(len(curve) != self.epochs for curve in curves):
            raise StudyError(f"the map {self.name} holds curves of other lengths than its {self.epochs} epochs")

    @cached_property
    def means(self) -> npt.NDArray[np.float64]:
        """The true mean of each cell, shape (n_cells,); a lost training counts as the worst value."""
        values = [
            [self.reading(curve, self.metric) if curve else math.nan for curve in cell.curves] for cell in self.cells
        ]
        worst = min((v for cell in values for v in cell if not math.isnan(v)), key=self.metric.score)
        return np.array([float(np.mean(np.nan_to_num(cell, nan=worst))) if cell else worst for cell in values])

    @property
    def best(self) -> float:
        """The best true mean of any cell."""
        return self.metric.best(self.means.tolist())

    @property
    def median(self) -> float:
        """The median over the cells."""
        return float(np.median(self.means))

    @property
    def n_seeds(self) -> int:
        """The smallest number of seeds of a cell; with one, answers are noise-free."""
        return min(len(cell.curves) for cell in self.cells)

    @property
    def n_trainings(self) -> int:
        """The number of recorded trainings, including lost ones."""
        return sum(len(cell.curves) for cell in self.cells)

    @cached_property
    def noise(self) -> float:
        """The standard deviation between seeds in the better half of the cells, pooled; NaN with one seed each.

        The worse half is left out: the spread of trainings that hardly learn says nothing about the neighbourhood of
        the best.
        """
        squares, degrees = 0.0, 0
        for cell, truth in zip(self.cells, self.means, strict=True):
            values = [self.reading(curve, self.metric) for curve in cell.curves if curve]
            if not self.metric.better(self.median, truth) and len(values) > 1:
                squares += float(np.var(values)) * len(values)
                degrees += len(values) - 1
        return math.sqrt(squares / degrees) if degrees else math.nan

    def answer(self, trainings: Sequence[Training], repeat: int) -> list[Trial]:
        """Recorded seeds, drawn per point, seed and repeat with replacement, otherwise in an order drawn per point and
        repeat.
        """
        return [self._answer(training, repeat) for training in trainings]

    @property
    def trials(self) -> Trials:
        """All recorded trainings as trials, with seeds numbered in recorded order."""
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
        """The index of the cell nearest to ``params`` in the unit cube; a different choice is farther than any other
        difference.
        """
        distances = np.sum((self._places - self._place(params)) ** 2, axis=1)
        return int(np.argmin(np.round(distances, 9)))

    def _answer(self, training: Training, repeat: int) -> Trial:
        curves = self.cells[self.nearest(training.params)].curves
        point = int(Training(training.params).key, 16)
        if self.with_replacement:
            drawn = np.random.default_rng([repeat, point, training.seed]).integers(len(curves), size=1)
        else:
            drawn = np.random.default_rng([repeat, point]).permutation(len(curves))
        curve = curves[int(drawn[training.seed % len(drawn)])]
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
        """Coordinates in the unit cube, with choices scaled up."""
        stretch = [2.0 * len(self.space.axes) * len(a.row()) if isinstance(a, Choice) else 1.0 for a in self.space.axes]
        place: npt.NDArray[np.float64] = self.space.unit(params) * np.array(stretch)
        return place
