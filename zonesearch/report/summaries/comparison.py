"""Compare several runs: the cells they share, how they differ there, and what each recommends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from zonesearch.core.wording import cost_text
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.summaries.columns import value_column
from zonesearch.report.summaries.finalists import finalist_name
from zonesearch.report.summaries.map_tables import identity
from zonesearch.report.summaries.state import state_sentence
from zonesearch.statistics.significance import holm

__all__ = ["Difference", "differences", "differences_table", "rank_agreement", "runs_table", "shared_axes"]

Runs = Mapping[str, MapSummary]
"""Runs by display name; the others are compared with the first."""


@dataclass(frozen=True)
class Difference:
    """A cell shared by two maps.

    Args:
        params: the cell.
        here, there: mean value in the first run and in the other.
        se: standard error of the difference.
        p_value: two-sided, of "no difference"; Holm-corrected over all shared cells.
    """

    params: Mapping[str, object]
    here: float
    there: float
    se: float
    p_value: float

    @property
    def difference(self) -> float:
        """The other run minus the first one."""
        return self.there - self.here


def shared_axes(runs: Runs) -> list[str]:
    """The axes of all runs, in the order of the first run; empty if a run has additional axes."""
    first, *others = (summary.space.names for summary in runs.values())
    return list(first) if all(set(names) == set(first) for names in others) else []


def differences(first: MapSummary, other: MapSummary) -> list[Difference]:
    """The cells with a value in both maps, compared by Student's t with their noise (the normal distribution without
    repeats).

    The runs are treated as independent. Runs on the same data split share the luck of its validation examples, which
    makes the test conservative for them.
    """
    known = {identity(cell.params): cell for cell in other.cells if cell.values}
    pairs = [
        (cell, known[identity(cell.params)]) for cell in first.cells if cell.values and identity(cell.params) in known
    ]
    degrees = first.noise.degrees + other.noise.degrees
    p_values, errors = [], []
    for here, there in pairs:
        errors.append(math.sqrt(first.noise.variance(here) + other.noise.variance(there)))
        gap = abs(there.mean - here.mean)
        z = gap / errors[-1] if errors[-1] > 0 else (math.inf if gap else 0.0)
        p_values.append(float(2 * (stats.t.sf(z, degrees) if degrees else stats.norm.sf(z))))
    return [
        Difference(here.params, here.mean, there.mean, se, p)
        for (here, there), se, p in zip(pairs, errors, holm(p_values), strict=True)
    ]


def differences_table(found: Sequence[Difference], here: str, there: str, level: float = 0.95) -> pd.DataFrame:
    """One row per shared cell, the largest difference first."""
    rows = [
        {
            **d.params,
            here: d.here,
            there: d.there,
            "difference": d.difference,
            "standard error": d.se,
            "p (Holm)": d.p_value,
            "differs": "yes" if d.p_value <= 1 - level else "",
        }
        for d in found
    ]
    return pd.DataFrame(rows).sort_values("difference", key=abs, ascending=False, kind="stable", ignore_index=True)


def rank_agreement(found: Sequence[Difference]) -> float:
    """Spearman's rank correlation of two maps over shared cells; NaN for fewer than three."""
    here, there = [d.here for d in found], [d.there for d in found]
    if len(found) < 3 or len(set(here)) < 2 or len(set(there)) < 2:
        return math.nan
    return float(stats.spearmanr(here, there).statistic)


def runs_table(runs: Runs) -> pd.DataFrame:
    """One row per run: its recommendation, the value on fresh seeds, the setting's cost, and the cost of the run."""
    rows = []
    for name, summary in runs.items():
        results = summary.results
        verdict = results.verdict
        chosen = verdict.recommended if verdict else None
        rows.append(
            {
                "run": name,
                "recommended": finalist_name(results, chosen) if chosen else state_sentence(results),
                value_column(summary.metric): chosen.mean if chosen else math.nan,
                "±": chosen.half_width if chosen else math.nan,
                "measured on": verdict.measured_on if verdict and chosen else "",
                "its cost": cost_text(chosen.n_parameters, chosen.seconds) if chosen else "",
                "finalists": len(verdict.standings) if verdict else 0,
                "alike": len(verdict.alike) if verdict else 0,
                "zones": len(results.zones),
                "trainings": len(results.trials),
                "epochs": sum(trial.epochs for trial in results.trials),
                "seconds": math.fsum(trial.seconds for trial in results.trials),
            }
        )
    return pd.DataFrame(rows)
