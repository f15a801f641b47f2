"""Where to train next: expected improvement, maximised by gradient from many starts.

With noise the best *observation* is a lucky one, so improvement is measured from the best posterior mean of the trained
points (Picheny et al. 2013), and is discounted where one more noisy training would add little information (Huang et al.
2006): without that, half of a budget goes into near repeats of the incumbent. It is weighted by the probability that a
training succeeds there (Gelbart et al. 2014). It may be averaged over several draws of the hyperparameters (Snoek et
al. 2012); with 25 trainings that explored too much, so the stage uses the most probable ones.

Candidates are uniform points, half of them on a rim, moves along one axis from each of the best few points, and small
steps around them in several axes at once. The most promising are optimised together (L-BFGS-B, bounded by the cube, so
that rims are reached exactly); choices and short ranges of whole numbers have no gradient, so their values are tried
one by one, followed by another gradient search over the other axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.optimize import minimize

from zonesearch.search.stages.surrogate.outcomes import Chance
from zonesearch.statistics.gp.cube import Cube, unique_places, unique_rows
from zonesearch.statistics.gp.process import Posterior, top_points
from zonesearch.statistics.gp.stack import Stack

__all__ = ["Acquisition", "Search", "challenger", "log_improvement", "log_worth"]

Array = npt.NDArray[np.float64]

_FEW = 20  # maximum number of whole numbers of an axis for trying each of them
_HOPELESS = math.log(0.25)  # probability of success below which a point is proposed only if there is no other


@dataclass(frozen=True)
class Acquisition:
    """The log value of a training at a point.

    Args:
        stack: the posterior at several draws of the hyperparameters.
        incumbents: the best posterior mean under each draw, shape (n_draws,).
        chances: models of the probability of success, one per cause of failure.
    """

    stack: Stack
    incumbents: Array
    chances: Sequence[Chance] = ()

    def at_points(self, points: Array) -> Array:
        """(n, n_axes) -> (n,)."""
        means, sds = self.stack.at_points(points)
        each = log_improvement(means, sds, self.incumbents[:, None]) + log_worth(sds, self.stack.noises[:, None])
        return _log_mean(each) + self.log_chance(points)

    def log_chance(self, points: Array) -> Array:
        """Log-probability of success in every respect, (n, n_axes) -> (n,)."""
        total: Array = np.sum([np.zeros(len(points)), *(c.log_probability(points) for c in self.chances)], axis=0)
        return total

    def slopes(self, points: Array) -> tuple[Array, Array]:
        """The same as :meth:`at_points` and its derivatives, shapes (n,) and (n, n_axes)."""
        found = self.stack.slopes(points)
        noises = self.stack.noises[:, None]
        log_ei = log_improvement(found.means, found.sds, self.incumbents[:, None])
        z = (found.means - self.incumbents[:, None]) / found.sds
        log_h = log_ei - np.log(found.sds)
        by_mean = np.exp(special.log_ndtr(z) - log_h) / found.sds
        by_sd = np.exp(-0.5 * z * z - 0.5 * math.log(2 * math.pi) - log_h) / found.sds
        whole = found.sds**2 + noises
        known = np.sqrt(noises / whole)
        by_sd = by_sd + known * found.sds / whole / np.maximum(1 - known, 1e-12)
        each = log_ei + log_worth(found.sds, noises)
        weights = np.exp(each - each.max(axis=0))
        weights /= weights.sum(axis=0)
        gradient = np.einsum("km,kma->ma", weights * by_mean, found.by_mean)
        gradient += np.einsum("km,kma->ma", weights * by_sd, found.by_sd)
        values = _log_mean(each)
        for chance in self.chances:
            log, by = chance.slopes(points)
            values, gradient = values + log, gradient + by
        return values, gradient


def _log_mean(each: Array) -> Array:
    """Log of the mean of ``exp`` over the first axis."""
    top = each.max(axis=0)
    mean: Array = top + np.log(np.mean(np.exp(each - top), axis=0))
    return mean


@dataclass(frozen=True)
class Search:
    """Settings of the maximisation of an acquisition.

    Args:
        n_uniform: random points from the whole cube.
        n_moves: values tried on each axis from each incumbent.
        n_steps: small steps around each incumbent.
        n_top_points: maximum number of points to search around, at least ``apart`` length-scales from each other.
        outside: distance in length-scales from a zone's peak beyond which a point is outside it.
        n_starts: number of best candidates to optimise, with at most ``n_uphill`` gradient evaluations.
    """

    n_uniform: int = 200
    n_moves: int = 8
    n_steps: int = 40
    n_top_points: int = 4
    apart: float = 1 / 3
    outside: float = 1.0
    n_starts: int = 6
    n_uphill: int = 30

    def candidates(self, cube: Cube, posterior: Posterior, rng: np.random.Generator) -> Array:
        """Allowed points, shape (n, n_axes), all different."""
        centres = top_points(posterior, self.n_top_points, self.apart)
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
        drawn = rng.random(steps.shape)  # choices have no distance: keep the value, or draw any
        moved = np.where(cube.choices, drawn, centre + steps)
        return np.where(stays, centre, moved)

    def ranked(
        self,
        cube: Cube,
        posterior: Posterior,
        stack: Stack,
        rng: np.random.Generator,
        *,
        n_known: int = 0,
        chances: Sequence[Chance] = (),
        trust: float = 0.0,
    ) -> Array:
        """Allowed points by descending acquisition value, shape (n, n_axes).

        Args:
            cube, rng: the space, and the random generator.
            posterior: posterior at the most probable hyperparameters.
            stack: posteriors at several draws of them.
            n_known: search for improvement outside this many of the best zones, over the best known point there; 0
                searches everywhere.
            chances: models of the probability of success.
            trust: the power of the prior belief about the axes that weights improvement (Hvarfner et al. 2022); it
                should decrease as data accumulate.
        """
        trained = posterior.data.points[posterior.data.eligible]
        zones = top_points(posterior, n_known, self.outside) if n_known else trained[:0]
        outside = (posterior.distance(trained, zones) > self.outside).all(axis=1)
        incumbents = stack.at_points(trained[outside] if outside.any() else trained)[0].max(axis=1)
        acquisition = Acquisition(stack, incumbents, chances)

        def kept(points: Array) -> npt.NDArray[np.bool_]:
            free = np.asarray((posterior.distance(points, zones) > self.outside).all(axis=1))
            free = free if free.any() else ~free
            hopeful = free & (acquisition.log_chance(points) > _HOPELESS) if chances else free
            return hopeful if hopeful.any() else free

        def scored(points: Array) -> Array:
            scores: Array = acquisition.at_points(points) + (trust * cube.belief(points) if trust else 0.0)
            return scores

        points = self.candidates(cube, posterior, rng)
        points = points[kept(points)]
        scores = scored(points)
        starts = self._starts(points, scores, posterior)
        reached = self._uphill(cube, acquisition, starts)
        reached = cube.allowed(self._discrete(cube, acquisition, reached))
        points, scores = np.vstack([reached, points]), np.concatenate([scored(reached), scores])
        first = unique_places(points)
        first = first[kept(points[first])]
        ranked: Array = points[first[np.argsort(-scores[first], kind="stable")]]
        return ranked

    def _starts(self, points: Array, scores: Array, posterior: Posterior) -> Array:
        """The best points, none of them within a tenth of a length-scale of a better one."""
        order = np.argsort(-scores, kind="stable")[: 8 * self.n_starts]
        near = posterior.distance(points[order], points[order]) < 0.1
        kept: list[int] = []
        for i in range(len(order)):
            if not near[i, kept].any():
                kept.append(i)
            if len(kept) == self.n_starts:
                break
        return points[order[kept]]

    def _uphill(self, cube: Cube, acquisition: Acquisition, starts: Array) -> Array:
        """The local maxima reached from the starts, with whole numbers and choices snapped to allowed values."""
        moving = np.flatnonzero(cube.n_values > _FEW)
        if not len(moving):
            return starts
        shape = len(starts), len(moving)
        points = starts.copy()

        def loss(flat: Array) -> tuple[float, Array]:
            points[:, moving] = flat.reshape(shape)
            values, slopes = acquisition.slopes(points)
            return -float(values.sum()), -slopes[:, moving].ravel()

        found = minimize(
            loss,
            starts[:, moving].ravel(),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * (shape[0] * shape[1]),
            options={"maxfun": self.n_uphill},
        )
        points[:, moving] = found.x.reshape(shape)
        return cube.snap(points)

    def _discrete(self, cube: Cube, acquisition: Acquisition, reached: Array) -> Array:
        """The points reached, and the best of them improved over its choices and short ranges of whole numbers."""
        steps = np.flatnonzero((cube.n_values <= _FEW) & (cube.n_values > 1))
        if not len(steps):
            return reached
        top = reached[np.argsort(-acquisition.at_points(reached), kind="stable")[:3]]
        for _ in range(2):
            around = [top]
            for axis in steps:
                values = cube.values(int(axis))
                moved = np.repeat(top, len(values), axis=0)
                moved[:, axis] = np.tile(values, len(top))
                around.append(moved)
            tried = unique_rows(cube.snap(np.vstack(around)))
            better = tried[np.argsort(-acquisition.at_points(tried), kind="stable")[:3]]
            if np.array_equal(better, top):
                break
            top = better
        return unique_rows(np.vstack([self._uphill(cube, acquisition, top), top, reached]))


def challenger(posterior: Posterior) -> Array:
    """Trained points by the value of a repeat, shape (n, n_axes).

    First the incumbent (highest posterior mean) or its most probable challenger, whichever has fewer repeats; then the
    other one; then the rest by their probability of being better than the incumbent.
    """
    eligible = posterior.data.eligible
    points, counts = posterior.data.points[eligible], posterior.data.counts[eligible]
    means, covariance = posterior.covariance(points)
    top = int(np.argmax(means))
    variances = np.diag(covariance) + covariance[top, top] - 2 * covariance[:, top]
    z = (means - means[top]) / np.sqrt(np.maximum(variances, 1e-12))
    z[top] = np.inf
    order = np.argsort(-z, kind="stable")
    if len(order) > 1 and counts[order[1]] < counts[order[0]]:
        order[:2] = order[1::-1]
    ranked: Array = points[order]
    return ranked


def log_worth(sds: Array, noise: float | Array) -> Array:
    """Log of the factor of augmented expected improvement, which is 1 where nothing is known and 0 where everything is.

    Args:
        sds: posterior standard deviations of the function.
        noise: variance of a single value.
    """
    said: Array = np.log1p(-np.sqrt(noise / (sds * sds + noise)))
    return said


def log_improvement(means: Array, sds: Array, incumbent: float | Array) -> Array:
    """Log of the expected improvement over ``incumbent``, without underflow (Ament et al. 2023)."""
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
