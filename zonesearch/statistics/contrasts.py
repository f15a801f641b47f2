"""Which of many cells are significantly worse than which, a question that finding zones asks thousands of times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from zonesearch.statistics.noise import Cell, Noise, t_quantile, welch

__all__ = ["Contrasts"]


_MANY = 1000.0  # degrees of freedom: more are looked at one by one
_SURE = 50.0**2  # squared standard errors that are told apart without asking for degrees of freedom


class Contrasts:
    """Pairs of ``cells``, all with a value, under ``noise``.

    Args:
        cells: in any order; they are referred to by index.
        noise: of their map.
        level: two cells differ when their difference exceeds the two-sided quantile of Student's t at this level times
            its standard error.
    """

    def __init__(self, cells: Sequence[Cell], noise: Noise, level: float) -> None:
        self.cells = cells
        self.noise = noise
        self.level = level
        variances, degrees = noise.estimates(cells)
        self.scores: list[float] = [cell.score for cell in cells]
        self.variances: list[float] = variances.tolist()
        self.degrees: list[float] = degrees.tolist()
        self._scores = np.array(self.scores)
        self._variances, self._degrees = variances, degrees

    def below(self, i: int, j: int, level: float | None = None, least: float = 0.0) -> bool:
        """Whether cell ``i`` is significantly worse than cell ``j``; at another ``level`` if given, and with a variance
        of ``j`` of at least ``least``.

        The examples, which take counting, are asked only where seeds alone would say yes and the most that the
        examples can matter would not. More variance never makes a difference surer.
        """
        difference = self.scores[j] - self.scores[i]
        if difference <= 0:
            return False
        level = self.level if level is None else level
        other = max(self.variances[j], least)
        seeds = self.variances[i] + other
        a, b = self.cells[i], self.cells[j]
        answered = bool(a.right and b.right)
        most = (_wrong(a) + _wrong(b)) / (a.n_validation or 1) if answered else 0.0
        if difference * difference > _SURE * (seeds + most):
            return True
        parts = [(self.variances[i], self.degrees[i]), (other, self.degrees[j])]
        alone = _quantile(level, welch(parts)) * math.sqrt(seeds)
        if difference <= alone or not answered:
            return difference > alone
        if difference > 2 * alone * math.sqrt(1 + most / seeds if seeds > 0 else 1.0) and seeds > 0:
            return True
        found = self.noise.examples(a, b)
        both = _quantile(level, welch(parts, found))
        return difference > max(alone, both * math.sqrt(seeds + found.variance))

    def alike(self, places: Sequence[int], j: int, level: float, least: float = 0.0) -> list[int]:
        """Those of the cells at ``places`` that are not worse than cell ``j``, in their order; see :meth:`below`."""
        at = np.asarray(places, dtype=np.intp)
        other = max(self.variances[j], least)
        mine = self._variances[at]
        difference, variance = self.scores[j] - self._scores[at], mine + other
        # Student's quantile is never below the normal one: most cells need no more to be known of them. It falls with
        # the degrees of freedom, so that those of whole degrees below and above settle most of the rest.
        open_ = (difference > 0) & (difference > t_quantile(level, math.inf) * np.sqrt(variance))
        worse = open_.copy()
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = (mine / variance) ** 2 / self._degrees[at] + (other / variance) ** 2 / self.degrees[j]
            degrees = np.maximum(np.where(weight > 0, 1 / weight, np.inf)[open_], 1.0)
            ratio = difference[open_] / np.sqrt(variance[open_])
        whole, place = np.unique(np.minimum(np.floor(degrees), _MANY), return_inverse=True)
        upper = np.array([t_quantile(level, n) for n in whole.tolist()])[place]
        lower = np.array([t_quantile(level, n + 1 if n < _MANY else math.inf) for n in whole.tolist()])[place]
        told = ratio > upper
        for i in np.flatnonzero((ratio > lower) & ~told).tolist():
            told[i] = ratio[i] > t_quantile(level, float(degrees[i]))
        worse[open_] = told
        if not self.cells[j].right:
            return [int(i) for i in at[~worse]]
        return [
            i for i, is_worse in zip(places, worse, strict=True) if not is_worse or not self.below(i, j, level, least)
        ]

    def usual_variance(self, places: Sequence[int], j: int) -> float:
        """The median variance of the cells at ``places``, as the mean of as many seeds as cell ``j`` has."""
        singles = sorted(self.variances[i] * len(self.cells[i].values) for i in places)
        return singles[len(singles) // 2] / len(self.cells[j].values)


def _wrong(cell: Cell) -> float:
    return 1 - cell.mean if cell.metric.maximized else cell.mean


def _quantile(level: float, degrees: float) -> float:
    return _table(level, degrees if degrees == math.inf else round(degrees, 1))


@lru_cache(maxsize=4096)
def _table(level: float, degrees: float) -> float:
    return t_quantile(level, degrees)
