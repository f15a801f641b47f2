"""What one more training is worth at the end of a search: a repeat of a known point, or a new point.

At the end, one point is recommended: the trained one with the highest posterior mean. The value of a training is by
how much it is expected to raise that mean (the knowledge gradient of Frazier, Powell & Dayanik 2009, for correlated
values). It is one scale for both: a repeat is worth something only where it may change which point is the best, and a
new point only where it may become the best.

Beside trainings that are running, it is what one more raises the mean by once all of them have returned, averaged over
draws of what they return (Wu & Frazier 2016, one point added at a time). If each of them were assumed to return what is
expected, which of them turns out best would not count: of eight workers, too many would look for new points, and too
few find out which of those found is the best.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.stats import qmc

from zonesearch.statistics.gp.process import Posterior

__all__ = ["by_gain", "gains"]

Array = npt.NDArray[np.float64]

_Z = np.linspace(-5.0, 5.0, 81)
_WEIGHTS = np.exp(-0.5 * _Z**2) / np.exp(-0.5 * _Z**2).sum()
_DRAWS = 256  # of what running trainings and one more return; half of them mirrored
_MOST_NEW, _MOST_NEW_BESIDE = 16, 24  # new points compared with known ones; beside running trainings
_WORTHLESS = 1e-9  # in standardised units: rounding error


def by_gain(posterior: Posterior, new: Array, running: Array | None = None) -> Array:
    """Known points and the first of the ``new`` ones, at which a training is worth anything, by descending gain; shape
    (n, n_axes). Arguments as for :func:`gains`.
    """
    beside = running is not None and len(running) > 0
    points, worth = gains(posterior, new[: _MOST_NEW_BESIDE if beside else _MOST_NEW], running)
    order = np.argsort(-worth, kind="stable")
    ranked: Array = points[order[worth[order] > _WORTHLESS]]
    return ranked


def gains(posterior: Posterior, new: Array, running: Array | None = None) -> tuple[Array, Array]:
    """Trained points that may be the best, then ``new`` ones, and the expected gain of one more training at each.

    Args:
        posterior: of what is known.
        new: points that are neither trained nor running, shape (n, n_axes).
        running: the points of running trainings, one row each, shape (k, n_axes).

    Returns:
        the points, shape (m, n_axes), and the gains, shape (m,), in the units of the posterior.
    """
    trained = posterior.data.points[posterior.data.eligible]
    barred = {tuple(point) for point in posterior.data.points[~posterior.data.eligible].tolist()}
    if running is not None and barred:  # further seeds there make none of them the best
        running = running[[tuple(point) not in barred for point in running.tolist()]]
    if running is not None and len(running):
        return np.vstack([trained, new]), _gains_beside(posterior, trained, new, running)
    points = np.vstack([trained, new])
    means, covariance = posterior.covariance(points)
    spreads = np.sqrt(np.maximum(np.diag(covariance), 1e-12) + posterior.hyper.noise)
    slopes = covariance / spreads  # column j: how far each mean moves per standard deviation of the value at j
    n = len(trained)
    best = float(means[:n].max())
    rivals = np.flatnonzero(means[:n] + _Z[-1] * np.abs(slopes[:n]).max(axis=1) >= best)
    found = np.empty(len(points))
    for j in range(len(points)):
        own = np.append(rivals, j) if j >= n else rivals
        later = means[own, None] + slopes[own, j, None] * _Z
        found[j] = float(later.max(axis=0) @ _WEIGHTS) - best
    return points, np.maximum(found, 0.0)


def _gains_beside(posterior: Posterior, trained: Array, new: Array, running: Array) -> Array:
    """The gains at the trained and the new points once the ``running`` trainings have returned, shape (m,)."""
    now, sds = posterior.at_points(trained)
    hopeful = np.flatnonzero(now + _Z[-1] * sds >= now.max())  # the others are never the best, and no gain
    places = {tuple(point): i for i, point in enumerate(trained[hopeful].tolist())}
    for point in running.tolist():
        places.setdefault(tuple(point), len(places))
    n = len(places)  # the points of which the best is recommended; a new one only with a training of its own
    before = np.array(list(places)).reshape(n, -1)
    means, covariance = posterior.covariance(np.vstack([before, new]))
    drawn = _draws(len(running) + 1)
    values = np.repeat(means[:, None], drawn.shape[1], axis=1)  # of each point, under each draw
    for point, draw in zip(running.tolist(), drawn, strict=False):
        slopes = _slopes(posterior, covariance, places[tuple(point)])
        values += slopes[:, None] * draw
        covariance = covariance - np.outer(slopes, slopes)
    best = values[:n].max(axis=0)
    most = _Z[-1] * np.sqrt(np.maximum(np.diag(covariance)[:n], 0.0))
    rivals = np.flatnonzero((values[:n] + most[:, None] >= best).any(axis=1))
    found = np.zeros(len(trained) + len(new))
    at = zip((*hopeful, *range(len(trained), len(found))), (*range(len(hopeful)), *range(n, n + len(new))), strict=True)
    for i, j in at:
        own = np.append(rivals, j) if j >= n else rivals
        later = values[own] + _slopes(posterior, covariance, j)[own, None] * drawn[-1]
        found[i] = max(float(later.max(axis=0).mean() - best.mean()), 0.0)
    return found


def _slopes(posterior: Posterior, covariance: Array, at: int) -> Array:
    """How far each mean moves per standard deviation of the value of one training at point number ``at``."""
    slopes: Array = covariance[:, at] / np.sqrt(max(float(covariance[at, at]), 1e-12) + posterior.hyper.noise)
    return slopes


@cache
def _draws(n: int) -> Array:
    """Quasi-random standard normal numbers, the same every time, shape (n, _DRAWS)."""
    uniform = qmc.Sobol(n, scramble=False).random(_DRAWS // 2) + np.random.default_rng(1).random(n)
    half: Array = special.ndtri(np.clip(uniform % 1.0, 1e-6, 1 - 1e-6)).T
    return np.hstack([half, -half])
