"""A recorded map of width x batch as one array, and the few statistics that statements about it need.

Intervals are Student's t; where several differences are looked at together their level is Bonferroni's. The noise of a
single training is pooled over the widths of one batch size, since small batches jitter more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import stats

from zonesearch.benchmark.recorded import RecordedMap
from zonesearch.core.reading import Reading

__all__ = ["Array", "Interval", "Picture", "Row", "mean_interval", "share_interval"]

Array = npt.NDArray[np.float64]

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A number with its interval, in the unit of what was measured, and how many values are behind it."""

    value: float
    low: float
    high: float
    n: int

    def text(self, digits: int = 2, unit: str = "", sign: bool = False) -> str:
        """``0.31 (0.22 to 0.40)``; without an interval the number alone."""
        form = f"{'+' if sign else ''}.{digits}f"
        said = f"{self.value:{form}}{unit}"
        return said if math.isnan(self.low) else f"{said} ({self.low:{form}} to {self.high:{form}})"


def mean_interval(values: Sequence[float] | Array, level: float = LEVEL) -> Interval:
    """The mean of independent values; without an interval for fewer than two."""
    found = np.asarray(values, dtype=float)
    n = len(found)
    mean = float(found.mean()) if n else math.nan
    if n < 2:
        return Interval(mean, math.nan, math.nan, n)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1) * found.std(ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def share_interval(k: int, n: int, level: float = LEVEL) -> Interval:
    """A share with Wilson's interval (Wilson 1927)."""
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0)
    z = float(stats.norm.ppf(0.5 + level / 2))
    p = k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(p, max(0.0, middle - half), min(1.0, middle + half), n)


@dataclass(frozen=True)
class Row:
    """The widths of one batch size.

    Args:
        batch: their batch size.
        widths: rising.
        values: in per cent, shape (n_widths, n_seeds).
    """

    batch: int
    widths: tuple[int, ...]
    values: Array

    @property
    def means(self) -> Array:
        """Over the seeds, shape (n_widths,)."""
        found: Array = self.values.mean(axis=1)
        return found

    @property
    def n_seeds(self) -> int:
        return self.values.shape[1]

    @property
    def variance(self) -> float:
        """Of a single training, pooled over the widths; NaN with one seed."""
        return float(self.values.var(axis=1, ddof=1).mean()) if self.n_seeds > 1 else math.nan

    def least_difference(self, n_compared: int) -> float:
        """By how much two means must differ to be told apart when so many pairs are looked at."""
        degrees = len(self.widths) * (self.n_seeds - 1)
        if not degrees:
            return math.inf
        quantile = float(stats.t.ppf(1 - (1 - LEVEL) / (2 * n_compared), degrees))
        return quantile * math.sqrt(2 * self.variance / self.n_seeds)

    def half_width(self) -> float:
        """Half of the interval of one mean."""
        return self.least_difference(1) / math.sqrt(2)

    def falls(self, n_compared: int) -> bool:
        """Whether a wider network is worse than a narrower one, beyond the noise."""
        least = self.least_difference(n_compared)
        return any(self.means[i] - self.means[j] > least for i, j in combinations(range(len(self.widths)), 2))

    def rises(self) -> bool:
        """Whether the widest is better than the narrowest, beyond the noise."""
        return bool(self.means[-1] - self.means[0] > self.least_difference(1))

    def optima(self, n_compared: int) -> int:
        """Peaks with a valley between them that lies below both, beyond the noise; at least 1."""
        return n_peaks(self.means, self.least_difference(n_compared))


def n_peaks(values: Array, least: float = 0.0) -> int:
    """Local maxima of a row that stand above the valleys to their neighbours by more than ``least``."""
    found, rising, top, bottom = 0, True, -math.inf, math.inf
    for value in values:
        top, bottom = max(top, value), min(bottom, value)
        if rising and value < top - least:
            found, rising, bottom = found + 1, False, value
        elif not rising and value > bottom + least:
            rising, top = True, value
    return found + rising


@dataclass(frozen=True)
class Picture:
    """Accuracies on the validation split, in per cent.

    Args:
        widths, batches: rising.
        curves: shape (n_batches, n_widths, n_seeds, n_epochs); only seeds that all cells have.
        train: on the training split, same shape; NaN where it was not recorded.
    """

    widths: tuple[int, ...]
    batches: tuple[int, ...]
    curves: Array
    train: Array

    @classmethod
    def of(cls, recorded: RecordedMap) -> Picture:
        """Of a full grid of width x batch, every training complete.

        Raises:
            ValueError: a cell is missing, or a training of it was lost.
        """
        cells = {(int(cell.params["batch"]), int(cell.params["width"])): cell for cell in recorded.cells}
        batches, widths = (tuple(sorted({key[i] for key in cells})) for i in (0, 1))
        if len(cells) != len(batches) * len(widths) or not all(c for cell in cells.values() for c in cell.curves):
            raise ValueError(f"{recorded.name} is not a full map of width and batch")
        n = recorded.n_seeds
        shape = (len(batches), len(widths), n, recorded.epochs)
        curves, train = np.full(shape, np.nan), np.full(shape, np.nan)
        for i, batch in enumerate(batches):
            for j, width in enumerate(widths):
                cell = cells[batch, width]
                curves[i, j] = cell.curves[:n]
                if cell.train:
                    train[i, j] = cell.train[:n]
        return cls(widths, batches, 100 * curves, 100 * train)

    @property
    def n_seeds(self) -> int:
        return self.curves.shape[2]

    @property
    def n_epochs(self) -> int:
        return self.curves.shape[3]

    @cached_property
    def best(self) -> Array:
        """At the best epoch, shape (n_batches, n_widths, n_seeds)."""
        found: Array = self.curves.max(axis=3)
        return found

    def read(self, reading: Reading, epochs: int | None = None) -> Array:
        """After ``epochs`` epochs (all), shape (n_batches, n_widths, n_seeds)."""
        found: Array = np.apply_along_axis(lambda curve: reading(curve.tolist()), 3, self.curves[..., :epochs])
        return found

    def rows(self, reading: Reading) -> Iterator[Row]:
        """One row for each batch size."""
        for batch, values in zip(self.batches, self.read(reading), strict=True):
            yield Row(batch, self.widths, values)

    def at(self, reading: Reading, width: int, batch: int) -> Array:
        """The seeds of one cell."""
        found: Array = self.read(reading)[self.batches.index(batch), self.widths.index(width)]
        return found
