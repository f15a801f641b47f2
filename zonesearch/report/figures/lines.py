"""The interval curves: the metric along one axis of a zone, with the noise band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zonesearch.report.figures.look import PALETTE, Shown, axis_layout, place, rgba, said, styled, value_text
from zonesearch.report.summaries.columns import value_column
from zonesearch.report.summaries.lines import Line

__all__ = ["line_figure", "lines_figure"]


def line_figure(line: Line) -> go.Figure:
    """One interval: filled points are values of the coarse grid, open points were trained between them."""
    figure = go.Figure(_traces(line))
    figure.update_layout(xaxis=_axis(line), yaxis=_shown(line).ticks())
    return styled(figure, 260, showlegend=False).update_layout(margin={"t": 12})


def lines_figure(lines: Sequence[Line]) -> go.Figure:
    """All intervals in one figure, in two columns."""
    n_columns = min(2, len(lines))
    n_rows = -(-len(lines) // n_columns)
    titles = [f"zone {line.zone.number}: {said(line.axis.name)}" for line in lines]
    figure = make_subplots(rows=n_rows, cols=n_columns, subplot_titles=titles, vertical_spacing=0.35 / n_rows)
    for i, line in enumerate(lines):
        at = {"row": i // n_columns + 1, "col": i % n_columns + 1}
        figure.add_traces(_traces(line), rows=at["row"], cols=at["col"])
        figure.update_xaxes({**_axis(line), "title": None}, **at)
        figure.update_yaxes(_shown(line).ticks(), **at)
    return styled(figure, 250 * n_rows + 40, showlegend=False)


def _shown(line: Line) -> Shown:
    return Shown.of(line.metric, line.table[value_column(line.metric)])


def _axis(line: Line) -> dict[str, Any]:
    values = line.table["value"].tolist()
    length = sum(len(value_text(value)) for value in values)
    return axis_layout(
        line.axis,
        values if len(values) <= 9 and length <= 45 else [values[0], line.zone.peak[line.axis.name], values[-1]],
    )


def _traces(line: Line) -> list[go.Scatter]:
    table, axis = line.table, line.axis
    colour = PALETTE[(line.zone.number - 1) % len(PALETTE)]
    xs = [place(axis, value) for value in table["value"]]
    labels = [f"{said(axis.name)} {value_text(value)}" for value in table["value"]]
    shown = _shown(line)
    values = table[value_column(line.metric)].tolist()
    peak = line.zone.peak[axis.name]
    return [
        go.Scatter(
            x=[*xs, *reversed(xs)],
            y=[*table["high"], *reversed(table["low"].tolist())],
            fill="toself",
            fillcolor=rgba(colour, 0.16),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
        ),
        go.Scatter(
            x=xs,
            y=values,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"size": 8, "symbol": ["circle" if on else "circle-open" for on in table["on the map"]]},
            text=labels,
            hovertemplate=f"%{{text}}<br>{shown.name} %{{y:{shown.spec}}}{shown.unit}<extra></extra>",
        ),
        go.Scatter(
            x=[x for x, value in zip(xs, table["value"], strict=True) if value == peak],
            y=[y for y, value in zip(values, table["value"], strict=True) if value == peak],
            mode="text",
            text=[f"<b>{line.zone.number}</b>"],
            textposition="top center",
            hoverinfo="skip",
        ),
    ]
