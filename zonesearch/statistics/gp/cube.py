"""A space mapped to the unit cube, vectorised over points.

Proposals are drawn by the thousand; each is snapped to values that the axes allow (whole numbers, one of the choices),
so the point scored is the point that would be trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zonesearch.core.axes import Axis, Choice
from zonesearch.core.lazy import Lazy
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Value

if TYPE_CHECKING:
    from scipy import special
    from scipy.stats import qmc
else:
    special = Lazy("scipy.special")
    qmc = Lazy("scipy.stats.qmc")

__all__ = ["Cube", "round_points"]

Array = npt.NDArray[np.float64]

_DOUBTED = 0.05  # relative to the belief at the center: a floor for every point
_HYPERCUBES = 40  # number of random hypercubes from which a design is chosen
_REFILLS = 4
_OVERCOUNT = 16  # combinations looked at per point of a space with conditions or constraints


def round_points(points: Array) -> Array:
    """Coordinates without the last digits, so that equal points are equal however they were computed."""
    return np.round(points, 12)


@dataclass(frozen=True)
class Cube:
    """The unit cube of ``space``; points have shape (n, n_axes)."""

    space: Space

    @property
    def n_axes(self) -> int:
        return len(self.space.axes)

    @cached_property
    def choices(self) -> npt.NDArray[np.bool_]:
        """Which axes are choices."""
        return np.array([isinstance(axis, Choice) for axis in self.space.axes])

    @cached_property
    def n_values(self) -> Array:
        """How many values each axis can take; infinity for real numbers."""
        return np.array([_n_values(axis) for axis in self.space.axes])

    def values(self, axis: int) -> Array:
        """The coordinates of all values of an axis that has finitely many, ascending."""
        return _values(self.space.axes[axis])

    def every(self, most: int) -> Array:
        """All points of the space, or none if there are infinitely many or more than ``most``; shape (n, n_axes).

        A branch counts its own axes only, and points at which a constraint does not hold are left out.
        """
        n_rough = float(np.prod(self.n_values))
        if n_rough > (_OVERCOUNT if self.space.conditional or self.space.constraints else 1) * most:
            return np.empty((0, self.n_axes))
        mesh = np.meshgrid(*(self.values(axis) for axis in range(self.n_axes)), indexing="ij")
        points = self.allowed(unique_rows(self.snap(np.stack([each.ravel() for each in mesh], axis=1))))
        return points if len(points) <= most else points[:0]

    def snap(self, points: Array) -> Array:
        """The nearest allowed points."""
        snapped = np.clip(points, 0.0, 1.0)
        for i, axis in enumerate(self.space.axes):
            column = snapped[:, i]
            if isinstance(axis, Choice):
                k = len(axis.values)
                snapped[:, i] = (np.minimum(np.floor(column * k), k - 1) + 0.5) / k
            elif axis.low == axis.high:
                snapped[:, i] = 0.5
            elif axis.integer or axis.step is not None:
                snapped[:, i] = _whole(axis, column)
        if self.space.conditional:  # an axis that does not apply is set to its middle, so it distinguishes no points
            for row in snapped:
                active = {axis.name for axis in self.space.active(self._all_params(row))}
                row[[name not in active for name in self.space.names]] = 0.5
        return round_points(snapped)

    def _all_params(self, point: Array) -> dict[str, Value]:
        return {axis.name: axis.from_unit(float(u)) for axis, u in zip(self.space.axes, point, strict=True)}

    def allowed(self, points: Array) -> Array:
        """Those of the points at which the constraints hold."""
        if not self.space.constraints:
            return points
        return points[[self.space.allows(self.params(point)) for point in points]]

    def params(self, point: Array) -> dict[str, Value]:
        """The parameters at a point; real numbers are rounded to 6 digits, so that a difference in the last bit does
        not make another training.
        """
        return {name: _short(self.space[name], value) for name, value in self.space.from_unit(point).items()}

    def point(self, params: Params) -> Array:
        """Where ``params`` lies, shape (n_axes,)."""
        return round_points(self.space.unit(params))

    @cached_property
    def spread(self) -> Array:
        """Allowed points spread evenly over the cube, the same for every seed, shape (256, n_axes)."""
        return self.snap(_sobol(self.n_axes))

    @cached_property
    def _beliefs(self) -> list[tuple[int, float, float]]:
        """For each axis with a prior belief: its index, and the center and spread of the belief in the unit cube."""
        found = []
        for i, axis in enumerate(self.space.axes):
            if isinstance(axis, Axis) and axis.prior is not None and axis.low < axis.high:
                log = axis.scale == "log"
                sd = np.log(axis.prior.spread) / np.log(axis.high / axis.low) if log else None
                sd = axis.prior.spread / (axis.high - axis.low) if sd is None else sd
                found.append((i, axis.to_unit(axis.prior.center), float(sd)))
        return found

    def belief(self, points: Array) -> Array:
        """Log of the prior belief at points, 0 at the center, shape (n,).

        No point falls below a twentieth, so a confident but wrong belief does not exclude the rest of the space.
        """
        squares = np.zeros(len(points))
        for i, center, sd in self._beliefs:
            squares += ((points[:, i] - center) / sd) ** 2
        said: Array = np.log(np.exp(-0.5 * squares) + _DOUBTED) - np.log1p(_DOUBTED)
        return said

    def _believed(self, points: Array) -> Array:
        """``points`` of a design, every other one moved to where the prior expects the best, the first one to its
        center.
        """
        moved = points.copy()
        for i, center, sd in self._beliefs:
            low, high = special.ndtr((0.0 - center) / sd), special.ndtr((1.0 - center) / sd)
            moved[::2, i] = center + sd * special.ndtri(low + (high - low) * points[::2, i])
            moved[0, i] = center
        return np.clip(moved, 0.0, 1.0)

    def design(self, n: int, seed: int, beside: Array | None = None) -> Array:
        """At most ``n`` different points, spread evenly: the maximin one of several Latin hypercubes.

        Every axis is divided into ``n`` equal parts with one point at the middle of each (McKay, Beckman & Conover
        1979), so neither the middle nor the rims are over-represented: a point on all rims at once is a corner, and
        most corners of a cube are far from a good setting. Of the hypercubes drawn, the one whose two nearest points
        are farthest apart is used (Johnson, Moore & Ylvisaker 1990). The point nearest to the middle comes first,
        followed each time by the one farthest from those before it, so any prefix is spread out too. Fewer than ``n``
        points if the space does not have that many.

        Points ``beside`` it, shape (m, n_axes), already belong to the design: that many fewer are returned, each time
        the one farthest from all others.
        """
        if beside is not None and len(beside):
            return self.farthest(self.design(n, seed), beside, max(0, n - len(beside)))
        rng = np.random.default_rng(seed)
        tried = [self._hypercube(n, rng) for _ in range(_HYPERCUBES)]
        crowding = [self._apart(points, points) + 9.0 * np.eye(n) for points in tried]
        best = tried[int(np.argmax([apart.min() for apart in crowding]))]
        points = self.allowed(unique_rows(self.snap(self._believed(best))))
        for _ in range(_REFILLS):  # snapping to whole numbers and choices may have merged some points
            if len(points) == n:
                break
            more = self.allowed(self.snap(rng.random((n - len(points), self.n_axes))))
            points = unique_rows(np.vstack([points, more]))
        if self.space.constraints and len(points) < n:  # a small region: its cells, spread evenly
            cells = np.array([self.point(params) for params in islice(self.space.grid(), 4096)])
            drawn = self.allowed(self.snap(rng.random((4096, self.n_axes))))
            points = unique_rows(np.vstack([points, drawn, cells.reshape(-1, self.n_axes)]))
        if not len(points):
            return points
        to_middle = self._apart(points, np.full((1, self.n_axes), 0.5))[:, 0]
        order = [int(np.argmax(self.belief(points)) if self._beliefs else np.argmin(to_middle))]
        nearest = np.full(len(points), np.inf)
        while len(order) < min(n, len(points)):
            nearest = np.minimum(nearest, self._apart(points, points[order[-1:]])[:, 0])
            nearest[order[-1]] = -1.0
            order.append(int(np.argmax(np.round(nearest, 9))))
        return points[order]

    def farthest(self, points: Array, beside: Array, n: int) -> Array:
        """``n`` of ``points``, each the one farthest from those ``beside`` and from those already chosen."""
        nearest = self._apart(points, beside).min(axis=1) if len(beside) else np.full(len(points), np.inf)
        order: list[int] = []
        while len(order) < min(n, len(points)):
            order.append(int(np.argmax(np.round(nearest, 9))))
            nearest = np.minimum(nearest, self._apart(points, points[order[-1:]])[:, 0])
            nearest[order] = -1.0
        return points[order]

    def _hypercube(self, n: int, rng: np.random.Generator) -> Array:
        parts = (np.arange(n) + 0.5) / n
        return np.stack([rng.permutation(parts) for _ in range(self.n_axes)], axis=1)

    def _apart(self, a: Array, b: Array) -> Array:
        """Distances, (n, n_axes), (m, n_axes) -> (n, m); two choices are half a side apart."""
        apart = a[:, None] - b
        apart[..., self.choices] = 0.5 * (np.abs(apart[..., self.choices]) > 1e-9)
        distances: Array = np.sqrt(np.sum(apart**2, axis=2))
        return distances


@cache
def _sobol(n_axes: int) -> Array:
    points: Array = qmc.Sobol(n_axes, scramble=False).random(256)
    return points


def unique_rows(points: Array) -> Array:
    """Unique points in order of first appearance."""
    return points[unique_places(points)]


def unique_places(points: Array) -> npt.NDArray[np.intp]:
    """Where each unique point appears first, ascending."""
    _, first = np.unique(points, axis=0, return_index=True)
    return np.sort(first)


def _short(axis: Axis | Choice, value: Value) -> Value:
    if isinstance(axis, Choice) or axis.integer or axis.step is not None:
        return value
    return min(max(float(f"{value:.6g}"), float(axis.low)), float(axis.high))


def _whole(axis: Axis, column: Array) -> Array:
    """The coordinates of the nearest whole numbers or steps."""
    log = axis.scale == "log"
    ratio = np.log(axis.high / axis.low) if log else 1.0
    values = axis.low * np.exp(column * ratio) if log else axis.low + column * (axis.high - axis.low)
    if axis.step is not None:
        values = axis.low + np.round((values - axis.low) / axis.step) * axis.step
    else:
        values = np.round(values)
    values = np.clip(values, axis.low, axis.high)
    places: Array = np.log(values / axis.low) / ratio if log else (values - axis.low) / (axis.high - axis.low)
    return places


def _values(axis: Axis | Choice) -> Array:
    if isinstance(axis, Choice):
        return (np.arange(len(axis.values)) + 0.5) / len(axis.values)
    if axis.low == axis.high:
        return np.array([0.5])
    if axis.n_steps is not None and axis.step is not None:
        values = [axis.low + axis.step * i for i in range(axis.n_steps + 1)]
    else:
        values = list(range(math.ceil(axis.low), math.floor(axis.high) + 1))
    return np.array([axis.to_unit(value) for value in values])


def _n_values(axis: Axis | Choice) -> float:
    if isinstance(axis, Choice):
        return len(axis.values)
    if axis.low == axis.high:
        return 1.0
    if axis.n_steps is not None:
        return axis.n_steps + 1
    return np.floor(axis.high) - np.ceil(axis.low) + 1 if axis.integer else np.inf
