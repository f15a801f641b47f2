"""The prior updated by the user's earlier runs, as further tasks in its likelihood.

Tasks of one user share properties that other tasks lack: their data, their code, the scale of their loss. So the
surface of a task is modelled as the sum of the learned mean, a surface common to the user's tasks, and one specific to
the task; the latter two have the learned kernel, in proportions chosen by the likelihood of the earlier runs. Given
these runs, the user's surface is a Gaussian process like any other: its posterior mean is added to the mean of the
network, and the explained variance is subtracted from the kernel. If the tasks have nothing in common, the proportions
say so, and the prior is unchanged.

Centre and unit of each earlier run are integrated out under the learned prior
(:mod:`zonesearch.search.controller.model`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from zonesearch.search.controller.context import Context, features
from zonesearch.search.controller.lessons import Lesson
from zonesearch.search.controller.model import standardised
from zonesearch.search.controller.prior import LearnedPrior, Seen

__all__ = ["HomePrior", "at_home"]

Array = npt.NDArray[np.float64]

_MOST = 160  # maximum number of settings of all earlier runs together
_SHARES = ((1.0, 0.0, 0.4), (0.6, 0.4, 0.3), (0.4, 1.2, 0.2), (0.3, 4.0, 0.1))
"""The variances of the task's own and of the user's surface, in units of the learned kernel's, and the prior
probability.
"""
_SUREST = 0.6  # maximum probability that earlier runs are informative about a new task, however well they agree
_ROUGH = 0.04  # variance that no surface explains, in addition to the noise


@dataclass(frozen=True)
class HomePrior(LearnedPrior):
    """The learned prior conditioned on earlier runs.

    Args:
        arrays, about: of the learned prior.
        known: the settings of the earlier runs as the learned prior sees them.
        inverse: inverse of the factor of their covariance.
        reduced: their standardised values minus the learned mean, solved by the factor.
        own, shared: variances of the task's own and of the user's surface, in units of the learned kernel's.
        chance: the probability that the earlier runs have something in common; bounded, so that some doubt remains.
    """

    known: Seen
    inverse: Array
    reduced: Array
    own: float
    shared: float
    chance: float

    def see(self, x: Array) -> Seen:
        """Like the learned prior's method, with the information of the earlier runs added."""
        plain = super().see(x)
        taken = self.shared * self.surface(plain, self.known) @ self.inverse.T
        return replace(plain, mean=plain.mean + taken @ self.reduced, base=plain.mean, taken=taken)

    def means(self, x: Array) -> Array:
        """The prior mean alone, shape (n,)."""
        return self.see(x).mean

    def kernel(self, a: Seen, b: Seen) -> Array:
        """The covariance of a new task's surface at two sets of settings, (n,), (m,) -> (n, m)."""
        total: Array = (self.own + self.shared) * self.surface(a, b) + self.of_scale(a, b)
        if a.taken is not None and b.taken is not None:
            total -= a.taken @ b.taken.T
        return total

    def variance(self, a: Seen) -> Array:
        """The variance of the surface at each setting, shape (n,)."""
        _, _, offset, slope = self.arrays["variances"]
        total: Array = (self.own + self.shared) * self.surface_variance(a) + offset + slope * a.base**2
        if a.taken is not None:
            total = total - np.einsum("ij,ij->i", a.taken, a.taken)
        return np.maximum(total, 1e-6)


@lru_cache(maxsize=8)
def at_home(prior: LearnedPrior, lessons: tuple[Lesson, ...]) -> LearnedPrior:
    """The prior conditioned on ``lessons``; unchanged if there are none, or if they have nothing in common.

    The number of settings is divided among the lessons; of each, the best settings are used, then others evenly by
    rank.
    """
    parts = [_seen(prior, lesson, max(3, _MOST // len(lessons))) for lesson in lessons]
    if not parts:
        return prior
    noises = [part.noise / seeds + _ROUGH for part, _, seeds in parts]
    z = np.concatenate(
        [
            standardised(scores, part.mean, _own(prior, part, noise, 1.5))
            for (part, scores, _), noise in zip(parts, noises, strict=True)
        ]
    )
    known = _together([part for part, _, _ in parts])
    everywhere = prior.surface(known, known)
    within = np.zeros_like(everywhere)
    scale = np.zeros_like(everywhere)
    start = 0
    for part, _, _ in parts:
        rows = slice(start, start + len(part.mean))
        within[rows, rows] = everywhere[rows, rows]
        scale[rows, rows] = prior.of_scale(part, part)
        start = rows.stop
    scale[np.diag_indices(len(z))] += np.concatenate(noises)
    left = z - known.mean
    best: tuple[float, float, float, Array] | None = None
    logs = []
    for own, shared, chance in _SHARES:
        L: Array = np.asarray(np.linalg.cholesky(own * within + shared * everywhere + scale))
        reduced = solve_triangular(L, left, lower=True, check_finite=False)
        log = math.log(chance) - 0.5 * float(reduced @ reduced) - float(np.log(np.diag(L)).sum())
        logs.append(log)
        if best is None or log > best[0]:
            best = log, own, shared, L
    assert best is not None
    _, own, shared, L = best
    if not shared:
        return prior
    weights = np.exp(np.array(logs) - max(logs))
    alike = float(sum(w for w, (_, u, _) in zip(weights, _SHARES, strict=True) if u) / weights.sum())
    inverse = solve_triangular(L, np.eye(len(z)), lower=True, check_finite=False)
    return HomePrior(prior.arrays, prior.about, known, inverse, inverse @ left, own, shared, min(_SUREST, alike))


def _own(prior: LearnedPrior, part: Seen, noise: Array, share: float) -> Array:
    K = share * prior.surface(part, part) + prior.of_scale(part, part)
    K[np.diag_indices(len(K))] += noise
    return K


def _together(parts: Sequence[Seen]) -> Seen:
    names = ["mean", "phi", "noise", "canonical", "base"]
    found = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    shapes = [part.shapes for part in parts if part.shapes is not None]
    return Seen(**found, shapes=np.concatenate(shapes) if shapes else None)


def _seen(prior: LearnedPrior, lesson: Lesson, most: int) -> tuple[Seen, Array, Array]:
    """The settings of a lesson as the prior sees them, with their scores and numbers of seeds."""
    kept: npt.NDArray[np.int64] = np.arange(len(lesson))
    if len(lesson) > most:  # the first are the best
        n_best = most // 3
        rest = np.linspace(n_best, len(lesson) - 1, most - n_best).round().astype(int)
        kept = np.concatenate([kept[:n_best], rest])
    context = Context(epochs=lesson.epochs)
    found, order = [], []
    for rows, optimizer, values in lesson.groups():
        part = np.isin(rows, kept)
        if part.any():
            columns = {role: column[part] for role, column in values.items() if role in prior.roles}
            found.append(prior.see(features(columns, context, optimizer, int(part.sum()))))
            order.append(rows[part])
    rows = np.concatenate(order)
    return _together(found), np.array(lesson.scores)[rows], np.array(lesson.seeds, dtype=np.float64)[rows]
