"""The probability that a training succeeds, learned from those that did not.

A failure has no value. Scoring it as the worst value would dig a crater that distorts the surface around it, and the
best settings are often right next to where trainings diverge. So failures are left out of the process of the values;
they are modelled as probabilities that weight the expected improvement (Gelbart, Snoek & Adams 2014).

Each cause has a model of its own: divergence occurs in regions, infeasible points may be anywhere, and an objective
that raises occasionally says nothing about the point. Each model is the same Gaussian process, fitted to labels (+1
success, -1 failure; Rasmussen & Williams 2006, section 6.5): its noise term separates chance failures from regions that
fail. Running out of memory is simpler and more predictable (:mod:`zonesearch.statistics.memory`).
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
    """The number of successes and failures at each point of the cube."""

    counts: Mapping[Place, tuple[int, int]]

    @property
    def n_lost(self) -> int:
        """The number of failed trainings."""
        return sum(lost for _, lost in self.counts.values())

    def region(self, choices: npt.NDArray[np.bool_]) -> Region | None:
        """The fitted model; None if nothing failed.

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
    """Where trainings succeed: a process fitted to labels of +1 and -1."""

    posterior: Posterior

    def log_probability(self, points: Array) -> Array:
        """Log-probability of success, (n, n_axes) -> (n,)."""
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
