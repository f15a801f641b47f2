"""Whether two maps of the same cells, after fewer and after more epochs, agree.

Ranks are compared, because a search only selects. A rank correlation alone would penalise a plateau, whose cells have a
different order in every map. So what counts is the order of cells that differ significantly in both maps, and whether
the early map's best cell is still in a zone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zonesearch.core.lazy import Lazy
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.trials import Params
from zonesearch.core.wording import point_text
from zonesearch.statistics.noise import Cell, Noise

if TYPE_CHECKING:
    from scipy import stats
else:
    stats = Lazy("scipy.stats")

__all__ = ["MapAgreement", "compare_maps", "rank_correlations", "spearman"]

_TURNED = 0.1  # of the pairs that differ in both maps: with more than this reversed, the early map was misleading

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MapAgreement:
    """How an early map compares with a later one, over the cells of both.

    Args:
        early, late: the epochs of the two maps.
        n_cells: cells that have a value in both.
        spearman: rank correlation of these; NaN with fewer than three, or where a map is constant.
        n_apart: pairs of cells that differ beyond noise in both maps; ``n_turned`` those of them that changed places.
        incumbent: the best cell of the early map; ``incumbent_stayed`` whether it lies in a zone of the later one.
    """

    early: int
    late: int
    n_cells: int
    spearman: float
    n_apart: int
    n_turned: int
    incumbent: Params
    incumbent_stayed: bool

    @property
    def misled(self) -> bool:
        """Whether the early map was misleading."""
        return self.n_cells > 1 and (not self.incumbent_stayed or self.n_turned > _TURNED * self.n_apart)

    @property
    def sentence(self) -> str:
        """A sentence on what was wrong with the early map; empty if nothing was."""
        if not self.misled:
            return ""
        reasons = []
        if not self.incumbent_stayed:
            reasons.append(f"its best cell ({point_text(self.incumbent)}) is not in a zone after {self.late}")
        if self.n_turned > _TURNED * self.n_apart:
            reasons.append(
                f"of {self.n_apart} pairs of cells that differ significantly in both maps "
                f"{self.n_turned} changed places"
            )
        rank = "" if math.isnan(self.spearman) else f" (rank correlation {self.spearman:.2f} over {self.n_cells} cells)"
        return f"The map after {self.early} epochs was not yet reliable: {' and '.join(reasons)}{rank}."


def spearman(one: Array, other: Array) -> float:
    """Spearman's rho of two maps, shape (n_cells,): the correlation of ranks, equal values having the mean of theirs.

    NaN below three cells or for a constant map. Not scipy's, which takes longer to load than ``status`` to answer.
    """
    if len(one) < 3 or not np.ptp(one) > 0 or not np.ptp(other) > 0:
        return math.nan
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: Array) -> Array:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last: Array = np.cumsum(counts) - (counts - 1) / 2
    return last[places]


def rank_correlations(one: Array, other: Array) -> tuple[float, float]:
    """Spearman's rho and Kendall's tau-b of two maps, shape (n_cells,); NaN below three cells or for a constant map."""
    rho = spearman(one, other)
    return rho, math.nan if math.isnan(rho) else float(stats.kendalltau(one, other).statistic)


def compare_maps(
    early: Sequence[Cell],
    late: Sequence[Cell],
    noise: tuple[Noise, Noise],
    epochs: tuple[int, int],
    in_zones: Sequence[bool],
    metric: Metric = ACCURACY,
    *,
    level: float = 0.95,
) -> MapAgreement:
    """Compare an early map with a later one.

    Args:
        early, late: the same cells in the same order; those without a value in either are left out.
        noise: of the early map and of the later one.
        epochs: of the early map and of the later one.
        in_zones: for each cell whether it lies in a zone of the later map.
        metric: says which cell of the early map was the best.
        level: at which two cells of one map count as different.
    """
    both = [i for i, (a, b) in enumerate(zip(early, late, strict=True)) if a.values and b.values]
    before, after = (np.array([cells[i].mean for i in both]) for cells in (early, late))
    z = NormalDist().inv_cdf(0.5 + level / 2)
    apart = [
        _apart(means, np.array([each.variance(cells[i]) for i in both]), z)
        for means, cells, each in ((before, early, noise[0]), (after, late, noise[1]))
    ]
    upper = np.triu(np.ones((len(both), len(both)), dtype=bool), 1)
    incumbent = both[int(np.argmax([metric.score(mean) for mean in before.tolist()]))] if both else 0
    return MapAgreement(
        early=epochs[0],
        late=epochs[1],
        n_cells=len(both),
        spearman=spearman(before, after),
        n_apart=int((upper & (apart[0] != 0) & (apart[1] != 0)).sum()),
        n_turned=int((upper & (apart[0] * apart[1] < 0)).sum()),
        incumbent=dict(early[incumbent].params) if both else {},
        incumbent_stayed=bool(both) and in_zones[incumbent],
    )


def _apart(means: Array, variances: Array, z: float) -> Array:
    """For each pair 1 or -1 when it differs beyond noise, else 0; shape (n_cells, n_cells)."""
    difference = means[:, None] - means[None, :]
    return np.sign(difference) * (np.abs(difference) > z * np.sqrt(variances[:, None] + variances[None, :]))
