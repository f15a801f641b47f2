"""The surrogate with the learned prior's mean, used once there are enough values to fit it.

A few values cannot determine the length-scales of this task, so the learned kernel provides them. A dozen can, and then
a process fitted to them is better. It is fitted to the residuals from a multiple of the learned mean; the multiple, and
thus whether the mean is useful here, is chosen by likelihood. With 0 it is the surrogate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from zonesearch.statistics.gp.likelihood import Data, Likelihood, Prior
from zonesearch.statistics.gp.process import Posterior, _for_fit

__all__ = ["Joined", "join"]

Array = npt.NDArray[np.float64]

_FITTED, _OTHERS = 0.7, (0.35, 1.0)
_FIT_POINTS = 36  # maximum number of points for fitting hyperparameters
_TOLERANCE = 1e-6  # tolerance in log-likelihood


@dataclass(frozen=True)
class Joined:
    """The posterior of the residuals from ``share`` times the learned mean, with that mean added back.

    Args:
        rest: the process of the residuals.
        prior_mean: the learned mean at points.
        share: the multiple of its mean.
    """

    rest: Posterior
    prior_mean: Callable[[Array], Array]
    share: float

    @property
    def data(self) -> Data:
        """The data in the form that zones use."""
        return self.rest.data

    def at_points(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the standardised surface, shape (n,) each."""
        means, sds = self.rest.at_points(points)
        return (means + self.share * self.prior_mean(points) if self.share else means), sds

    def means(self, points: Array) -> Array:
        """The first of these."""
        means = self.rest.means(points)
        return means + self.share * self.prior_mean(points) if self.share else means

    def with_noise(self, points: Array) -> tuple[Array, Array, Array]:
        """The same, and the variance of a single training."""
        return *self.at_points(points), np.full(len(points), self.rest.hyper.noise)

    def worse(self, place: Array, points: Array) -> Array:
        """By how many standard deviations the surface at ``points`` is worse than at ``place``."""
        both = np.vstack([place[None], points])
        means, covariance = self.rest.covariance(both)
        means = means + self.share * self.prior_mean(both)
        spread = np.diag(covariance)[1:] + covariance[0, 0] - 2 * covariance[0, 1:]
        apart: Array = (means[0] - means[1:]) / np.sqrt(np.maximum(spread, 1e-12))
        return apart

    def distance(self, a: Array, b: Array) -> Array:
        """Distances in length-scales, (n, n_axes), (m, n_axes) -> (n, m)."""
        return self.rest.distance(a, b)

    def believing(self, points: Array) -> Joined:
        """The posterior if the trainings at ``points`` returned their expected values."""
        return replace(self, rest=self.rest.believing(points))


def join(data: Data, prior_means: list[Callable[[Array], Array]]) -> Joined:
    """The most probable process over the multiples of ``prior_means``.

    Two are fitted: one without a mean and, starting from it, one with most of the mean that suits those length-scales
    best. Other multiples of that mean are tried with the length-scales found for it.
    """
    known = _for_fit(data, _FIT_POINTS)
    means = [mean(known.points) for mean in prior_means]

    def left(which: int, share: float) -> Likelihood:
        return Likelihood(replace(known, means=known.means - share * means[which]), Prior())

    plain = Likelihood(known, Prior())
    theta = plain.climbed(plain.centre, _TOLERANCE)
    without = plain.loss(theta)[0]
    which = 0
    if len(prior_means) > 1:
        which = min(range(len(prior_means)), key=lambda i: left(i, _FITTED).loss(theta)[0])
    fitted = left(which, _FITTED)
    informed = fitted.climbed(theta, _TOLERANCE)
    losses = {share: left(which, share).loss(informed)[0] for share in _OTHERS}
    losses[_FITTED] = fitted.loss(informed)[0]
    share = min(losses, key=lambda each: losses[each])
    if without <= losses[share]:
        return Joined(Posterior.at(data, plain.hyper(theta)), prior_means[0], 0.0)
    rest = replace(data, means=data.means - share * prior_means[which](data.points))
    return Joined(Posterior.at(rest, fitted.hyper(informed)), prior_means[which], share)
