"""The finalists on fresh seeds, next to their values when chosen."""

from __future__ import annotations

import math

import pandas as pd

from zonesearch.core.trials import Params, Value
from zonesearch.core.wording import point_text
from zonesearch.statistics.search_results import SearchResults
from zonesearch.statistics.verdict import Standing

__all__ = ["bare", "finalist_name", "finalists_table", "repeats_table"]


def bare(results: SearchResults, params: Params) -> dict[str, Value]:
    """Only the parameters of the space, in its order."""
    return {name: params[name] for name in results.space.names if name in params}


def finalist_name(results: SearchResults, standing: Standing) -> str:
    """``512 x 128 with step(every=7)``."""
    schedule = "" if "schedule" in results.space.names else standing.finalist.schedule
    return point_text(bare(results, standing.finalist.params), schedule)


def finalists_table(results: SearchResults) -> pd.DataFrame:
    """One row per finalist, the best mean on fresh seeds first; empty before the verdict."""
    if results.verdict is None:
        return pd.DataFrame()
    recommended = results.verdict.recommended
    rows = [
        {
            "finalist": finalist_name(results, s),
            "zone": s.finalist.zone or "",
            f"{results.verdict.measured_on} {results.metric.name}": s.mean,
            "±": s.half_width,
            "sd of seeds": s.sd,
            "seeds": len(s.accuracies),
            "lost seeds": s.n_lost,
            "test set from": s.test_interval[0] if s.test_interval else math.nan,
            "test set to": s.test_interval[1] if s.test_interval else math.nan,
            "behind the best": s.behind,
            "behind at most": s.behind_at_most if math.isfinite(s.behind_at_most) else math.nan,
            "p": s.p_value,
            "told apart from the best": "yes" if s.differs else "no",
            "when chosen": s.finalist.selected,
            "validation, fresh": s.fresh_validation,
            "optimism": s.optimism,
            "parameters": s.n_parameters,
            "seconds": s.seconds,
            "recommended": "yes" if s is recommended else "",
        }
        for s in results.verdict.standings
    ]
    return pd.DataFrame(rows).dropna(axis="columns", how="all") if rows else pd.DataFrame()


def repeats_table(results: SearchResults) -> pd.DataFrame:
    """One row per finalist and fresh seed; empty before the verdict."""
    if results.verdict is None:
        return pd.DataFrame()
    measured = f"{results.verdict.measured_on} {results.metric.name}"
    return pd.DataFrame(
        [
            {"finalist": finalist_name(results, s), "seed": seed, measured: value}
            for s in results.verdict.standings
            for seed, value in s.accuracies.items()
        ]
    )
