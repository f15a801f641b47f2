"""How early the map was right: each epoch's map compared with the last one.

By ranks, because a search only has to choose: whether the cells are in the same order (Spearman's rho, Kendall's
tau-b), and what choosing the best cell at that epoch would have cost in the end (the simple regret).
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd

from zonesearch.report.map_summary import MapSummary
from zonesearch.report.summaries.map_tables import identity
from zonesearch.statistics.agreement import rank_correlations

__all__ = ["agreement", "agreement_sentence", "between_seeds"]

_ALIKE = 0.95
_MOST_OF_THE_MAP = 0.4


def agreement(summary: MapSummary) -> pd.DataFrame:
    """One row per epoch, including the last.

    Columns: epoch; spearman and kendall (NaN where a map is constant or has fewer than three cells); regret (by how
    much the final value of the cell that was best then is worse than that of the finally best one); ``in a final
    zone``, whether that cell lies in one of the zones found in the end.
    """
    if len(summary.epochs) < 2 or summary.n_mapped < 2:
        return pd.DataFrame(columns=["epoch", "spearman", "kendall", "regret", "in a final zone"])
    history = summary.history.reshape(len(summary.epochs), -1)
    if not np.isfinite(history).all(axis=0).any():  # no curve has a value at all of these epochs
        return pd.DataFrame(columns=["epoch", "spearman", "kendall", "regret", "in a final zone"])
    known = np.asarray(np.isfinite(history).all(axis=0)) & np.isfinite(summary.means.ravel())
    sign = summary.metric.score(1.0)
    final = history[-1, known]
    most = float((sign * final).max()) if len(final) else float("nan")
    inside = {identity(cell) for zone in summary.results.zones for cell in zone.cells}
    points = [point for point, is_known in zip(summary.points, known, strict=True) if is_known]
    rows = []
    for epoch, values in zip(summary.epochs, history[:, known], strict=True):
        incumbent = int(np.argmax(sign * values))
        spearman, kendall = rank_correlations(values, final)
        rows.append(
            {
                "epoch": epoch,
                "spearman": spearman,
                "kendall": kendall,
                "regret": most - sign * float(final[incumbent]),
                "in a final zone": identity(points[incumbent]) in inside,
            }
        )
    return pd.DataFrame(rows)


def between_seeds(summary: MapSummary) -> float:
    """Spearman's rho between the final maps of two single seeds, averaged over all pairs; NaN with one seed.

    No epoch can be expected to agree better with the last one than two seeds agree with each other, apart from the
    noise that both epochs share.
    """
    full = [cell.values for cell in summary.cells if len(cell.values) == len(summary.seeds)]
    if len(full) < 3 or len(summary.seeds) < 2:
        return float("nan")
    values = np.array(full, dtype=float)
    pairs = combinations(range(min(values.shape[1], 6)), 2)
    found = [rank_correlations(values[:, i], values[:, j])[0] for i, j in pairs]
    known = [each for each in found if math.isfinite(each)]
    return float(np.mean(known)) if known else math.nan


def agreement_sentence(table: pd.DataFrame, share_in_zones: float = 0.0) -> str:
    """The result of :func:`agreement` as a sentence; empty without epochs to compare.

    Args:
        table: the result of :func:`agreement`.
        share_in_zones: fraction of the cells in zones; if they hold most of the map, the best cell is always in one.
    """
    if len(table) < 2:
        return ""
    last = int(table["epoch"].iloc[-1])
    parts = []
    if table["spearman"].notna().any():
        since = _since(table, table["spearman"] >= _ALIKE)
        parts.append(
            f"The cells stand in nearly their final order (rank correlation {_ALIKE:g} or more) only at the end."
            if since >= last
            else f"From epoch {since} of {last} on, the cells stand in nearly their final order (rank correlation "
            f"{_ALIKE:g} or more)."
        )
    if share_in_zones > _MOST_OF_THE_MAP:
        parts.append(
            f"The zones hold {100 * share_in_zones:.0f} % of the cells, so the best cell would lie in one by chance."
        )
    elif table["in a final zone"].iloc[-1]:
        since = _since(table, table["in a final zone"])
        parts.append(
            "The best cell entered a final zone only at the end."
            if since >= last
            else f"From epoch {since} on, the best cell lay in one of the final zones: they were already right then."
        )
    return " ".join(parts)


def _since(table: pd.DataFrame, holds: pd.Series[bool]) -> int:
    """The first epoch from which ``holds`` stays true."""
    n_at_end = int(np.argmin(holds.to_numpy()[::-1])) if not holds.all() else len(holds)
    return int(table["epoch"].iloc[len(table) - max(n_at_end, 1)])
