"""Noisy test surfaces with known peaks, in 1 to 7 axes: what search methods are measured on.

Shapes that one expects of networks: one or several equal peaks, a ridge (two settings that make up for each other), a
plateau with a cliff, a peak on the rim, a sigmoid slope that one climbs as far as one can pay for, and a hyperbola plus
a sinusoid with a local extremum in every period. The axes are those of a real study (integer and log, linear); the
shapes are formulas on the unit cube, so the true mean, its maximum and where it lies are known.

Every shape comes in as many variants as one likes, each with its axes turned round and bent by chance, so that a method
is not tuned to where the peaks of eight formulas happen to lie (a search that starts in the middle, say).

A surface is a function ``f(params, seed, epochs)`` as any objective is: ``run_pipeline(s.space, objective=s)``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from zonesearch.core.axes import Axis
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training

__all__ = ["AXES", "SHAPES", "Surface", "make_space", "make_surface", "surfaces"]

Points = npt.NDArray[np.float64]
Mean = Callable[[Points], Points]

AXES = (
    Axis("width", 16, 4096, "log"),
    Axis("batch", 8, 1024, "log"),
    Axis("rate", 1e-5, 1e-1, "log", row_rule=5),
    Axis("dropout", 0.0, 0.9, row_rule=5),
    Axis("decay", 1e-6, 1e-1, "log", row_rule=5),
    Axis("depth", 1, 64, "log"),
    Axis("momentum", 0.0, 1.0, row_rule=5),
)
"""In this order a surface takes as many as it has."""

_TOP, _RANGE = 0.95, 0.25  # accuracy at the peaks; how far the mean falls from there
_WEIGHT = np.array([1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.25])  # of the axes: some matter more than others


@dataclass(frozen=True)
class Surface:
    """A mean over the unit cube, and normal noise on it.

    Args:
        name: ``shape-axes``, as ``ridge-3``, or ``shape-axes#variant``.
        space: the axes.
        height: the shape, (n, n_axes) -> (n,), at most 1, and 1 at the peaks; the mean is an affine function of it.
        peaks: the equal maxima, one point of the unit cube each; one of many for a ridge or a plateau.
        sd: of the noise of one training, in units of accuracy.
    """

    name: str
    space: Space
    height: Mean = field(repr=False)
    peaks: tuple[tuple[float, ...], ...]
    sd: float = 0.01

    def __call__(self, params: Params, seed: int = 0, epochs: int = 1) -> float:
        """One noisy accuracy; the same for the same point and seed, on any machine."""
        digest = hashlib.sha256(f"{self.name} {Training(params, seed).key}".encode()).digest()
        noise = np.random.default_rng(list(digest[:8])).normal()
        return self.mean(params) + self.sd * float(noise)

    def mean(self, params: Params) -> float:
        """The true mean accuracy at ``params``."""
        return float(self.means(self.space.unit(params)[None])[0])

    def means(self, points: Points) -> Points:
        """The true mean accuracy at points of the unit cube, shape (n, n_axes) -> (n,)."""
        return _TOP + _RANGE * (self.height(np.asarray(points, dtype=float)) - 1.0)

    @property
    def best(self) -> float:
        """The largest mean."""
        return _TOP

    @cached_property
    def median(self) -> float:
        """The median of the mean over the space: what a point picked blindly is worth."""
        return float(np.median(self.means(qmc.Sobol(len(self.space.axes), scramble=False).random(2**13))))

    def regret(self, params: Params) -> float:
        """What ``params`` lacks to the best, in units of best minus median: 0 is best, 1 is a blind pick."""
        return (self.best - self.mean(params)) / (self.best - self.median)

    def covers(self, params: Params, peak: int, within: float = 2.0) -> bool:
        """Whether ``params`` lies in the zone of peak number ``peak``.

        That is where the mean lacks at most ``within`` standard deviations of one training to it, and no other peak is
        nearer.
        """
        if self.mean(params) < self.best - within * self.sd:
            return False
        apart = np.linalg.norm(self.space.unit(params) - np.array(self.peaks), axis=1)
        return int(np.argmin(apart)) == peak


def make_space(n_axes: int) -> Space:
    """The first ``n_axes`` of ``AXES``."""
    return Space(AXES[:n_axes])


def _spread(n: int) -> float:
    """Distances in the cube grow with the root of the number of axes; so do the shapes."""
    return float(np.sqrt(np.sum(_WEIGHT[:n] ** 2)))


def _bump(points: Points, centre: Points, width: float) -> Points:
    """exp(-r^2 / 2) with r the weighted distance in units of ``width`` times the cube's own spread."""
    n = points.shape[1]
    r2 = np.sum((_WEIGHT[:n] * (points - centre)) ** 2, axis=1) / (width * _spread(n)) ** 2
    return np.exp(-r2 / 2)


