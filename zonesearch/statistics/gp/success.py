"""How probable it is that a training comes to something: learned from those that did not.

A failure is no value. Taken for the worst one it digs a crater that bends the surface all around, and the best is often
right beside where trainings diverge. So failures stay out of the process of the values; what is believed about them are
probabilities by which improvement is weighed (Gelbart, Snoek & Adams 2014).

Each cause has a model of its own: what diverges does so in regions, what is infeasible may be near anything, and an
objective that raises now and then says nothing about the point. A model is the one Gaussian process, fitted to labels
(+1 came to something, -1 did not; Rasmussen & Williams 2006, section 6.5): its noise term tells failures by chance
from regions that fail. Running out of memory is simpler and more certain (:mod:`zonesearch.statistics.memory`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from zonesearch.statistics.gp.process import Data, Posterior, Prior, fit
from zonesearch.statistics.gp.stack import Stack

__all__ = ["Labels", "Region"]

Array = npt.NDArray[np.float64]
Place = tuple[float, ...]

_PRIOR = Prior(scale=0.5, noise=0.05)
_LEAST_NOISE = 1e-4


@dataclass(frozen=True)
class Labels:
    """By point of the cube: how often it came to something, and how often it did not."""

    counts: Mapping[Place, tuple[int, int]]

    @property
    def n_lost(self) -> int:
        """How many trainings came to nothing."""
        return sum(lost for _, lost in self.counts.values())

    def region(self, choices: npt.NDArray[np.bool_]) -> Region | None:
        """The model; None where nothing was lost.

        Args:
            choices: which axes are choices, shape (n_axes,).
        """
        if not self.n_lost:
            return None
        places = sorted(self.counts)
        pairs = np.array([self.counts[place] for place in places], dtype=float)
        totals = pairs.sum(axis=1)
        means = (pairs[:, 0] - pairs[:, 1]) / totals
        squares = float(np.sum(pairs[:, 0] * (1 - means) ** 2 + pairs[:, 1] * (1 + means) ** 2))
        return Region(fit(Data(np.array(places), means, totals, squares, choices), _PRIOR))


@dataclass(frozen=True)
class Region:
    """Where trainings come to something, by a process through labels of +1 and -1."""

    posterior: Posterior

    def log_probability(self, points: Array) -> Array:
        """Logarithm of the probability of success, (n, n_axes) -> (n,)."""
        means, sds = self.posterior.at_points(points)
        log: Array = special.log_ndtr(means / np.sqrt(sds**2 + self._noise))
        return log

    def slopes(self, points: Array) -> tuple[Array, Array]:
        """The same and its derivatives, shapes (n,) and (n, n_axes)."""
        found = Stack([self.posterior]).slopes(points)
        width = np.sqrt(found.sds[0] ** 2 + self._noise)
        z = found.means[0] / width
        log = special.log_ndtr(z)
        rise = np.exp(-0.5 * z * z - 0.5 * np.log(2 * np.pi) - log)
        by_z = found.by_mean[0] / width[:, None] - (z * found.sds[0] / width**2)[:, None] * found.by_sd[0]
        return log, rise[:, None] * by_z

    @property
    def _noise(self) -> float:
        return max(self.posterior.hyper.noise, _LEAST_NOISE)
