"""Noisy test surfaces with known peaks, in 1 to 7 axes: what search methods are measured on.

Shapes that one expects of networks: one or several equal peaks, a ridge (two settings that make up for each other), a
plateau with a cliff, a peak on the rim, a sigmoid slope that one climbs as far as one can pay for, and a hyperbola plus
a sinusoid with a local extremum in every period. The axes are those of a real study (integer and log, linear); the
shapes are formulas on the unit cube, so the true mean, its maximum and where it lies are known.

Beside these eight stand three that are harder on a search (``HARD``): ``folded``, a rim folded inwards (the best lies a
tenth of the axis off the rim and the rim itself is bad); ``failing``, where a fifth of the space trains nothing, right
beside the peak; and ``mixed``, where every other axis holds choices or a few whole numbers.

Every shape comes in as many variants as one likes, each with its axes turned round and bent by chance, so that a method
is not tuned to where the peaks of eight formulas happen to lie (a search that starts in the middle, say).

A surface is a function ``f(params, seed, epochs)`` as any objective is: ``run_pipeline(s.space, objective=s)``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from zonesearch.core.axes import AnyAxis, Axis, Choice
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training

__all__ = ["AXES", "HARD", "MIXED_AXES", "SHAPES", "Surface", "make_space", "make_surface", "surfaces"]

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

MIXED_AXES: tuple[AnyAxis, ...] = (
    Axis("rate", 1e-5, 1e-1, "log", row_rule=5),
    Choice("optimizer", ("sgd", "adam", "rmsprop", "lion")),
    Axis("depth", 1, 9, row_rule=8),
    Axis("dropout", 0.0, 0.9, row_rule=5),
    Choice("norm", (True, False)),
    Axis("heads", 1, 5, row_rule=4),
    Axis("width", 16, 4096, "log"),
)
"""Those of ``mixed``."""

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
        fails: points of the cube whose trainings come to nothing, (n, n_axes) -> (n,); None where all end well.
    """

    name: str
    space: Space
    height: Mean = field(repr=False)
    peaks: tuple[tuple[float, ...], ...]
    sd: float = 0.01
    fails: Callable[[Points], npt.NDArray[np.bool_]] | None = field(default=None, repr=False)

    def __call__(self, params: Params, seed: int = 0, epochs: int = 1) -> float:
        """One noisy accuracy, the same for the same point and seed on any machine; NaN where the training fails."""
        if self.lost(params):
            return math.nan
        digest = hashlib.sha256(f"{self.name} {Training(params, seed).key}".encode()).digest()
        noise = np.random.default_rng(list(digest[:8])).normal()
        return self.mean(params) + self.sd * float(noise)

    def mean(self, params: Params) -> float:
        """The true mean accuracy at ``params``."""
        return float(self.means(self.space.unit(params)[None])[0])

    def means(self, points: Points) -> Points:
        """The true mean accuracy at points of the unit cube, shape (n, n_axes) -> (n,)."""
        return _TOP + _RANGE * (self.height(np.asarray(points, dtype=float)) - 1.0)

    def lost(self, params: Params) -> bool:
        """Whether a training at ``params`` comes to nothing."""
        return self.fails is not None and bool(self.fails(self.space.unit(params)[None])[0])

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


def _folded(n: int) -> tuple[Mean, tuple[tuple[float, ...], ...]]:
    """Growth towards one rim of two axes that turns round just before it, as a rate does before trainings diverge."""
    inside = np.array((0.6, 0.4, 0.4, 0.55, 0.6)[: max(0, n - 2)])
    centre = (0.9, 0.1, *inside.tolist())[:n]

    def height(points: Points) -> Points:
        off = points - np.array(centre)
        folded = np.arange(n) < 2
        outwards = np.where(np.array(centre) > 0.5, off > 0, off < 0) & folded
        r2 = np.sum((_WEIGHT[:n] * np.where(outwards, 6 * off, off)) ** 2, axis=1) / (0.45 * _spread(n)) ** 2
        return 1 / (1 + r2)

    return height, (centre,)


_KINDS = np.array([0.0, 0.35, 0.25, 0.6])  # what each optimizer lacks
_SHIFT = np.array([0.0, -0.25, -0.2, -0.4])  # where its best rate lies from that of the best one


