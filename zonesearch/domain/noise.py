"""How much of an accuracy is chance.

Two parts. The finite validation set: an accuracy p counted on n examples has variance p(1 - p)/n, and repeating the
training with other seeds on the same examples does not reduce it. The training itself: initial weights and the order
of the data, estimated by the variance between seeds, pooled over all cells that have several (the cells of one map
are alike, and two or three seeds in a cell alone say little), and divided by the number of seeds. Where neither is
known, second differences along the rows of the map give a robust guess (Gasser, Sroka & Jennen-Steinmetz 1986).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from zonesearch.domain.reading import BEST, Reading
from zonesearch.domain.space import Space
from zonesearch.domain.trials import Params, Training, Trials, Value
from zonesearch.domain.values import point

__all__ = ["Cell", "Noise", "binomial_variance", "cell_of", "difference_variance", "map_cells", "measure_noise"]

Identity = tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class Cell:
    """What is known at one point of the space: one value per seed that came back complete.

    Args:
        params: the point.
        values: accuracies as the reading takes them, one per complete seed; empty when none was.
        n_validation: number of validation examples behind each value, None when unknown.
        n_parameters: number of free parameters of the network there.
        n_lost: number of seeds that diverged or failed.
    """

    params: Params
    values: tuple[float, ...]
    n_validation: int | None = None
    n_parameters: int | None = None
    n_lost: int = 0

    @cached_property
    def mean(self) -> float:
        """The mean over the seeds; NaN when no seed was complete."""
        return math.fsum(self.values) / len(self.values) if self.values else math.nan


@dataclass(frozen=True)
class Noise:
    """The noise of a map: variance between seeds, and how it was come by.

    Args:
        seed_variance: of a single training, in squared units of accuracy.
        degrees: degrees of freedom behind it; 0 when it was not measured by repeats.
        source: ``seeds``, ``differences`` or ``none``.
    """

    seed_variance: float = 0.0
    degrees: int = 0
    source: str = "none"

    def variance(self, cell: Cell) -> float:
        """The variance of the cell's mean: its share of the seed noise and the finite validation set."""
        if not cell.values:
            return math.inf
        return self.seed_variance / len(cell.values) + binomial_variance(cell.mean, cell.n_validation)

    def se(self, cell: Cell) -> float:
        """The standard error of the cell's mean."""
        return math.sqrt(self.variance(cell))


def binomial_variance(accuracy: float, n: int | None) -> float:
    """The variance p(1 - p)/n of an accuracy counted on ``n`` examples; 0 when ``n`` is unknown.

    p is drawn towards one half by one imaginary example, so that an accuracy of exactly 1 keeps a variance.
    """
    if not n or not 0.0 <= accuracy <= 1.0:
        return 0.0
    p = (accuracy * n + 0.5) / (n + 1)
    return p * (1 - p) / n


def map_cells(
    points: Iterable[Params], trials: Trials, *, seeds: Sequence[int], epochs: int, reading: Reading = BEST
) -> list[Cell]:
    """The cells at ``points``, from the trials with these seeds, read after ``epochs`` epochs; points stay in order."""
    return [cell_of(params, [Training(params, seed, epochs) for seed in seeds], trials, reading) for params in points]


def cell_of(params: Params, trainings: Sequence[Training], trials: Trials, reading: Reading = BEST) -> Cell:
    """The cell at ``params``, whose seeds are ``trainings``."""
    values: list[float] = []
    n_validation = n_parameters = None
    n_lost = 0
    for training in trainings:
        trial = trials.get(training)
        if trial is None:
            continue
        if not trial.complete:
            n_lost += 1
            continue
        values.append(trial.value(reading))
        n_validation = n_validation or trial.n_validation
        n_parameters = trial.n_parameters if n_parameters is None else n_parameters
    return Cell(dict(params), tuple(values), n_validation or None, n_parameters, n_lost)


def measure_noise(cells: Sequence[Cell], space: Space | None = None) -> Noise:
    """The noise of the map that ``cells`` make.

    Pooled over the seeds where any cell has several; else, if ``space`` is given and the validation size is unknown,
    from second differences along its rows; else nothing but the binomial part.
    """
    repeated = [(cell.mean, cell.values) for cell in cells if len(cell.values) > 1]
    degrees = sum(len(values) - 1 for _, values in repeated)
    if degrees:
        squares = math.fsum((value - mean) ** 2 for mean, values in repeated for value in values)
        return Noise(squares / degrees, degrees, "seeds")
    if space is not None and all(cell.n_validation is None for cell in cells):
        return Noise(difference_variance(cells, space), 0, "differences")
    return Noise()


def difference_variance(cells: Sequence[Cell], space: Space) -> float:
    """A robust guess of the noise variance from one value per cell.

    Along each row the middle of three neighbours is compared with the line through the other two; with independent
    noise of variance v the residual has variance v (1 + a^2 + b^2), a and b the weights of the line. The median of
    the squared standardised residuals is scaled to that of chi-square with one degree of freedom, so a few sharp
    peaks do not count as noise. 0 when no axis has three values.
    """
    value = {point(cell.params): cell.mean for cell in cells}
    squared: list[float] = []
    for axis in space.axes:
        row = axis.row()
        if not axis.ordered or len(row) < 3:
            continue
        for cell in cells:
            place = row.index(cell.params[axis.name]) if cell.params[axis.name] in row else 0
            if not 0 < place < len(row) - 1:
                continue
            left, right = (
                value.get(point({**cell.params, axis.name: row[place + step]}), math.nan) for step in (-1, 1)
            )
            u = [axis.to_unit(row[place + step]) for step in (-1, 0, 1)]
            b = (u[1] - u[0]) / (u[2] - u[0])
            residual = cell.mean - (1 - b) * left - b * right
            if math.isfinite(residual):
                squared.append(residual**2 / (1 + (1 - b) ** 2 + b**2))
    return float(np.median(squared) / stats.chi2.median(1)) if squared else 0.0
