"""``cv_results_`` of a search in which settings get different numbers of seeds.

One row per setting. ``split0_seed3_test_score`` is the score on the first split for the seed with index 3; the same
column of two rows used the same folds, so rows can be compared in pairs. NaN means that a setting was not fitted with
that seed (or that a fit failed, in which case its mean is NaN too). Mean and standard deviation run over all fits of
the row. The ranks begin with the finalists in the verdict's order, which is based on fresh seeds; all others follow by
their means, which were used for choosing.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

__all__ = ["Fits", "cv_table"]

Fits = Mapping[int, Sequence[dict[str, Any]]]
"""For one setting: scikit-learn's result for each split, by seed."""


def cv_table(table: dict[str, Any], rows: Sequence[Fits], n_splits: int, judged: Mapping[int, int]) -> dict[str, Any]:
    """``table`` with its scores and times replaced by those of all seeds.

    Args:
        table: scikit-learn's table for the first seed of each row: the keys, ``params`` and ``param_*``.
        rows: the fits of each row.
        n_splits: number of splits per seed.
        judged: rank in the verdict of the rows that are finalists.
    """
    made: dict[str, Any] = {}
    for what in ("fit_time", "score_time"):
        values = [np.array([fit[what] for fits in row.values() for fit in fits]) for row in rows]
        made[f"mean_{what}"] = np.array([np.mean(v) for v in values])
        made[f"std_{what}"] = np.array([np.std(v) for v in values])
    made |= {key: value for key, value in table.items() if key == "params" or key.startswith("param_")}
    made["n_seeds"] = np.array([len(row) for row in rows])
    seeds = sorted({seed for row in rows for seed in row})
    for part in ("test", "train"):
        names = [key.removeprefix(f"mean_{part}_") for key in table if key.startswith(f"mean_{part}_")]
        for name in names:
            made |= _scores(rows, part, name, seeds, n_splits)
            if part == "test":
                made[f"rank_test_{name}"] = _ranks(made[f"mean_test_{name}"], judged)
    return made


def score_of(fit: Mapping[str, Any], part: str, name: str) -> float:
    """The score called ``name`` of one fit; a search with one scorer calls it ``score``."""
    scores = fit[f"{part}_scores"]
    if isinstance(scores, Mapping):
        return float(scores[name])
    return float(scores)


def _scores(rows: Sequence[Fits], part: str, name: str, seeds: Sequence[int], n_splits: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for split in range(n_splits):
        for seed in seeds:
            column = [score_of(row[seed][split], part, name) if seed in row else np.nan for row in rows]
            made[f"split{split}_seed{seed}_{part}_{name}"] = np.array(column)
    values = [np.array([score_of(fit, part, name) for fits in row.values() for fit in fits]) for row in rows]
    made[f"mean_{part}_{name}"] = np.array([np.mean(v) for v in values])
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        made[f"std_{part}_{name}"] = np.array([np.std(v) for v in values])
    return made


def _ranks(means: np.ndarray[Any, Any], judged: Mapping[int, int]) -> np.ndarray[Any, Any]:
    """1 for the best; equal means share a rank, and failed rows share the last one."""
    last = np.nanmin(means) - 1 if np.isfinite(means).any() else 0.0
    rest = rankdata(-np.nan_to_num(means, nan=last), method="min")
    ranks = rest.copy()
    others = [i for i in range(len(means)) if i not in judged]
    for i, place in judged.items():
        ranks[i] = place + 1
    if others:
        ranks[others] = len(judged) + rankdata(rest[others], method="min")
    return ranks.astype(np.int32)
