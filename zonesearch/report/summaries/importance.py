"""How much each axis matters: the functional analysis of variance of the map.

The variance of the cells' values is decomposed into axes, their pairs and the rest (Sobol 1993; Hooker 2007; for
hyperparameters Hutter, Hoos & Leyton-Brown 2014). On a full grid the decomposition is exact and needs no surrogate
model. Shares refer to the variance over the whole map, including bad corners: an axis that can only harm matters as
much as one that can only help.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from zonesearch.report.map_summary import MapSummary

__all__ = ["Importance", "importance", "importance_table"]

_ROUNDS = 50  # iterations of filling in missing cells; each reduces the error by a constant factor


@dataclass(frozen=True)
class Importance:
    """The shares of the variance of a map.

    Args:
        axes: shares of each axis alone, by name.
        pairs: shares of each pair of axes together, beyond their individual effects.
        rest: share of interactions of three or more axes.
        noise: the share of the variance expected from noise alone; it is contained in all the others.
        n_filled: missing cells that were filled in by the sum of the axes' effects.
    """

    axes: dict[str, float]
    pairs: dict[tuple[str, str], float]
    rest: float
    noise: float
    n_filled: int


def importance(summary: MapSummary) -> Importance | None:
    """The shares for the final map; None for one axis, a constant map, or fewer than half of the cells known."""
    values = summary.means
    known = np.isfinite(values)
    names = [axis.name for axis in summary.space.axes]
    if len(names) < 2 or known.sum() < max(4, values.size / 2) or np.ptp(values[known]) == 0:
        return None
    full = _filled(values, known)
    mean = full.mean()
    total = float(np.mean((full - mean) ** 2))
    if total == 0:  # values so small that their squares underflow
        return None
    alone = {name: _margin(full, (i,)) - mean for i, name in enumerate(names)}
    axes = {name: float(np.mean(effect**2)) / total for name, effect in alone.items()}
    pairs = {}
    for (i, a), (j, b) in combinations(enumerate(names), 2):
        both = _margin(full, (i, j)) - mean - alone[a][:, None] - alone[b][None, :]
        pairs[a, b] = float(np.mean(both**2)) / total
    rest = max(0.0, 1.0 - sum(axes.values()) - sum(pairs.values())) if len(names) > 2 else 0.0
    noise = float(np.mean(summary.errors[known] ** 2)) / total
    return Importance(axes, pairs, rest, min(1.0, noise) if math.isfinite(noise) else 0.0, int((~known).sum()))


def importance_table(shares: Importance) -> pd.DataFrame:
    """One row per axis and pair, largest first, then the rest."""
    rows = [(name, share) for name, share in shares.axes.items()]
    rows += [(f"{a} with {b}", share) for (a, b), share in shares.pairs.items()]
    rows.sort(key=lambda row: -row[1])
    rows += [("three axes and more", shares.rest)] if shares.rest > 0 else []
    rows.append(("expected from chance alone, within the others", shares.noise))
    return pd.DataFrame(rows, columns=["source", "share of the variance"])


def _margin(full: npt.NDArray[np.float64], kept: tuple[int, ...]) -> npt.NDArray[np.float64]:
    return np.asarray(full.mean(axis=tuple(i for i in range(full.ndim) if i not in kept)))


def _filled(values: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """``values`` with unknown cells replaced by an additive model of all cells, iterated to convergence."""
    full = np.where(known, values, values[known].mean())
    for _ in range(0 if known.all() else _ROUNDS):
        mean = full.mean()
        fitted = np.full(full.shape, mean)
        for i in range(full.ndim):
            shape = [1] * full.ndim
            shape[i] = -1
            fitted = fitted + (_margin(full, (i,)) - mean).reshape(shape)
        full = np.where(known, values, fitted)
    return full
