"""Which of many cells are worse than which, beyond the noise: the question that zones ask thousands of times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from zonesearch.domain.noise import Cell, Noise, t_quantile, welch

__all__ = ["Contrasts"]


class Contrasts:
    """Pairs of ``cells``, all with a value, under ``noise``.

    Args:
        cells: in any order; they are named by their place.
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

    def below(self, i: int, j: int, level: float | None = None, least: float = 0.0) -> bool:
        """Whether cell ``i`` is worse than cell ``j`` beyond the noise; at another ``level`` where one is given, and
        with a variance of ``j`` of at ``least`` so much.

        The examples, which take counting, are asked only where seeds alone would say yes and the most that the
        examples can matter would not. More variance never makes a difference surer.
        """
        difference = self.scores[j] - self.scores[i]
        if difference <= 0:
            return False
        level = self.level if level is None else level
        other = max(self.variances[j], least)
        seeds = self.variances[i] + other
        parts = [(self.variances[i], self.degrees[i]), (other, self.degrees[j])]
        alone = _quantile(level, welch(parts)) * math.sqrt(seeds)
        a, b = self.cells[i], self.cells[j]
        if difference <= alone or not a.right or not b.right:
            return difference > alone
        most = (_wrong(a) + _wrong(b)) / (a.n_validation or 1)
        if difference > 2 * alone * math.sqrt(1 + most / seeds if seeds > 0 else 1.0) and seeds > 0:
            return True
        found = self.noise.examples(a, b)
        both = _quantile(level, welch(parts, found))
        return difference > max(alone, both * math.sqrt(seeds + found.variance))

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
