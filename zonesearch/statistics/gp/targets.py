"""The training data of the Gaussian process: points with means and counts, compressed at the bad end.

A search looks for the best. How bad a bad value is does not matter, but a cliff (trainings that do not learn at all)
would distort a stationary process everywhere. So values are measured from the median of the space in units of the
spread above it, and below minus one unit they are smoothly compressed by a logarithm. Failures have no value and are
left out (:mod:`zonesearch.statistics.gp.success`).

The median is that of the *space*: many points are spread over it, and each takes the value of the nearest training. The
median of the trainings themselves would rise as the search concentrates on the top, and noise around a peak would then
be compressed on one side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.process import Data

__all__ = ["Known", "Scale"]

Array = npt.NDArray[np.float64]
Place = tuple[float, ...]


@dataclass(frozen=True)
class Known:
    """Scores (larger is better) by point of the cube; NaN for a training without a score. The order of points and of
    scores does not matter.

    Args:
        values: the scores.
        barred: points that may not be the best, whatever their values.
    """

    values: Mapping[Place, Sequence[float]]
    barred: frozenset[Place] = frozenset()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_complete(self) -> int:
        """The number of points with at least one value."""
        return sum(any(math.isfinite(v) for v in values) for values in self.values.values())

    def data(self, cube: Cube) -> tuple[Data, Scale]:
        """Standardised data, points in ascending order, those without a value left out; at least one point must have a
        value.
        """
        places = sorted(place for place, values in self.values.items() if any(map(math.isfinite, values)))
        finite = [sorted(v for v in self.values[place] if math.isfinite(v)) for place in places]
        singles = np.array([value for values in finite for value in values])
        scale = Scale.of(_over_space(cube, places, finite), float(np.abs(singles).max()))
        scaled = scale.forth(singles)
        sizes = np.array([len(values) for values in finite])
        home = np.repeat(np.arange(len(places)), sizes)
        counts = sizes.astype(float)
        means = np.bincount(home, scaled, len(places)) / counts
        squares = float(np.sum((scaled - means[home]) ** 2))
        barred = np.array([place in self.barred for place in places])
        data = Data(np.array(places), means, counts, squares, cube.choices, barred if barred.any() else None)
        return data, scale


def _over_space(cube: Cube, places: Sequence[Place], values: Sequence[Sequence[float]]) -> Array:
    """The mean value of the nearest point with a value, at points spread over the space."""
    means = np.array([math.fsum(found) / len(found) for found in values])
    apart = cube.spread[:, None] - np.array(places)
    apart[..., cube.choices] = apart[..., cube.choices] != 0
    nearest: Array = means[np.argmin(np.einsum("ijk,ijk->ij", apart, apart), axis=1)]
    return nearest


@dataclass(frozen=True)
class Scale:
    """value -> z = (value - centre) / unit, and -1 - log(-z) where z < -1: the same z in whatever unit values are."""

    centre: float
    unit: float

    @classmethod
    def of(cls, values: Array, size: float = 0.0) -> Scale:
        """Centre: the median. Unit: the root mean square above it; 1 if nothing lies above.

        Differences within rounding error of ``values``, or of single values of magnitude ``size``, count as zero.
        """
        centre = float(np.median(values))
        above = values[values >= centre] - centre
        most = float(above.max())
        if not most > 1e-12 * max(abs(centre), size):  # all equal up to rounding
            return cls(centre, 1.0)
        return cls(centre, most * float(np.sqrt(np.mean((above / most) ** 2))))

    def forth(self, values: Array) -> Array:
        """Convert scores to standardised values."""
        z = (values - self.centre) / self.unit
        return np.where(z < -1.0, -1.0 - np.log(np.maximum(-z, 1.0)), z)

    def back(self, z: float) -> float:
        """Convert a standardised value to a score."""
        return self.centre + self.unit * (z if z >= -1.0 else -math.exp(-1.0 - z))
