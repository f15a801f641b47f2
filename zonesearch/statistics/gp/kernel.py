"""The kernel of the process: a joint Matern-5/2 over all axes plus the mean of a Matern-5/2 per axis.

With r the distance in length-scales times the square root of 5, a Matern-5/2 kernel is (1 + r + r^2/3) exp(-r)
(Rasmussen & Williams 2006, section 4.2). Values of a choice axis are either equal or not.

Along one axis exp(-r) is a quotient of two numbers, one per point, so an n x m matrix needs only n + m exponentials;
this accounts for most of the speed of suggestions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["Hyper", "Pairs"]

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_ROOT5 = math.sqrt(5.0)


@dataclass(frozen=True)
class Hyper:
    """Hyperparameters of the process.

    Args:
        scales: length-scales length-scales of the joint part, shape (n_axes,); those of the per-axis part are shorter
            by the square root of the number of axes.
        joint, single: variances of the joint and the per-axis part.
        noise: noise variance of a single value.
    """

    scales: Array
    joint: float
    single: float
    noise: float

    @property
    def variance(self) -> float:
        """Prior variance of the function."""
        return self.joint + self.single

    def kernel(self, a: Array, b: Array, choices: Flags) -> Array:
        """The covariance of the function at points of the unit cube, (n, n_axes), (m, n_axes) -> (n, m)."""
        n_axes = a.shape[1]
        rates = _ROOT5 / self.scales
        r2 = np.zeros((len(a), len(b)))
        singles = np.zeros_like(r2)
        for i, (rate, choice) in enumerate(zip(rates, choices, strict=True)):
            u, v = a[:, i], b[:, i]
            r = rate * np.abs(u[:, None] - v)
            if choice:
                r = np.where(r > 0, rate, 0.0)
            r2 += r * r
            r *= math.sqrt(n_axes)
            decay = np.exp(-r) if choice else _quotients(u, v, rate * math.sqrt(n_axes))
            singles += _matern(r, decay)
        r = np.sqrt(r2, out=r2)
        kernel = _matern(r, np.exp(-r))
        kernel *= self.joint
        singles *= self.single / n_axes
        kernel += singles
        return kernel


def _quotients(u: Array, v: Array, rate: float) -> Array:
    """exp(-rate |u - v|) for coordinates in [0, 1], (n,), (m,) -> (n, m)."""
    up, down = np.exp(rate * u), np.exp(rate * v)
    quotients: Array = np.minimum(np.outer(up, 1.0 / down), np.outer(1.0 / up, down))
    return quotients


def _matern(r: Array, decay: Array) -> Array:
    """(1 + r + r^2/3) exp(-r)."""
    value = r * (1.0 / 3.0)
    value += 1.0
    value *= r
    value += 1.0
    value *= decay
    return value


@dataclass(frozen=True)
class Pairs:
    """All pairs of ``points``, (n, n_axes), prepared for evaluating the kernel and its derivatives at many
    hyperparameters.
    """

    points: Array
    choices: Flags

    @cached_property
    def places(self) -> npt.NDArray[np.intp]:
        """The index of each pair in the lower triangle of a flattened (n, n) matrix."""
        rows, columns = self._ends
        return rows * len(self.points) + columns

    @cached_property
    def _ends(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        rows, columns = np.tril_indices(len(self.points), -1)
        return rows, columns

    @cached_property
    def _distances(self) -> Array:
        """Along each axis, shape (n_axes, n_pairs); 0 or 1 for choices."""
        rows, columns = self._ends
        distances = np.abs(self.points.T[:, rows] - self.points.T[:, columns])
        distances[self.choices] = distances[self.choices] > 0
        return distances

    @cached_property
    def _squares(self) -> Array:
        return self._distances**2

    @cached_property
    def _ordered(self) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
        """For each axis, the indices of each pair, the point with the smaller coordinate first."""
        rows, columns = self._ends
        swap = self.points.T[:, rows] > self.points.T[:, columns]
        return [(np.where(s, columns, rows), np.where(s, rows, columns)) for s in swap]

    def parts(self, scales: Array) -> tuple[Array, Array, Array, Array]:
        """Both parts of the kernel at each pair, for variance 1, and the terms that their derivatives need.

        Returns:
            joint part and the slope that :meth:`fall` needs, shape (n_pairs,) each; per-axis part, shape (n_pairs,),
            and its derivatives with respect to the log length-scales, shape (n_axes, n_pairs).
        """
        n_axes = len(scales)
        rates = _ROOT5 / scales
        r = np.sqrt((rates**2) @ self._squares)
        decay = np.exp(-r)
        joint = _matern(r, decay)
        r += 1.0
        r *= decay
        single = np.zeros(len(self.places))
        slopes = np.empty((n_axes, len(self.places)))
        for i, rate in enumerate(rates * math.sqrt(n_axes)):
            s = rate * self._distances[i]
            if self.choices[i]:
                decay = np.exp(-s)
            else:
                up = np.exp(rate * self.points[:, i])
                low, high = self._ordered[i]
                decay = up[low] * (1.0 / up)[high]
            third = s * s
            third *= 1.0 / 3.0
            s += 1.0
            slope = s * decay
            slopes[i] = third * slope
            third += s
            third *= decay
            single += third
        return joint, r, single / n_axes, slopes / n_axes

    def fall(self, weighted_slopes: Array, scales: Array) -> Array:
        """Weighted sum over the pairs of the derivative of the joint part with respect to the log of each length-scale.

        Args:
            weighted_slopes: the slope of :meth:`parts` times a weight, shape (n_pairs,).
            scales: shape (n_axes,).

        Returns:
            shape (n_axes,).
        """
        total: Array = (5.0 / 3.0) * (self._squares @ weighted_slopes) / scales**2
        return total