def _corners(n: int, k: int) -> tuple[tuple[float, ...], ...]:
    """``k`` places far from each other in all important axes, inside the cube."""
    first = [(0.2, 0.25), (0.8, 0.75), (0.22, 0.8), (0.78, 0.2)][:k]
    rest = [
        (0.3, 0.7, 0.35, 0.6, 0.4),
        (0.7, 0.3, 0.65, 0.4, 0.6),
        (0.6, 0.4, 0.3, 0.6, 0.5),
        (0.4, 0.6, 0.7, 0.3, 0.5),
    ]
    return tuple((a + b)[:n] for a, b in zip(first, rest, strict=False))


def _peaks(n: int, k: int) -> tuple[Mean, tuple[tuple[float, ...], ...]]:
    """``k`` equal separate peaks on a low broad hill."""
    centres = _corners(n, k)

    def height(points: Points) -> Points:
        hill = 0.15 * _bump(points, np.full(n, 0.5), 0.5)
        steep = np.max([_bump(points, np.array(centre), 0.2) for centre in centres], axis=0)
        return steep + hill * (1 - steep)

    return height, centres


def _one(n: int) -> tuple[Mean, tuple[tuple[float, ...], ...]]:
    """One smooth peak off the middle."""
    centre = (0.65, 0.35, 0.6, 0.3, 0.4, 0.55, 0.7)[:n]
    return (lambda points: _bump(points, np.array(centre), 0.35)), (centre,)


def _ridge(n: int) -> tuple[Mean, tuple[tuple[float, ...], ...]]:
    """Rate and batch that make up for each other: the first two axes count by their difference alone."""
    rest = np.array((0.35, 0.3, 0.4, 0.55, 0.7)[: n - 2])

    def height(points: Points) -> Points:
        off = (points[:, 0] - points[:, 1] - 0.1) / 0.2 if n > 1 else (points[:, 0] - 0.6) / 0.2
        r2 = off**2 + np.sum((_WEIGHT[2:n] * (points[:, 2:] - rest) / 0.5) ** 2, axis=1)
        return 1 / (1 + r2)

    return height, ((0.55, 0.45, *rest.tolist())[:n] if n > 1 else (0.6,),)


def _plateau(n: int) -> tuple[Mean, tuple[tuple[float, ...], ...]]:
    """Flat within noise over a wide region, then a cliff (trainings that do not learn) on the side of a high rate."""
    centre = np.array((0.55, 0.45, 0.4, 0.35, 0.4, 0.5, 0.6)[:n])

    def height(points: Points) -> Points:
        r2 = np.sum((_WEIGHT[:n] * (points - centre)) ** 2, axis=1) / (0.45 * _spread(n)) ** 2
        flat = 1 - 3.0 * np.clip(np.sqrt(r2) - 0.35, 0, None) ** 2
        cliff = points[:, min(2, n - 1)] > 0.8
        return np.where(cliff, flat - 2.0, flat)

    return height, (tuple(centre.tolist()),)


def _rim(n: int) -> tuple[Mean, tuple[tuple[float, ...], ...]]:
    """The best on the rim of two axes, inside on the others."""
    centre = (1.0, 0.0, 0.6, 0.4, 0.4, 0.55, 0.6)[:n]
    return (lambda points: _bump(points, np.array(centre), 0.45)), (centre,)


