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
_MOST = 100.0  # times: a variance without repeats counts as no larger than that
_LEAST = 1e-3  # of the largest variance: none counts as less


def uneven(data: Data, values: Mapping[Place, Sequence[float]], variances: Mapping[Place, float], scale: Scale) -> Data:
    """``data`` with counts that give each point the noise of points of similar rank.

    A point without repeats has the noise of the repeated one that is next in rank, times as much as ``variances`` say
    that it is noisier. Unchanged without repeats, and if all of them agree exactly.

    Args:
        data: made from ``values`` with ``scale``.
        values: finite scores by point; ``variances`` what a single one of them is believed to have, in squared units of
            a score.
    """
    repeated = np.flatnonzero(data.counts > 1)
    if not len(repeated):
        return data
    order = repeated[np.argsort(-data.means[repeated], kind="stable")]
    squares = np.empty(len(order))
    for k, i in enumerate(order.tolist()):
        scores = scale.forth(np.array(values[tuple(data.points[i].tolist())]))
        squares[k] = float(np.sum((scores - scores.mean()) ** 2))
    width = min(_POOLED, len(order))
    starts = np.clip(np.arange(len(order)) - width // 2, 0, len(order) - width)
    pooled = _sums(squares, starts, width) / _sums(data.counts[order] - 1, starts, width)
    if not pooled.max() > 0:
        return data
    believed = np.array([variances[tuple(place)] for place in data.points.tolist()])
    believed *= np.exp(-2 * np.maximum(0.0, -1 - data.means))  # where values are compressed, so is their noise
    next_in_rank = np.searchsorted(-data.means[order], -data.means).clip(0, len(order) - 1)
    usual = _sums(believed[order], starts, width) / width
    single = pooled[next_in_rank]
    alone = data.counts == 1
    with np.errstate(divide="ignore", invalid="ignore"):
        noisier = np.where(usual > 0, 1, 0)[next_in_rank] * believed / usual[next_in_rank]
    single[alone] *= np.clip(np.nan_to_num(noisier[alone], nan=1.0, posinf=1.0), 1.0, _MOST)
    most = float(single.max())
    counts = data.counts * most / np.maximum(single, _LEAST * most)
    return replace(data, counts=counts, squares=most * float(counts.sum() - len(counts)))


def _sums(values: Array, starts: npt.NDArray[np.intp], width: int) -> Array:
    total = np.concatenate([[0.0], np.cumsum(values)])
    sums: Array = total[starts + width] - total[starts]
    return sums
