"""Zones of a posterior: connected regions not significantly different from its maximum.

The trained points are visited from the highest posterior mean down, each more than a third of a length-scale from those
before it, until one is significantly worse than the best. Two of them belong to different zones if the straight line
between them crosses a valley below the lower end; otherwise they are in the same zone, as the points of a plateau are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zonesearch.core.axes import AnyAxis, Choice
from zonesearch.core.lazy import Lazy
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.trials import Params, Value
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.process import Posterior, top_points
from zonesearch.statistics.gp.targets import Scale
from zonesearch.statistics.grid_zones import Zone, level_inwards, peak_zone

if TYPE_CHECKING:
    from scipy import stats
else:
    stats = Lazy("scipy.stats")

__all__ = ["find_regions"]

Array = npt.NDArray[np.float64]

_APART = 1 / 3  # length-scales
_LOOKED_AT = 24  # top_points
_VALLEY = 0.5  # standard deviations of its depth: a valley this significant separates two zones
_EQUAL = 1e-9  # in standardised units: rounding tolerance
_STEPS = 33  # points evaluated along a line


def find_regions(
    cube: Cube,
    posterior: Posterior,
    scale: Scale,
    params: Mapping[tuple[float, ...], Params],
    metric: Metric = ACCURACY,
    *,
    points: Array | None = None,
    level: float = 0.95,
    zones_max: int = 5,
) -> tuple[Zone, ...]:
    """The zones, best first.

    Args:
        cube: unit cube of the space.
        posterior: posterior of the standardised values; ``scale`` converts back to scores.
        params: the parameters of each trained point.
        metric: converts scores back to values.
        points: those that may be cells of a zone, shape (n, n_axes); by default the points of the posterior.
        level: a point is significantly worse than another if the posterior of their difference excludes zero at this
            level (two-sided, and Bonferroni-corrected over all zones).
        zones_max: maximum number of zones.
    """
    z = float(stats.norm.ppf(1 - (1 - level) / 2 / max(1, zones_max - 1)))
    tops = top_points(posterior, _LOOKED_AT, _APART)
    peaks: list[Array] = []
    for top in tops:
        if peaks and posterior.worse(peaks[0], top[None])[0] > z:
            continue
        if all(_valley(cube, posterior, peak, top) for peak in peaks):
            peaks.append(top)
        if len(peaks) == zones_max:
            break
    points = posterior.data.points[posterior.data.eligible] if points is None else points
    home = np.argmin([posterior.distance(points, peak[None])[:, 0] for peak in peaks], axis=0)
    means, sds = posterior.at_points(np.array(peaks))
    zones = []
    for i, peak in enumerate(peaks):
        mine = points[home == i]
        alike = mine[posterior.worse(peak, mine) <= z]
        heights = posterior.at_points(alike)[0]
        order = np.argsort(-heights, kind="stable")
        cells = dict.fromkeys([tuple(peak.tolist()), *(tuple(alike[j].tolist()) for j in order)])
        score = scale.back(float(means[i]))
        se = max(scale.back(float(means[i] + sds[i])) - score, 0.0)
        zone = peak_zone(cube.space, params[tuple(peak.tolist())], metric.value(score), se, i + 1, metric)
        zone = level_inwards(zone, [params[tuple(p.tolist())] for p in alike[heights >= heights.max() - _EQUAL]])
        more: dict[str, Any] = {
            "cells": tuple(dict(params[cell]) for cell in cells),
            "intervals": {
                axis.name: _interval(cube, posterior, peak, at, axis, z)
                for at, axis in enumerate(cube.space.axes)
                if axis.name in zone.peak
            },
        }
        zones.append(Zone(**{**vars(zone), **more}))
    return tuple(zones)


def _valley(cube: Cube, posterior: Posterior, a: Array, b: Array) -> bool:
    """Whether the posterior dips between two points below the lower of them."""
    part = np.linspace(0, 1, _STEPS)[1:-1, None]
    way = np.where(cube.choices, np.where(part < 0.5, a, b), a + part * (b - a))
    lower = min((a, b), key=lambda point: float(posterior.at_points(point[None])[0][0]))
    return bool(np.max(posterior.worse(lower, way)) > _VALLEY)


def _interval(cube: Cube, posterior: Posterior, peak: Array, at: int, axis: AnyAxis, z: float) -> tuple[Value, ...]:
    """The values along one axis around the peak that are not significantly different from it, plus one step."""
    if isinstance(axis, Choice):
        return axis.values
    way = np.repeat(peak[None], _STEPS, axis=0)
    way[:, at] = np.linspace(0, 1, _STEPS)
    worse = posterior.worse(peak, way) > z
    below = [u for u, is_worse in zip(way[:, at], worse, strict=True) if is_worse and u < peak[at]]
    above = [u for u, is_worse in zip(way[:, at], worse, strict=True) if is_worse and u > peak[at]]
    ends = np.repeat(peak[None], 2, axis=0)
    ends[:, at] = below[-1] if below else 0.0, above[0] if above else 1.0
    low, high = (cube.params(end)[axis.name] for end in ends)
    return low, high
