"""The learned prior's forecast of a search before anything is trained.

Surfaces are drawn from the prior at points spread over the space. The positions of their best points show where the
zone probably is; the gap between each surface's best and the best in another region, relative to the noise between
seeds, determines how many trainings will tell the two apart. Draws have a fixed seed, so the same study gets the same
forecast anywhere.

Fractions of draws are not exactly the coverage on held-out tasks: learning rates fell outside more often, and many
tasks had one best region far above the others. So the widths of the intervals were calibrated on 36 tasks and checked
on 30 others (docs/controller.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zonesearch.core.axes import Axis
from zonesearch.core.lazy import Lazy
from zonesearch.search.controller.view import View
from zonesearch.statistics.gp.cube import Cube

if TYPE_CHECKING:
    from scipy import special
    from scipy.stats import qmc
else:
    special = Lazy("scipy.special")
    qmc = Lazy("scipy.stats.qmc")

__all__ = ["PROBABILITY", "AxisForecast", "Foresight", "foresee", "shortest", "trainings_to_separate"]

Array = npt.NDArray[np.float64]

PROBABILITY = 0.8
"""Stated coverage of every interval."""
_WITHIN = {"learning_rate": 0.83}
_WITHIN_USUALLY = 0.75  # fraction of the draws within the interval of an axis
_SEPARATING = (0.1, 0.5, 0.9)  # fractions of the draws below the stated numbers of trainings
_EASIER = 2.5  # by how much farther from the middle, in logarithms, the lowest of these numbers lies than among draws
_POINTS, _DRAWS = 512, 600
_APART = 0.25  # fraction of an axis: settings that differ by more on some axis are in different regions
_POWER = 0.8  # power of the test that tells the two apart
MOST_EACH = 1000
"""Largest number of trainings per setting that is stated; beyond it, only "more"."""


@dataclass(frozen=True)
class AxisForecast:
    """The interval that probably contains the best value of an axis.

    Args:
        name, role: of the axis.
        low, high: the ends of the interval, in the unit of the axis.
        share: fraction of the axis's range covered by the interval; near :data:`PROBABILITY`, nothing is known about
            the axis.
    """

    name: str
    role: str
    low: float
    high: float
    share: float


@dataclass(frozen=True)
class Foresight:
    """A forecast.

    Args:
        axes: those with a role, each with an interval that contains its best value with :data:`PROBABILITY`.
        unknown: the names of the other axes.
        each: median number of trainings of each of the best two settings of different regions needed to tell them
            apart; 0 if all settings are in one region.
        each_low, each_high: bounds of that number with :data:`PROBABILITY`; ``MOST_EACH`` means that many or more.
        runs: the names of the earlier runs that updated the prior.
    """

    axes: tuple[AxisForecast, ...]
    unknown: tuple[str, ...]
    each: int
    each_low: int
    each_high: int
    runs: tuple[str, ...] = ()


def foresee(view: View, level: float = 0.95) -> Foresight | None:
    """The forecast for the space of ``view``; None if no axis has a role.

    Args:
        view: the space under the prior.
        level: confidence level at which two settings are to be told apart.
    """
    if not view.roles:
        return None
    cube = view.cube
    points = spread_points(cube)
    rng = np.random.default_rng(2)
    best: list[Array] = []
    needed: list[Array] = []
    apart = differing(cube, points)
    for sight in view.sights:
        n = round(_DRAWS * sight[3])
        if not n or not len(points):
            continue
        surfaces, noise = view.drawn(points, sight, n, rng)
        top = np.argmax(surfaces, axis=1)
        best.append(top)
        rivals = np.where(apart[top], surfaces, -np.inf)
        gaps = surfaces[np.arange(n), top] - rivals.max(1)
        second = np.argmax(rivals, axis=1)
        rivalled = np.isfinite(gaps)  # constraints may leave a single region
        noises = 0.5 * (noise[top] + noise[second])
        needed.append(trainings_to_separate(gaps[rivalled], noises[rivalled], level))
    tops = points[np.concatenate(best)]
    numbers = np.concatenate(needed)
    axes = tuple(_on_axis(cube, name, role, tops) for name, role in view.roles.items() if cube.space[name].ordered)
    low = middle = high = 0
    if len(numbers):
        lowest, median, highest = np.quantile(numbers, _SEPARATING)
        low, middle, high = (
            min(MOST_EACH, max(2, math.ceil(q))) for q in (median * (lowest / median) ** _EASIER, median, highest)
        )
    unknown = tuple(name for name in cube.space.names if name not in view.roles)
    shifted = tuple(lesson.run for lesson in view.lessons) if view.is_shifted else ()
    return Foresight(axes, unknown, middle, low, high, shifted)


def spread_points(cube: Cube) -> Array:
    """Allowed points, spread evenly, the same for every study with this space; shape (n, n_axes)."""
    drawn = qmc.Sobol(cube.n_axes, scramble=False).random(_POINTS)
    found: Array = np.unique(cube.allowed(cube.snap(drawn)), axis=0)
    return found


def differing(cube: Cube, points: Array) -> npt.NDArray[np.bool_]:
    """Which pairs of points are in different regions, shape (n, n)."""
    return np.asarray(np.abs(points[:, None] - points[None]).max(2) > _APART)


def trainings_to_separate(gaps: Array, noise: Array, level: float) -> Array:
    """Trainings of each of two settings at which a two-sided test at ``level`` has a power of four fifths.

    Args:
        gaps: differences of their expected values, shape (n,).
        noise: the variance of a training, shape (n,).
    """
    z = float(special.ndtri(1 - (1 - level) / 2) + special.ndtri(_POWER))
    needed = 2 * z**2 * noise / np.maximum(gaps, 1e-9) ** 2
    return np.asarray(np.clip(needed, 2.0, 10.0 * MOST_EACH))


def shortest(values: Array, share: float) -> tuple[float, float]:
    """The ends of the shortest interval that contains this fraction of ``values``."""
    ordered = np.sort(values)
    n = min(len(ordered), max(1, math.ceil(share * len(ordered))))
    widths = ordered[n - 1 :] - ordered[: len(ordered) - n + 1]
    start = int(np.argmin(widths))
    return float(ordered[start]), float(ordered[start + n - 1])


def _on_axis(cube: Cube, name: str, role: str, tops: Array) -> AxisForecast:
    axis: Any = cube.space[name]
    assert isinstance(axis, Axis)
    where = tops
    if cube.space.conditional:
        where = np.array([top for top in tops if name in cube.space.branch(cube.params(top))]).reshape(-1, cube.n_axes)
    column = where[:, cube.space.names.index(name)] if len(where) else np.array([0.0, 1.0])
    low, high = shortest(column, _WITHIN.get(role, _WITHIN_USUALLY))
    return AxisForecast(name, role, float(axis.from_unit(low)), float(axis.from_unit(high)), high - low)
