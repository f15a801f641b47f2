"""The surrogate with the learned prior's mean as its own: what judges once there are enough values to fit it to.

A few values cannot say how long the length-scales of this task are, which is what the learned kernel is for. A dozen
can, and then a process that is fitted to them is the better one. It is fitted to what a multiple of the learned mean
leaves over; which multiple, and so whether the mean is of any use here, is decided by the likelihood. With 0 it is the
surrogate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from zonesearch.search.controller.prior import Seen
from zonesearch.statistics.gp.likelihood import Data, Likelihood, Prior
from zonesearch.statistics.gp.process import Posterior, _for_fit

__all__ = ["Joined", "join"]

Array = npt.NDArray[np.float64]

_FITTED, _OTHERS = 0.7, (0.35, 1.0)
_FAR = 8.0  # nats; what is so much less probable with another's length-scales does not win with its own


@dataclass(frozen=True)
class Joined:
    """A posterior of what ``share`` of the learned mean leaves over, with that share put back.

    Args:
        rest: the process of what is left over.
        see: what the network says of points.
        share: of its mean.
        log_density: of the values and the hyperparameters.
        theta: these, as they were fitted.
    """

    rest: Posterior
    see: Callable[[Array], Seen]
    share: float
    log_density: float
    theta: Array

    @property
    def data(self) -> Data:
        """The points as zones want them."""
        return self.rest.data

    def at_points(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the standardised surface, shape (n,) each."""
        means, sds = self.rest.at_points(points)
        return means + self.share * self.see(points).mean, sds

    def with_noise(self, points: Array) -> tuple[Array, Array, Array]:
        """The same, and the variance of a single training."""
        return *self.at_points(points), np.full(len(points), self.rest.hyper.noise)

    def worse(self, place: Array, points: Array) -> Array:
        """By how many standard deviations the surface at ``points`` is worse than at ``place``."""
        both = np.vstack([place[None], points])
        means, covariance = self.rest.covariance(both)
        means = means + self.share * self.see(both).mean
        spread = np.diag(covariance)[1:] + covariance[0, 0] - 2 * covariance[0, 1:]
        apart: Array = (means[0] - means[1:]) / np.sqrt(np.maximum(spread, 1e-12))
        return apart

    def distance(self, a: Array, b: Array) -> Array:
        """Distances in length-scales, (n, n_axes), (m, n_axes) -> (n, m)."""
        return self.rest.distance(a, b)

    def believing(self, points: Array) -> Joined:
        """The posterior if the trainings at ``points`` came back as expected."""
        return replace(self, rest=self.rest.believing(points))


def join(data: Data, sees: list[Callable[[Array], Seen]]) -> Joined:
    """The most probable of the processes with shares of the means that ``sees`` give.

    Most of each mean is fitted to; the other shares of the better one, and none of it, are tried with the length-scales
    found for that, and fitted to where they may be more probable.
    """
    best = max((_fitted(data, see, _FITTED) for see in sees), key=lambda joined: joined.log_density)
    others = [_fitted(data, best.see, share, best) for share in _OTHERS]
    other = max(others, key=lambda joined: joined.log_density)
    if other.log_density > best.log_density:
        best = _fitted(data, best.see, other.share)
    nothing = _fitted(data, sees[0], 0.0, best)
    if nothing.log_density > best.log_density - _FAR:
        nothing = _fitted(data, sees[0], 0.0)
    found = nothing if nothing.log_density >= best.log_density else best
    assert math.isfinite(found.log_density)
    return found


def _fitted(data: Data, see: Callable[[Array], Seen], share: float, like: Joined | None = None) -> Joined:
    """The process of what ``share`` leaves over, with its most probable hyperparameters or those of ``like``."""
    left = replace(data, means=data.means - share * see(data.points).mean) if share else data
    likelihood = Likelihood(_for_fit(left), Prior())
    theta = likelihood.most_probable if like is None else like.theta
    rest = Posterior.at(left, likelihood.hyper(theta)) if like is None else like.rest
    return Joined(rest, see, share, -float(likelihood.loss(theta)[0]), theta)