def _slope(n: int) -> tuple[Mean, tuple[tuple[float, ...], ...]]:
    """A sigmoid of a weighted sum: it saturates towards the corner, where it is best."""
    signs = np.array((1, 1, -1, -1, 1, 1, -1)[:n])
    peak = tuple(1.0 if sign > 0 else 0.0 for sign in signs)

    def sigmoid(points: Points) -> Points:
        rise = (points - 0.5) * signs @ _WEIGHT[:n] / _spread(n)
        return 1 / (1 + np.exp(-6 * rise))

    top = float(sigmoid(np.array([peak]))[0])
    return (lambda points: sigmoid(points) / top), (peak,)


def _ripples(n: int) -> tuple[Mean, tuple[tuple[float, ...], ...]]:
    """A hyperbola plus a sinusoid on every axis: growth that gets ever slower, with a local extremum per period."""
    grid = np.linspace(0, 1, 100_001)

    def profile(u: Points) -> Points:
        return -0.1 / (u + 0.1) + 0.18 * np.sin(2 * np.pi * (2.3 * u + 0.1)) - 0.35 * u**2

    top, where = float(profile(grid).max()), float(grid[np.argmax(profile(grid))])
    weights = _WEIGHT[:n] / np.sum(_WEIGHT[:n])
    return (lambda points: 1 + 1.5 * (profile(points) - top) @ weights), ((where,) * n,)


SHAPES: dict[str, Callable[[int], tuple[Mean, tuple[tuple[float, ...], ...]]]] = {
    "one": _one,
    "peaks2": lambda n: _peaks(n, 2),
    "peaks3": lambda n: _peaks(n, 3),
    "ridge": _ridge,
    "plateau": _plateau,
    "rim": _rim,
    "slope": _slope,
    "ripples": _ripples,
}
"""Shapes by name: the number of axes (1 to 7; several peaks from 2 on) -> height and peaks."""


def make_surface(name: str, sd: float = 0.01) -> Surface:
    """The surface called ``shape-axes``, as ``peaks3-2``, or a variant of it, as ``peaks3-2#17``.

    Raises:
        ValueError: no such shape, or a number of axes that it does not have.
    """
    plain, mark, variant = name.partition("#")
    shape, _, axes = plain.rpartition("-")
    known = shape in SHAPES and axes.isdigit() and 1 <= int(axes) <= len(AXES)
    if not known or (mark and not variant.isdigit()):
        raise ValueError(
            f"a surface is SHAPE-AXES or SHAPE-AXES#VARIANT with 1 to {len(AXES)} axes, a whole number as variant "
            f'and one of {", ".join(SHAPES)}, not "{name}"'
        )
    n = int(axes)
    if shape.startswith("peaks") and n == 1:
        raise ValueError("several peaks need 2 axes or more")
    height, peaks = SHAPES[shape](n)
    if variant:
        height, peaks = _bent(height, peaks, int(variant))
    return Surface(name, make_space(n), height, peaks, sd)


def _bent(
    height: Mean, peaks: tuple[tuple[float, ...], ...], variant: int
) -> tuple[Mean, tuple[tuple[float, ...], ...]]:
    """The same with every axis bent by a power between 0.61 and 1.65 and, half of them, turned round.

    Rims stay rims; the middle goes to anywhere between 0.32 and 0.66.
    """
    n = len(peaks[0])
    rng = np.random.default_rng(variant)
    powers, turned = np.exp(rng.uniform(-0.5, 0.5, len(AXES)))[:n], (rng.random(len(AXES)) < 0.5)[:n]

    def bent(points: Points) -> Points:
        return height(np.where(turned, 1 - points, points) ** powers)

    places = np.array(peaks) ** (1 / powers)
    return bent, tuple(tuple(place) for place in np.where(turned, 1 - places, places).tolist())


def surfaces(axes: tuple[int, ...] = (2, 3, 4, 6), sd: float = 0.01) -> Iterator[Surface]:
    """Every shape in every number of axes."""
    for n in axes:
        for shape in SHAPES:
            yield make_surface(f"{shape}-{n}", sd)
