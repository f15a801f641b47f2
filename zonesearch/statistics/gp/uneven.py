"""Noise that differs between points: known repeats as if some points had more of them.

The process has one noise variance. Where networks barely learn, seeds differ by much more than at the top of the map,
and one variance for all of them smooths the top as if it were as noisy. So the variance is pooled over points of
similar rank, and each point counts as so many repeats as its variance is below the largest one. Pooling over ranks
needs no model of how the noise depends on the value, whose ends, and the top is one of them, are known worst.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from zonesearch.statistics.gp.process import Data
from zonesearch.statistics.gp.targets import Place, Scale

__all__ = ["uneven"]

Array = npt.NDArray[np.float64]

_POOLED = 16  # repeated points of similar rank whose variances are pooled
_LEAST = 1e-3  # of the largest variance: none counts as less


def uneven(data: Data, values: Mapping[Place, Sequence[float]], scale: Scale) -> Data:
    """``data`` with counts that give each point the noise of points of similar rank.

    Unchanged without repeats, where they agree exactly, and if there are too few repeated points to tell ranks apart.

    Args:
        data: made from ``values`` with ``scale``.
        values: finite scores by point.
    """
    repeated = np.flatnonzero(data.counts > 1)
    if len(repeated) <= _POOLED:
        return data
    order = repeated[np.argsort(-data.means[repeated], kind="stable")]
    free, squares = data.counts[order] - 1, np.empty(len(order))
    for k, i in enumerate(order.tolist()):
        scores = scale.forth(np.array(values[tuple(data.points[i].tolist())]))
        squares[k] = float(np.sum((scores - scores.mean()) ** 2))
    starts = np.clip(np.arange(len(order)) - _POOLED // 2, 0, len(order) - _POOLED)
    pooled = _sums(squares, starts) / _sums(free, starts)
    most = float(pooled.max())
    if not most > 0:
        return data
    # a point without repeats has the noise of the repeated one that is next in rank
    nearest = np.searchsorted(-data.means[order], -data.means).clip(0, len(order) - 1)
    counts = data.counts * most / np.maximum(pooled, _LEAST * most)[nearest]
    return replace(data, counts=counts, squares=most * float(counts.sum() - len(counts)))


def _sums(values: Array, starts: npt.NDArray[np.intp]) -> Array:
    total = np.concatenate([[0.0], np.cumsum(values)])
    sums: Array = total[starts + _POOLED] - total[starts]
    return sums
