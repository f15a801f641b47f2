"""The learned prior: a small network that predicts the value of settings, their similarity, and their noise.

The surface of a task, in units of its best minus its median, is a Gaussian process whose mean is the output of a
network and whose kernel is a standard one on features learned by that network (Wilson et al. 2016; across tasks:
Wistuba & Grabocka 2021, Wang et al. 2021). The weights are plain arrays in a file of the package, read without
unpickling anything, and the network has two layers, so no deep-learning library is needed to evaluate it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.core.roles import ROLES
from zonesearch.errors import StudyError
from zonesearch.search.controller.context import N_FEATURES, within

__all__ = ["SHIPPED", "LearnedPrior", "Seen", "load_prior"]

Array = npt.NDArray[np.float64]
_Singles = npt.NDArray[np.float32]

SHIPPED = Path(__file__).parent / "prior.npz"
_NEEDED = {
    "w1",
    "b1",
    "w2",
    "b2",
    "mean_w",
    "mean_b",
    "phi_w",
    "phi_b",
    "noise_w",
    "noise_b",
    "scales",
    "variances",
    "about",
}
_OF_SHAPES = {f"shape_{name}" for name in ("w1", "b1", "w2", "b2", "w", "b", "optimizers", "ranges", "variance")}
"""Arrays of the tasks' surfaces, which earlier priors lack."""
_VERSION = 1


@dataclass(frozen=True)
class Seen:
    """Settings as the prior sees them.

    Args:
        mean: prior mean, shape (n,).
        phi: features, (n, k).
        noise: variance between seeds, (n,).
        canonical: values by role, (n, n_roles).
        base: prior mean of the network alone, (n,).
        taken: reduction of the kernel by earlier runs, as factors (n, m); None without any.
        shapes: deviations of the surfaces of the prior's tasks from their mean, (n, k); None in a prior without them.
    """

    mean: Array
    phi: Array
    noise: Array
    canonical: Array
    base: Array
    taken: Array | None = None
    shapes: Array | None = None

    def __getitem__(self, rows: slice) -> Seen:
        taken = None if self.taken is None else self.taken[rows]
        shapes = None if self.shapes is None else self.shapes[rows]
        mean, phi, noise, known, base = self.mean, self.phi, self.noise, self.canonical, self.base
        return Seen(mean[rows], phi[rows], noise[rows], known[rows], base[rows], taken, shapes)


