"""Which settings fit into memory: a limit learned from trainings that ran out of it.

Memory grows with width, depth and batch, about as their product. So one training that ran out of memory rules out
everything at least as large in every dimension, and one that fitted shows that everything no larger in any dimension
fits. In between, a logistic curve over the logarithms of the sizes, with non-negative weights, gives the probability.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from zonesearch.core.axes import AnyAxis, Axis, Choice
from zonesearch.core.space import Space
from zonesearch.core.trials import Trial

__all__ = ["Memory", "learn", "ran_out_of_memory"]

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_SAID = re.compile(
    r"out of memory|OutOfMemory|MemoryError|[Cc]an(no|')t allocate|ALLOC_FAILED|bad_alloc|RESOURCE_EXHAUSTED"
)
_WEIGHT_SD = 15.0  # of the logistic curve's weights, for an axis from end to end: steep, as a limit is
_SAME = 1e-9
_IMPOSSIBLE = -50.0  # log-probability assigned to what cannot fit
_EVEN = np.log(0.5)  # less likely than this to fit counts as impossible: no training is spent on the limit


def ran_out_of_memory(trial: Trial) -> bool:
    """Whether a training ran out of memory, judged by its traceback."""
    return trial.state == "failed" and _SAID.search(trial.error) is not None


@dataclass(frozen=True)
class Memory:
    """The memory limit as far as it is known.

    Args:
        space: its axes of whole numbers from 1 up, and choices among such numbers, are the sizes.
        fitted, lacked: sizes that fitted and sizes that ran out of memory, shape (n, n_sizes), from 0 to 1 on a log
            scale.
        weights, offset: of the logistic curve: log-odds that something fits = offset - weights * sizes.
    """

    space: Space
    fitted: Array
    lacked: Array
    weights: Array
    offset: float

    def log_probability(self, points: Array) -> Array:
        """Log-probability that trainings at points of the unit cube fit, (n, n_axes) -> (n,)."""
        sizes = _sizes(self.space, points)
        log = -np.logaddexp(0.0, -(self.offset - sizes @ self.weights))
        log = np.where(_any_below(sizes, self.fitted), 0.0, log)
        impossible = (log < _EVEN) | _any_below(-sizes, -self.lacked)
        return np.where(impossible, _IMPOSSIBLE, log)

    def slopes(self, points: Array) -> tuple[Array, Array]:
        """The same and its derivatives, shapes (n,) and (n, n_axes); by the logistic curve alone."""
        here = self.log_probability(points)
        step = 1e-6
        slopes = np.zeros_like(points)
        odds = self.offset - _sizes(self.space, points) @ self.weights
        lacks = 1.0 / (1.0 + np.exp(np.clip(odds, -500, 500)))
        for axis in self._numeric:
            moved = points.copy()
            moved[:, axis] += step
            more = (_sizes(self.space, moved) - _sizes(self.space, points)) / step
            slopes[:, axis] = -lacks * (more @ self.weights)
        slopes[here >= 0.0] = 0.0
        return here, slopes

    @cached_property
    def _numeric(self) -> list[int]:
        return [i for i, axis in enumerate(self.space.axes) if isinstance(axis, Axis) and _is_size(axis)]


def learn(space: Space, fitted: Array, lacked: Array) -> Memory | None:
    """Fit the limit to points of the unit cube that fitted and that did not, shape (n, n_axes) each.

    Returns:
        None if no training ran out of memory, or if no axis is a size.
    """
    if not len(lacked) or not any(_is_size(axis) for axis in space.axes):
        return None
    fits, lacks = (_sizes(space, points) for points in (fitted.reshape(-1, len(space.axes)), lacked))
    sizes = np.vstack([fits, lacks])
    signs = np.concatenate([np.ones(len(fits)), -np.ones(len(lacks))])

    def loss(theta: Array) -> tuple[float, Array]:
        margins = signs * (theta[-1] - sizes @ theta[:-1])
        wrong = signs / (1.0 + np.exp(np.clip(margins, -500, 500)))
        value = float(np.sum(np.logaddexp(0.0, -margins))) + 0.5 * float(np.sum((theta / _WEIGHT_SD) ** 2))
        slope = np.append(wrong @ sizes, -wrong.sum())
        return value, slope + theta / _WEIGHT_SD**2

    n = sizes.shape[1]
    bounds = [(0.0, None)] * n + [(None, None)]
    found = minimize(loss, np.append(np.ones(n), n / 2), jac=True, method="L-BFGS-B", bounds=bounds)
    return Memory(space, fits, lacks, found.x[:-1], float(found.x[-1]))


def _is_size(axis: AnyAxis) -> bool:
    if isinstance(axis, Choice):
        return len(axis.values) > 1 and all(type(value) is int and value >= 1 for value in axis.values)
    return bool(axis.integer) and axis.low >= 1 and axis.high > axis.low


def _sizes(space: Space, points: Array) -> Array:
    """Logarithms of the sizes, from 0 at the smallest to 1 at the largest, (n, n_axes) -> (n, n_sizes)."""
    columns = []
    for i, axis in enumerate(space.axes):
        if not _is_size(axis):
            continue
        if isinstance(axis, Choice):
            logs = np.log(np.array(axis.values, dtype=float))
            place = np.clip((points[:, i] * len(logs)).astype(int), 0, len(logs) - 1)
            columns.append((logs[place] - logs.min()) / np.ptp(logs))
        elif axis.scale == "log":
            columns.append(points[:, i])
        else:
            columns.append(np.log1p(points[:, i] * (axis.high / axis.low - 1.0)) / np.log(axis.high / axis.low))
    return np.stack(columns, axis=1)


def _any_below(sizes: Array, others: Array) -> Flags:
    """Which of ``sizes`` are no larger in any dimension than one of ``others``."""
    if not len(others):
        return np.zeros(len(sizes), dtype=bool)
    smaller = np.asarray(sizes[:, None] <= others + _SAME, dtype=np.bool_)
    below = np.asarray(smaller.all(axis=2), dtype=np.bool_).any(axis=1)
    return np.asarray(below, dtype=np.bool_)
