"""Several posteriors of the same points, evaluated together with their gradients.

A gradient search evaluates a few points hundreds of times under each of several draws of the hyperparameters. One at a
time that is mostly overhead, so all draws share one set of matrix products, and the inverse of each covariance is
computed once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

from zonesearch.statistics.gp.process import Posterior

__all__ = ["Slopes", "Stack"]

Array = npt.NDArray[np.float64]

_ROOT5 = math.sqrt(5.0)
_LEAST = 1e-12  # lower bound of a variance


@dataclass(frozen=True)
class Slopes:
    """Values and gradients of the posteriors at some points.

    Args:
        means, sds: of the function without noise, shape (n_posteriors, n_points).
        by_mean, by_sd: derivatives with respect to the coordinates, shape (n_posteriors, n_points, n_axes); 0 along
            choices.
    """

    means: Array
    sds: Array
    by_mean: Array
    by_sd: Array


@dataclass(frozen=True)
class Stack:
    """Posteriors of the same points under different hyperparameters."""

    posteriors: Sequence[Posterior]

    def at_points(self, points: Array) -> tuple[Array, Array]:
        """Means and standard deviations, shape (n_posteriors, n_points) each."""
        found = [posterior.at_points(points) for posterior in self.posteriors]
        return np.array([means for means, _ in found]), np.array([sds for _, sds in found])

    @cached_property
    def noises(self) -> Array:
        """Variance of a single value, shape (n_posteriors,)."""
        return np.array([posterior.hyper.noise for posterior in self.posteriors])

    @cached_property
    def _inverses(self) -> Array:
        inverses = []
        for posterior in self.posteriors:
            inverse, _ = lapack.dpotri(posterior.factor, lower=1)
            inverses.append(np.tril(inverse) + np.tril(inverse, -1).T)
        return np.array(inverses)

    @cached_property
    def _rates(self) -> Array:
        return _ROOT5 / np.array([posterior.hyper.scales for posterior in self.posteriors])

    @cached_property
    def _amplitudes(self) -> tuple[Array, Array]:
        hypers = [posterior.hyper for posterior in self.posteriors]
        return np.array([h.joint for h in hypers])[:, None, None], np.array([h.single for h in hypers])[:, None, None]

    def slopes(self, points: Array) -> Slopes:
        """Values and derivatives at ``points``, shape (n_points, n_axes)."""
        data = self.posteriors[0].data
        n_axes, (joint, single) = points.shape[1], self._amplitudes
        apart = points[:, None] - data.points  # (n_points, n_known, n_axes)
        apart[..., data.choices] = apart[..., data.choices] != 0
        rates = self._rates[:, None, None, :]  # (n_posteriors, 1, 1, n_axes)
        r = np.sqrt(np.moveaxis((apart**2) @ (self._rates**2).T, -1, 0))
        decay = np.exp(-r)
        fall = (1.0 + r) * decay / 3.0
        cross = joint * (fall * 3.0 + r * r * decay / 3.0)
        s = np.abs(apart) * rates * math.sqrt(n_axes)  # (n_posteriors, n_points, n_known, n_axes)
        decays = np.exp(-s)
        falls = (1.0 + s) * decays / 3.0
        cross += single / n_axes * np.sum(falls * 3.0 + s * s * decays / 3.0, axis=-1)
        slope = -(joint * fall)[..., None] - single[..., None] * falls  # single/n_axes times n_axes from the rates
        slope *= apart * rates**2
        slope[..., data.choices] = 0.0
        alphas = np.array([posterior.alpha for posterior in self.posteriors])
        means = np.array([posterior.mean for posterior in self.posteriors])[:, None] + np.einsum(
            "kmn,kn->km", cross, alphas
        )
        solved = cross @ self._inverses
        variances = (joint + single)[..., 0] - np.sum(solved * cross, axis=-1)
        sds = np.sqrt(np.maximum(variances, _LEAST))
        by_mean = np.einsum("kmna,kn->kma", slope, alphas)
        by_sd = -np.einsum("kmna,kmn->kma", slope, solved) / sds[..., None]
        by_sd[variances <= _LEAST] = 0.0
        return Slopes(means, sds, by_mean, by_sd)