@dataclass(frozen=True, eq=False)
class LearnedPrior:
    """The network and its kernel, as arrays by name."""

    arrays: Mapping[str, Array]
    about: Mapping[str, Any]

    @cached_property
    def roles(self) -> frozenset[str]:
        """The roles that it was trained with."""
        return frozenset(self.about["roles"])

    def see(self, x: Array) -> Seen:
        """Evaluate features of shape (n, N_FEATURES)."""
        a = self.arrays
        mean, hidden, of_shapes = self._evaluated(x)
        noise = np.exp(np.clip(hidden @ a["noise_w"] + a["noise_b"], -9.0, 2.0))[:, 0]
        phi, canonical, shapes = hidden @ a["phi_w"] + a["phi_b"], x[:, : 2 * len(ROLES) : 2], None
        if of_shapes is not None:
            apart = self._shape_weights[float(x[0, -1])][3]
            shapes = np.asarray(of_shapes @ apart[:-1] + apart[-1], dtype=np.float64)
        return Seen(mean, phi, noise, canonical, mean, None, shapes)

    def means(self, x: Array) -> Array:
        """The prior mean alone, shape (n,)."""
        return self._evaluated(x)[0]

    def _evaluated(self, x: Array) -> tuple[Array, Array, _Singles | None]:
        """The mean, and the last hidden layers of both networks."""
        a = self.arrays
        hidden = np.tanh(np.tanh(x @ a["w1"] + a["b1"]) @ a["w2"] + a["b2"])
        mean = (hidden @ a["mean_w"] + a["mean_b"])[:, 0]
        if "shape_w" not in a or not len(x):
            return mean, hidden, None
        w1, w2, middle, _ = self._shape_weights[float(x[0, -1])]
        inside = within(x, a["shape_ranges"]).astype(np.float32)
        of_shapes = np.tanh(np.tanh(inside @ w1[:-1] + w1[-1]) @ w2[:-1] + w2[-1])
        return 0.5 * (mean + (of_shapes @ middle[:-1] + middle[-1])[:, 0]), hidden, of_shapes

    @cached_property
    def _shape_weights(self) -> dict[float, tuple[_Singles, ...]]:
        """By kind of optimizer, the weights of the network of surfaces with the biases as last rows: of the two hidden
        layers, of the mean of its tasks' surfaces, and of the scaled deviations from it (0 for tasks of another kind).
        """
        a, found = self.arrays, {}
        layers = [np.vstack([a[f"shape_w{i}"], a[f"shape_b{i}"]]) for i in (1, 2)]
        last = np.vstack([a["shape_w"], a["shape_b"]])
        for kind in (-1.0, 1.0):
            mine = a["shape_optimizers"] == kind
            middle = last[:, mine].mean(1, keepdims=True)
            apart = np.where(mine, last - middle, 0.0) * np.sqrt(a["shape_variance"] / mine.sum())
            found[kind] = tuple(w.astype(np.float32) for w in (*layers, middle, apart))
        return found

    def surface(self, a: Seen, b: Seen) -> Array:
        """The part of the covariance that decreases with distance, (n,), (m,) -> (n, m)."""
        deep, plain, _, _ = self.arrays["variances"]
        scales = self.arrays["scales"]
        near = np.exp(-0.5 * _squares(a.phi, b.phi))
        r = np.sqrt(5.0 * _squares(a.canonical / scales, b.canonical / scales))
        total: Array = deep * near + plain * (1 + r + r * r / 3) * np.exp(-r)
        if a.shapes is not None and b.shapes is not None:
            total += a.shapes @ b.shapes.T
        return total

    def of_scale(self, a: Seen, b: Seen) -> Array:
        """The part of the covariance for unusual centres and units of a task, (n,), (m,) -> (n, m)."""
        _, _, offset, slope = self.arrays["variances"]
        total: Array = offset + slope * np.outer(a.base, b.base)
        return total

    def kernel(self, a: Seen, b: Seen) -> Array:
        """The covariance of the surfaces at two sets of settings, (n,), (m,) -> (n, m)."""
        return self.surface(a, b) + self.of_scale(a, b)

    def surface_variance(self, a: Seen) -> Array:
        """The diagonal of :meth:`surface`, shape (n,)."""
        deep, plain, _, _ = self.arrays["variances"]
        total: Array = np.full(len(a.mean), deep + plain)
        return total if a.shapes is None else total + np.einsum("ij,ij->i", a.shapes, a.shapes)

    def variance(self, a: Seen) -> Array:
        """The variance of the surface at each setting, shape (n,)."""
        _, _, offset, slope = self.arrays["variances"]
        total: Array = self.surface_variance(a) + offset + slope * a.base**2
        return total

    def n_alike(self, values: Mapping[str, float], optimizer: float) -> dict[str, tuple[int, int]]:
        """By role, on how many tasks with this kind of optimizer the value was among those of the best settings, and
        out of how many.

        Args:
            values: canonical, by role.
            optimizer: -1 or 1.
        """
        found = {}
        signs, ranges = self.arrays["task_optimizers"], self.arrays["task_ranges"]
        for role, value in values.items():
            low, high = ranges[signs == optimizer][:, list(ROLES).index(role)].T
            known = np.isfinite(low)
            if known.any():
                found[role] = int(np.sum(known & (low <= value) & (value <= high))), int(known.sum())
        return found


def _squares(a: Array, b: Array) -> Array:
    squares: Array = np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0.0)
    return squares


@lru_cache(maxsize=4)
def load_prior(path: Path = SHIPPED) -> LearnedPrior:
    """Read the weights without ever executing anything in the file.

    Raises:
        StudyError: the file is missing or broken, contains objects, or belongs to another version.
    """
    mend = "make it anew with python -m controller.train, or install the package again"
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as read:
            arrays = {name: read[name] for name in read.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise StudyError(f"the controller's prior {path} cannot be read ({error}); {mend}") from None
    except Exception as error:  # a broken archive raises the zip reader's own errors
        raise StudyError(f"the controller's prior {path} is broken ({type(error).__name__}: {error}); {mend}") from None
    missing = sorted((_NEEDED | (_OF_SHAPES if _OF_SHAPES & set(arrays) else set())) - set(arrays))
    if missing:
        raise StudyError(f"the controller's prior {path} is missing {', '.join(missing)}; {mend}")
    try:
        about = json.loads(str(arrays.pop("about")))
    except ValueError:
        raise StudyError(f"the controller's prior {path} does not say what it is; {mend}") from None
    if about.get("version") != _VERSION or arrays["w1"].shape[0] != N_FEATURES:
        raise StudyError(f"the controller's prior {path} was made by another version; {mend}")
    numbers = {name: array.astype(np.float64) for name, array in arrays.items()}
    if not all(np.isfinite(array).all() for name, array in numbers.items() if name != "task_ranges"):
        raise StudyError(f"the controller's prior {path} holds numbers that are not finite; {mend}")
    return LearnedPrior(numbers, about)
