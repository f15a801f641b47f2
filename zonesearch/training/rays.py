"""How wide an optimum is: the error along random straight lines from a solution.

From a solution w, the error is measured along w + t d for random unit directions d at increasing distances t: the wider
the optimum, the farther the error stays low (Izmailov et al. 2018, section 3.3, with ten directions).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import vector_to_parameters

__all__ = ["Rays", "along_rays", "random_direction"]

Scaling = Literal["sphere", "filter"]


@dataclass(frozen=True)
class Rays:
    """Errors along rays.

    Args:
        distances: ascending, shape (n_distances,).
        errors: shape (n_rays, n_distances).
    """

    distances: tuple[float, ...]
    errors: tuple[tuple[float, ...], ...]

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean error over the rays at each distance."""
        return tuple(np.mean(self.errors, 0).tolist())

    def reaches(self, error: float) -> tuple[float, ...]:
        """For each ray the interpolated distance at which it first reaches ``error``; infinity if it never does."""
        return tuple(self._reaches(row, error) for row in self.errors)

    def _reaches(self, row: Sequence[float], error: float) -> float:
        for i, value in enumerate(row):
            if value >= error:
                if i == 0:
                    return self.distances[0]
                share = (error - row[i - 1]) / (value - row[i - 1])
                return self.distances[i - 1] + share * (self.distances[i] - self.distances[i - 1])
        return math.inf

    def describe(self) -> dict[str, Any]:
        """The errors as plain data."""
        return {
            "distances": list(self.distances),
            "mean_error": list(self.mean),
            "errors": [list(r) for r in self.errors],
        }


def along_rays(
    network: nn.Module,
    error: Callable[[nn.Module], float],
    distances: Sequence[float],
    *,
    n_rays: int = 10,
    seed: int = 0,
    scaling: Scaling = "sphere",
    refresh: Callable[[nn.Module], None] | None = None,
) -> Rays:
    """The error of ``network`` at ``distances`` along ``n_rays`` random directions; the network itself does not change.

    Args:
        error: of a network in eval mode, such as its test error, 0 to 1.
        distances: in the norm of the weights ("sphere"), or in multiples of the filters' own norms ("filter").
        seed: of the directions; the same seed gives networks of the same shape the same directions.
        scaling: see :func:`random_direction`.
        refresh: called on every network before it is evaluated, to recompute batch-norm statistics.
    """
    walker = copy.deepcopy(network).requires_grad_(False)
    origin = torch.cat([parameter.detach().reshape(-1) for parameter in network.parameters()])
    generator = torch.Generator().manual_seed(seed)
    errors = []
    for _ in range(n_rays):
        direction = random_direction(list(network.parameters()), generator, scaling)
        row = []
        for distance in distances:
            with torch.no_grad():
                vector_to_parameters(origin + distance * direction, walker.parameters())
            if refresh is not None:
                refresh(walker)
            row.append(float(error(walker.eval())))
        errors.append(tuple(row))
    return Rays(tuple(map(float, distances)), tuple(errors))


def random_direction(parameters: Sequence[Tensor], generator: torch.Generator, scaling: Scaling = "sphere") -> Tensor:
    """A random direction in weight space, flat, on the device of the parameters.

    "sphere": uniform on the unit sphere. "filter": each filter (row) of the direction has the norm of that filter of
    the weights, and biases and norm layers do not move (Li et al. 2018), so networks of different weight scales can be
    compared.
    """
    pieces = []
    for parameter in parameters:
        piece = torch.randn(parameter.shape, generator=generator).to(parameter)
        if scaling == "filter":
            if parameter.dim() < 2:
                piece = torch.zeros_like(piece)
            else:
                rows = piece.flatten(1)
                wanted = parameter.detach().flatten(1).norm(dim=1, keepdim=True)
                piece = (rows / rows.norm(dim=1, keepdim=True) * wanted).view_as(piece)
        pieces.append(piece.flatten())
    direction = torch.cat(pieces)
    return direction / direction.norm() if scaling == "sphere" else direction
