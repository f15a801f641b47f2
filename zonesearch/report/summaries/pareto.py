"""The metric against cost: which settings are worth their cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.seeding import FRESH
from zonesearch.core.trials import Trial
from zonesearch.report.summaries.columns import value_column
from zonesearch.report.summaries.learning import own_schedule
from zonesearch.statistics.search_results import SearchResults

__all__ = ["pareto_front", "settings_table"]


def settings_table(results: SearchResults) -> pd.DataFrame:
    """One row per set of parameters that was trained to full length, best first.

    Columns: params, the metric by its name (validation, mean over the seeds used for choosing, or over fresh ones if
    there are no others), seeds, n_parameters, seconds (mean of one training), stage (the first that requested it).
    """
    stage_of = {t.identity[0]: r.name for r in reversed(results.stages) for t in r.wanted}
    full = [t for t in results.trials if t.complete and t.epochs >= results.epochs]
    groups: dict[Any, list[Trial]] = {}
    for trial in full or [t for t in results.trials if t.complete]:
        groups.setdefault(trial.training.identity[0], []).append(trial)
    metric, column = results.metric, value_column(results.metric)
    rows = []
    for params, trials in groups.items():
        choosing = [t for t in trials if t.seed < FRESH] or trials
        values = [t.value(results.reading) for t in choosing]
        rows.append(
            {
                **{name: dict(params).get(name) for name in results.space.names},
                **{name: value for name, value in params if name not in results.space.names},
                column: math.fsum(values) / len(values),
                "seeds": len(values),
                "parameters": next((t.n_parameters for t in trials if t.n_parameters is not None), None),
                "seconds": math.fsum(t.seconds for t in trials) / len(trials),
                "stage": stage_of.get(params, ""),
            }
        )
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows).astype({"parameters": "Int64"})
    if "schedule" in table and "schedule" not in results.space.names:
        table["schedule"] = table["schedule"].fillna(own_schedule(results))
    last = [column, "seeds", "parameters", "seconds", "stage"]
    table = table[[*(c for c in table.columns if c not in last), *last]]
    return table.sort_values(column, ascending=not metric.maximized, kind="stable", ignore_index=True)


def pareto_front(costs: Sequence[float], values: Sequence[float], metric: Metric = ACCURACY) -> list[int]:
    """The indices of the points that are not dominated in both cost and value, by ascending cost.

    Of points equal in both, only the first is included; points without a number are never on the front.
    """
    cost, scores = np.asarray(costs, dtype=float), metric.score(1.0) * np.asarray(values, dtype=float)
    order = np.lexsort((-scores, cost))
    front: list[int] = []
    best = -math.inf
    for i in order:
        if math.isfinite(cost[i]) and scores[i] > best:
            front.append(int(i))
            best = float(scores[i])
    return front
