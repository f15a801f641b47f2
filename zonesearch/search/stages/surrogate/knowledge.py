"""What one more training is worth at the end of a search: a repeat of a known point, or a new point.

At the end, one point is recommended: the trained one with the highest posterior mean. The value of a training is by
how much it is expected to raise that mean (the knowledge gradient of Frazier, Powell & Dayanik 2009, for correlated
values). It is one scale for both: a repeat is worth something only where it may change which point is the best, and a
new point only where it may become the best.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zonesearch.statistics.gp.process import Posterior

__all__ = ["by_gain", "gains"]

Array = npt.NDArray[np.float64]

_Z = np.linspace(-5.0, 5.0, 81)
_WEIGHTS = np.exp(-0.5 * _Z**2) / np.exp(-0.5 * _Z**2).sum()
_MOST_NEW = 16  # new points compared with known ones
_WORTHLESS = 1e-9  # in standardised units: rounding error


def by_gain(posterior: Posterior, new: Array) -> Array:
    """Known points and the first of the ``new`` ones, at which a training is worth anything, by descending gain; shape
    (n, n_axes).
    """
    points, worth = gains(posterior, new[:_MOST_NEW])
    order = np.argsort(-worth, kind="stable")
    ranked: Array = points[order[worth[order] > _WORTHLESS]]
    return ranked


def gains(posterior: Posterior, new: Array) -> tuple[Array, Array]:
    """Trained points that may be the best, then ``new`` ones, and the expected gain of one more training at each.

    Args:
        posterior: including what is running, at its expected values.
        new: points that are not trained, shape (n, n_axes).

    Returns:
        the points, shape (m, n_axes), and the gains, shape (m,), in the units of the posterior.
    """
    trained = posterior.data.points[posterior.data.eligible]
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
