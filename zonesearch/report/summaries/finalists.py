"""The finalists on fresh seeds, beside what they looked like when they were chosen."""

from __future__ import annotations

import math

import pandas as pd

from zonesearch.core.trials import Params, Value
from zonesearch.core.wording import point_text
from zonesearch.statistics.findings import Findings
from zonesearch.statistics.verdict import Standing

__all__ = ["bare", "finalist_name", "finalists_table", "repeats_table"]


def bare(findings: Findings, params: Params) -> dict[str, Value]:
    """The parameters of the space alone, in its order."""
    return {name: params[name] for name in findings.space.names if name in params}


def finalist_name(findings: Findings, standing: Standing) -> str:
    """``512 x 128 with step(every=7)``."""
    schedule = "" if "schedule" in findings.space.names else standing.finalist.schedule
    return point_text(bare(findings, standing.finalist.params), schedule)


def finalists_table(findings: Findings) -> pd.DataFrame:
    """One row per finalist the best mean on fresh seeds first; empty before the verdict."""
    if findings.verdict is None:
        return pd.DataFrame()
    recommended = findings.verdict.recommended
    rows = [
        {
            "finalist": finalist_name(findings, s),
            "zone": s.finalist.zone or "",
            f"{findings.verdict.measured_on} {findings.metric.name}": s.mean,
            "±": s.half_width,
            "sd of seeds": s.sd,
            "seeds": len(s.accuracies),
            "lost seeds": s.n_lost,
            "test set from": s.test_interval[0] if s.test_interval else math.nan,
            "test set to": s.test_interval[1] if s.test_interval else math.nan,
            "p": s.p_value,
            "told apart from the best": "yes" if s.differs else "no",
            "when chosen": s.finalist.selected,
            "validation, fresh": s.fresh_validation,
            "optimism": s.optimism,
            "parameters": s.n_parameters,
            "seconds": s.seconds,
            "recommended": "yes" if s is recommended else "",
        }
        for s in findings.verdict.standings
    ]
    return pd.DataFrame(rows).dropna(axis="columns", how="all") if rows else pd.DataFrame()


def repeats_table(findings: Findings) -> pd.DataFrame:
    """One row per finalist and fresh seed; empty before the verdict."""
    if findings.verdict is None:
        return pd.DataFrame()
    measured = f"{findings.verdict.measured_on} {findings.metric.name}"
    return pd.DataFrame(
        [
            {"finalist": finalist_name(findings, s), "seed": seed, measured: value}
            for s in findings.verdict.standings
            for seed, value in s.accuracies.items()
        ]
    )
