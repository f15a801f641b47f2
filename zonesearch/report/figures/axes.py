"""Which axis matters, all axes at once, and how early the map was right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from zonesearch.report.figures.look import (
    BLUE,
    PALETTE,
    SCALE,
    VERMILION,
    Shown,
    number,
    place,
    said,
    styled,
    value_text,
)
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.summaries.importance import Importance

__all__ = ["agreement_figure", "importance_figure", "parallel_figure"]

_MOST_BARS = 12
_GROUPS = (("best tenth", 0.1, 2.2), ("next four tenths", 0.5, 1.2), ("lower half", 1.0, 0.8))
_MOST_LINES = 400  # lines per group; more would only overplot


def importance_figure(shares: Importance) -> go.Figure:
    """Bars of the variance explained by axes and pairs; a dotted line shows the fraction expected by chance."""
    bars = [(name, share, BLUE) for name, share in shares.axes.items()]
    bars += [(f"{a} with {b}", share, PALETTE[5]) for (a, b), share in shares.pairs.items()]
    bars += [("three axes and more", shares.rest, PALETTE[6])] if shares.rest > 0 else []
    bars.sort(key=lambda bar: -bar[1])
    bars = bars[:_MOST_BARS]
    figure = go.Figure(
        go.Bar(
            x=[share for _, share, _ in bars],
            y=[said(name) for name, _, _ in bars],
            orientation="h",
            marker={"color": [colour for *_, colour in bars]},
            text=[f"{100 * share:.1f} %" for _, share, _ in bars],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    figure.update_layout(
        xaxis={"tickformat": ".0%", "range": [0, 1.25 * max(share for _, share, _ in bars)]},
        yaxis={"autorange": "reversed", "showgrid": False},
        bargap=0.35,
    )
    return styled(figure, 90 + 34 * len(bars))


def parallel_figure(summary: MapSummary) -> go.Figure | None:
    """Every cell as a line through all axes and its value, in three groups; None for fewer than three axes."""
    axes = summary.space.axes
    metric = summary.metric
    cells = sorted((cell for cell in summary.cells if cell.values), key=lambda cell: -metric.score(cell.mean))
    if len(axes) < 3 or len(cells) < 3:
        return None
    worst, best = cells[-1].mean, cells[0].mean
    span = best - worst or 1.0
    figure = go.Figure()
    start = 0
    for name, share, width in _GROUPS:
        end = max(start + 1, round(share * len(cells)))
        group = cells[start:end]
        middle = (sum(cell.mean for cell in group) / max(1, len(group)) - worst) / span
        xs: list[float | None] = []
        ys: list[float | None] = []
        for cell in group[:: -(-len(group) // _MOST_LINES) or 1]:
            heights = [_height(axis, cell.params[axis.name]) if axis.name in cell.params else None for axis in axes]
            xs += [*range(len(axes) + 1), None]
            ys += [*heights, round((cell.mean - worst) / span, 4), None]
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines",
            name=name,
            line={"color": sample_colorscale(SCALE, [max(0.0, 0.92 * middle)])[0], "width": width},
            opacity=0.9 if start == 0 else 0.35,
            hoverinfo="skip",
        )
        start = end
    figure.data = figure.data[::-1]  # the best on top
    for i, axis in enumerate(axes):
        row = axis.row()
        shown = row if len(row) <= 8 else row[:: -(-len(row) // 8)]
        for value in shown:
            figure.add_annotation(
                x=i,
                y=_height(axis, value),
                text=value_text(value),
                showarrow=False,
                xanchor="right",
                xshift=-5,
                font={"size": 11},
            )
        figure.add_vline(x=i, line_width=1, line_color=PALETTE[6])
    for share in (0.0, 0.5, 1.0):
        value = worst + share * span
        text = f"{100 * value:.1f} %" if metric.shares([worst, best]) else f"{value:.3g}{Shown(metric, False).unit}"
        figure.add_annotation(
            x=len(axes), y=share, text=text, showarrow=False, xanchor="left", xshift=5, font={"size": 11}
        )
    figure.add_vline(x=len(axes), line_width=1, line_color=PALETTE[6])
    figure.update_layout(
        xaxis={
            "tickvals": list(range(len(axes) + 1)),
            "ticktext": [*(said(axis.name) for axis in axes), said(metric.name)],
            "range": [-0.35, len(axes) + 0.4],
            "showgrid": False,
            "side": "top",
            "ticks": "",
        },
        yaxis={"visible": False, "range": [-0.06, 1.06]},
    )
    return styled(figure, 400).update_layout(legend={"y": -0.02, "yanchor": "top"})


def agreement_figure(table: pd.DataFrame, between_seeds: float) -> go.Figure:
    """Rank agreement of each epoch's map with the final one; a dotted line shows the agreement between two seeds."""
    figure = go.Figure()
    marks = "lines+markers" if len(table) <= 40 else "lines"
    for column, name, colour, dash in (
        ("spearman", "Spearman", BLUE, "solid"),
        ("kendall", "Kendall", VERMILION, "dash"),
    ):
        figure.add_scatter(
            x=table["epoch"],
            y=[number(v) for v in table[column]],
            mode=marks,
            name=name,
            line={"color": colour, "dash": dash},
            hovertemplate=f"epoch %{{x}}: {name} %{{y:.3f}}<extra></extra>",
        )
    if np.isfinite(between_seeds):
        figure.add_scatter(
            x=[int(table["epoch"].iloc[0]), int(table["epoch"].iloc[-1])],
            y=[between_seeds] * 2,
            mode="lines",
            name="one seed with another (Spearman)",
            line={"color": PALETTE[6], "dash": "dot"},
            hoverinfo="skip",
        )
    low = min(0.0, float(np.nanmin(table[["spearman", "kendall"]].to_numpy(), initial=0.0)))
    figure.update_layout(
        xaxis={"title": {"text": "epoch"}},
        yaxis={"title": {"text": "rank agreement"}, "range": [low - 0.02, 1.03]},
    )
    return styled(figure, 320)


def _height(axis, value) -> float:  # type: ignore[no-untyped-def]
    """The position of a value on its axis, 0 to 1."""
    places = [place(axis, v) for v in axis.row()]
    return round((place(axis, value) - places[0]) / (places[-1] - places[0]), 4) if places[-1] > places[0] else 0.5