def _mixed(n: int) -> tuple[Mean, tuple[tuple[float, ...], ...]]:
    """A peak whose rate depends on the optimizer; every choice and whole number costs something of its own."""
    centre = (0.65, 0.125, 0.375, 0.3, 0.75, 0.25, 0.5)[:n]

    def height(points: Points) -> Points:
        kind = np.clip((points[:, 1] * 4).astype(int), 0, 3) if n > 1 else np.zeros(len(points), dtype=int)
        off = points - np.array(centre)
        off[:, 0] -= _SHIFT[kind]
        lacks = _KINDS[kind].copy()
        if n > 4:
            lacks += 0.2 * (points[:, 4] < 0.5)
        numeric = [i for i in range(n) if i not in (1, 4)]
        r2 = np.sum((_WEIGHT[numeric] * off[:, numeric]) ** 2, axis=1) / (0.4 * _spread(n)) ** 2
        return np.exp(-r2 / 2) - lacks

    return height, (centre,)


HARD = ("folded", "failing", "mixed")
"""Further shapes; they are asked for by name (``--shapes folded,failing,mixed``)."""

_FAILING_BASES = ("one", "ridge", "rim", "peaks2", "slope", "folded")
_FAIL_SHARE = 0.2


def _failing_region(peaks: tuple[tuple[float, ...], ...], variant: int) -> Callable[[Points], npt.NDArray[np.bool_]]:
    """A fifth of the cube beyond a plane that no peak lies beyond: by ``variant``, often near a peak."""
    n = len(peaks[0])
    rng = np.random.default_rng([variant, n])
    points = qmc.Sobol(n, scramble=False).random(2**12)
    while True:
        normal = rng.normal(size=n) * _WEIGHT[:n]
        threshold = float(np.quantile(points @ normal, 1 - _FAIL_SHARE))
        if all(float(np.array(peak) @ normal) < threshold - 1e-3 for peak in peaks):
            return lambda at: at @ normal > threshold


def make_surface(name: str, sd: float = 0.01) -> Surface:
    """The surface called ``shape-axes``, as ``peaks3-2``, or a variant of it, as ``peaks3-2#17``.

    Raises:
        ValueError: no such shape, or a number of axes that it does not have.
    """
    plain, mark, variant = name.partition("#")
    shape, _, axes = plain.rpartition("-")
    known = (shape in SHAPES or shape in HARD) and axes.isdigit() and 1 <= int(axes) <= len(AXES)
    if not known or (mark and not variant.isdigit()):
        raise ValueError(
            f"a surface is SHAPE-AXES or SHAPE-AXES#VARIANT with 1 to {len(AXES)} axes, a whole number as variant "
            f'and one of {", ".join((*SHAPES, *HARD))}, not "{name}"'
        )
    n = int(axes)
    if shape.startswith("peaks") and n == 1:
        raise ValueError("several peaks need 2 axes or more")
    if n == 1 and shape in HARD:
        raise ValueError(f"{shape} needs 2 axes or more")
    base = _FAILING_BASES[int(variant or 0) % len(_FAILING_BASES)] if shape == "failing" else shape
    height, peaks = _SHAPES_OF[base](n) if base in _SHAPES_OF else SHAPES[base](n)
    if variant and shape != "mixed":  # what is turned round or bent would no longer be one choice
        height, peaks = _bent(height, peaks, int(variant))
    space = Space(MIXED_AXES[:n]) if shape == "mixed" else make_space(n)
    if shape == "mixed" and variant:
        height, peaks = _shuffled(height, peaks, int(variant))
    fails = _failing_region(peaks, int(variant or 0)) if shape == "failing" else None
    return Surface(name, space, height, peaks, sd, fails)


_SHAPES_OF: dict[str, Callable[[int], tuple[Mean, tuple[tuple[float, ...], ...]]]] = {
    "folded": _folded,
    "mixed": _mixed,
}


def _shuffled(
    height: Mean, peaks: tuple[tuple[float, ...], ...], variant: int
) -> tuple[Mean, tuple[tuple[float, ...], ...]]:
    """``mixed`` with its choices in another order and half of its other axes turned round."""
    n = len(peaks[0])
    rng = np.random.default_rng(variant)
    kinds, turned = rng.permutation(4), rng.random(len(AXES)) < 0.5
    turned[1] = False
    turned = turned[:n]

    def forth(points: Points) -> Points:
        moved = np.where(turned, 1 - points, points)
        if n > 1:
            moved[:, 1] = (kinds[np.clip((moved[:, 1] * 4).astype(int), 0, 3)] + 0.5) / 4
        return moved

    places = []
    for peak in peaks:
        place = np.where(turned, 1 - np.array(peak), np.array(peak))
        if n > 1:
            place[1] = (int(np.flatnonzero(kinds == int(peak[1] * 4))[0]) + 0.5) / 4
        places.append(tuple(place.tolist()))
    return (lambda points: height(forth(points))), tuple(places)


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
