"""Costs: completeness by stage, and the metric against size and time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from zonesearch.core.trials import Params
from zonesearch.core.wording import point_text
from zonesearch.report.figures.look import BLUE, PALETTE, VERMILION, Shown, log_ticks, number, said, styled
from zonesearch.report.summaries.columns import value_column
from zonesearch.report.summaries.finalists import bare
from zonesearch.report.summaries.learning import own_schedule
from zonesearch.report.summaries.pareto import pareto_front
from zonesearch.statistics.search_results import SearchResults

__all__ = ["completeness_figure", "pareto_figure"]

_STATES = (
    ("done", BLUE, ""),
    ("diverged", PALETTE[4], "/"),
    ("failed", VERMILION, "x"),
    ("pruned", PALETTE[3], "\\"),
    ("missing", "rgba(140,140,140,0.35)", "."),
)
_MOST_POINTS = 1200


def completeness_figure(stages: pd.DataFrame) -> go.Figure:
    """One bar per stage: trainings done, diverged, failed and missing."""
    figure = go.Figure()
    for state, colour, pattern in _STATES:
        if state != "done" and (state not in stages or not stages[state].any()):
            continue
        figure.add_bar(
            y=[said(name) for name in stages["stage"]],
            x=stages[state].tolist(),
            orientation="h",
            name=state,
            marker={"color": colour, "pattern": {"shape": pattern}},
            hovertemplate=f"%{{y}}: %{{x}} {state}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        bargap=0.4,
        xaxis={"title": {"text": "trainings"}},
        yaxis={"autorange": "reversed", "showgrid": False, "type": "category"},
        showlegend=True,
    )
    return styled(figure, 120 + 36 * len(stages))


def pareto_figure(results: SearchResults, table: pd.DataFrame, cost: str, title: str) -> go.Figure | None:
    """The metric against a column of ``table`` on a log scale, with the Pareto front as steps; None if no cost is
    known.

    Args:
        results: provide the finalists and the recommended setting.
        table: of :func:`zonesearch.report.summaries.pareto.settings_table`.
        cost: ``parameters`` or ``seconds``.
        title: title of the cost axis.
    """
    if not len(table) or cost not in table:
        return None
    table = table[(table[cost].astype(float) > 0).fillna(False)].reset_index(drop=True)
    if len(table) < 2 or table[cost].nunique() < 2:
        return None
    costs = table[cost].astype(float).tolist()
    metric = results.metric
    values = table[value_column(metric)].tolist()
    front = pareto_front(costs, values, metric)
    shown = sorted({*range(min(len(table), _MOST_POINTS)), *front})
    written = Shown.of(metric, values)
    rows: list[Any] = table.loc[shown].to_dict("records")
    names = [_name(results, row) for row in rows]
    figure = go.Figure()
    figure.add_scatter(
        x=[costs[i] for i in shown],
        y=[number(values[i]) for i in shown],
        mode="markers",
        name="settings",
        marker={"size": 6, "color": PALETTE[6], "opacity": 0.55},
        text=[f"{name}<br>{written.text(values[i])}" for name, i in zip(names, shown, strict=True)],
        hoverinfo="text",
    )
    figure.add_scatter(
        x=[costs[i] for i in front],
        y=[values[i] for i in front],
        mode="lines+markers",
        name="Pareto front",
        line={"color": VERMILION, "shape": "hv", "width": 2},
        marker={"size": 9},
        hoverinfo="skip",
    )
    chosen = results.verdict.recommended if results.verdict else None
    at = _position(table, results, dict(chosen.finalist.params)) if chosen else None
    if at is not None:
        figure.add_scatter(
            x=[costs[at]],
            y=[values[at]],
            mode="markers",
            name="recommended",
            marker={"symbol": "star", "size": 17, "color": BLUE, "line": {"width": 1, "color": "white"}},
        )
    worst, best = map(metric.value, _ends([metric.score(value) for value in values]))
    figure.update_layout(
        xaxis={"title": {"text": title}, "type": "log", **log_ticks(costs)},
        yaxis={**written.axis("validation "), "range": sorted([worst, best])},
    )
    return styled(figure, 380)


def _ends(scores: Sequence[float]) -> tuple[float, float]:
    """The limits of the value axis, chosen so that a few very bad settings do not compress the rest."""
    ordered = sorted(scores)
    high, middle = ordered[-1], ordered[len(ordered) // 2]
    low = max(ordered[0], high - 4 * (high - middle)) if high > middle else ordered[0]
    low -= 0.03 * (high - low or 1)
    return low, high + 0.06 * (high - low)


def _name(results: SearchResults, row: Params) -> str:
    schedule = row.get("schedule") if "schedule" not in results.space.names else ""
    known = {
        name: value for name, value in bare(results, row).items() if isinstance(value, tuple) or not pd.isna(value)
    }  # absent in a branch
    return said(point_text(known, str(schedule or "")))


def _position(table: pd.DataFrame, results: SearchResults, params: Params) -> int | None:
    if "schedule" in table and "schedule" not in params:
        params = {**params, "schedule": own_schedule(results)}
    mask = pd.Series(True, index=table.index)
    for name, value in params.items():
        if name in table:
            mask &= table[name] == value
    return int(table.index[mask][0]) if mask.any() else None
