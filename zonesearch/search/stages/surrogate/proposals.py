"""Where to train next: expected improvement over the best posterior mean, from points near and far.

Noise makes the best *observation* a lucky one, so improvement is measured from the best posterior mean of the points
that were trained (Picheny et al. 2013), and counts for less where one more noisy training says little, since much is
known there already (Huang et al. 2006): without that, half of a budget goes into near repeats of the leader. Candidates
are uniform points, moves along one axis from each of the best few points, and small steps around them in units of the
length-scales; the most promising are refined by shrinking steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from zonesearch.statistics.gp.cube import Cube, unique_rows
from zonesearch.statistics.gp.process import Posterior, leaders

__all__ = ["Search", "challenger", "log_improvement", "log_worth"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Search:
    """How candidates are drawn.

    Args:
        n_uniform: points from the whole cube.
        n_moves: values tried on each axis from each leader.
        n_steps: small steps around each leader.
        n_leaders: at most so many points are searched around; ``apart`` length-scales between them.
        outside: length-scales from the peak of a zone at which one is outside it.
        n_refined: that many of the best candidates are refined in ``rounds`` rounds.
    """

    n_uniform: int = 200
    n_moves: int = 8
    n_steps: int = 40
    n_leaders: int = 4
    apart: float = 1 / 3
    outside: float = 1.0
    n_refined: int = 4
    rounds: int = 3

    def candidates(self, cube: Cube, posterior: Posterior, rng: np.random.Generator) -> Array:
        """Allowed points, shape (n, n_axes), all different."""
        centres = leaders(posterior, self.n_leaders, self.apart)
        uniform = rng.random((self.n_uniform, cube.n_axes))
        to_rim = rng.random(uniform.shape) < 0.5 / cube.n_axes  # half of the points touch a rim
        uniform = np.where(to_rim, np.round(uniform), uniform)
        drawn = [uniform]
        for centre in centres:
            drawn += [self._moves(cube, centre, rng), self._steps(cube, centre, posterior.hyper.scales, rng)]
        return cube.allowed(unique_rows(cube.snap(np.vstack(drawn))))

    def _moves(self, cube: Cube, centre: Array, rng: np.random.Generator) -> Array:
        moved = np.repeat(centre[None], cube.n_axes * self.n_moves, axis=0)
        for axis in range(cube.n_axes):
            values = (np.arange(self.n_moves) + rng.random(self.n_moves)) / self.n_moves
            values[0], values[-1] = 0.0, 1.0
            moved[axis * self.n_moves : (axis + 1) * self.n_moves, axis] = values
        return moved

    def _steps(self, cube: Cube, centre: Array, scales: Array, rng: np.random.Generator) -> Array:
        size = np.minimum(scales, 1.0) * rng.choice([0.05, 0.15, 0.4], size=(self.n_steps, 1))
        steps = rng.normal(size=(self.n_steps, cube.n_axes)) * size
        stays = rng.random(steps.shape) > max(0.5, 2.0 / cube.n_axes)
        return centre + np.where(stays, 0.0, steps)

    def ranked(
        self, cube: Cube, posterior: Posterior, rng: np.random.Generator, n_known: int = 0, trust: float = 0.0
    ) -> Array:
        """Allowed points by falling expected improvement, shape (n, n_axes).

        Args:
            cube, posterior, rng: the space, what is known, and chance.
            n_known: zones, the best ones, outside which improvement is looked for, over the best that is known there;
                none of them for the best of all.
            trust: the power of what is believed of the axes beforehand, by which improvement is weighed (Hvarfner et
                al. 2022); it is to fall as more is known.
        """
        trained = posterior.data.points
        zones = leaders(posterior, n_known, self.outside) if n_known else trained[:0]

        def scored(points: Array) -> tuple[Array, Array]:
            free = (posterior.distance(points, zones) > self.outside).all(axis=1)
            points = points[free] if free.any() else points
            means, sds = posterior.at_points(points)
            scores = log_improvement(means, sds, incumbent) + log_worth(sds, posterior.hyper.noise)
            return points, scores + trust * cube.belief(points) if trust else scores

        outside = (posterior.distance(trained, zones) > self.outside).all(axis=1)
        incumbent = float(posterior.at_points(trained[outside] if outside.any() else trained)[0].max())
        points, scores = scored(self.candidates(cube, posterior, rng))
        size = 0.2
        for _ in range(self.rounds):
            top = points[np.argsort(-scores, kind="stable")[: self.n_refined]]
            steps = rng.normal(size=(8, *top.shape)) * np.minimum(posterior.hyper.scales, 1.0) * size
            steps *= rng.random(steps.shape) < max(0.5, 2.0 / cube.n_axes)
            near = cube.allowed(unique_rows(cube.snap((top + steps).reshape(-1, cube.n_axes))))
            points, scores = scored(np.vstack([top, near]))
            size *= 0.4
        ranked: Array = points[np.argsort(-scores, kind="stable")]
        return ranked


def challenger(posterior: Posterior) -> Array:
    """Trained points by how much a repeat is worth, shape (n, n_axes).

    First the leader (highest posterior mean) or its likeliest challenger, whichever has fewer repeats; then the other
    one; then the rest by the probability that they are better than the leader.
    """
    points = posterior.data.points
    means, covariance = posterior.covariance(points)
    top = int(np.argmax(means))
    variances = np.diag(covariance) + covariance[top, top] - 2 * covariance[:, top]
    z = (means - means[top]) / np.sqrt(np.maximum(variances, 1e-12))
    z[top] = np.inf
    order = np.argsort(-z, kind="stable")
    if len(order) > 1 and posterior.data.counts[order[1]] < posterior.data.counts[order[0]]:
        order[:2] = order[1::-1]
    ranked: Array = points[order]
    return ranked


def log_worth(sds: Array, noise: float) -> Array:
    """Logarithm of the factor of augmented expected improvement: 1 where nothing is known, 0 where all is.

    Args:
        sds: posterior standard deviations of the function.
        noise: variance of a single value.
    """
    said: Array = np.log1p(-np.sqrt(noise / (sds * sds + noise)))
    return said


def log_improvement(means: Array, sds: Array, incumbent: float) -> Array:
    """Logarithm of the expected improvement over ``incumbent``, without underflow (Ament et al. 2023)."""
    z = (means - incumbent) / sds
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        direct = np.log(np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) + z * special.ndtr(z))
        # phi(z) + z Phi(z) = phi(z) (1 - |z| R(|z|)), R the Mills ratio; for large |z| it is phi(z) / z^2
        mills = np.sqrt(np.pi / 2) * special.erfcx(np.abs(z) / np.sqrt(2))
        tail = -0.5 * z * z - 0.5 * np.log(2 * np.pi)
        moderate = tail + np.log(np.maximum(1 - np.abs(z) * mills, 1e-300))
        far = tail - 2 * np.log(np.maximum(np.abs(z), 1e-300))
    log_h: Array = np.where(z > -1, direct, np.where(z > -1e4, moderate, far))
    return log_h + np.log(sds)
