"""Learning curves, with the learning rate below."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.report.figures.look import DASHES, PALETTE, Shown, log_ticks, number, rgba, said, styled
from zonesearch.report.summaries.columns import value_column

__all__ = ["learning_figure"]


def learning_figure(curves: Mapping[str, pd.DataFrame], metric: Metric = ACCURACY) -> go.Figure:
    """The metric on the validation split by epoch under each schedule (mean over seeds, band from the lowest to the
    highest seed), and the rate below on a log scale.

    Args:
        curves: for each schedule the table of :func:`zonesearch.report.summaries.learning.curves_of`.
        metric: the metric of the curves.
    """
    with_rate = any("learning rate" in table for table in curves.values())
    heights = [0.68, 0.32] if with_rate else [1.0]
    figure = make_subplots(rows=len(heights), cols=1, shared_xaxes=True, vertical_spacing=0.05, row_heights=heights)
    for i, (name, table) in enumerate(curves.items()):
        colour, dash = PALETTE[i % len(PALETTE)], DASHES[i % len(DASHES)]
        epochs = table["epoch"].tolist()
        if int(table["seeds"].max()) > 1:
            figure.add_scatter(
                x=[*epochs, *reversed(epochs)],
                y=[*table["highest"], *reversed(table["lowest"].tolist())],
                fill="toself",
                fillcolor=rgba(colour, 0.1 if len(curves) < 3 else 0.05),
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                showlegend=False,
                legendgroup=name,
                row=1,
                col=1,
            )
        figure.add_scatter(
            x=epochs,
            y=[number(value) for value in table[value_column(metric)]],
            mode="lines",
            name=said(name),
            legendgroup=name,
            line={"color": colour, "dash": dash, "width": 2},
            row=1,
            col=1,
        )
        if "learning rate" in table:
            figure.add_scatter(
                x=epochs,
                y=table["learning rate"].tolist(),
                mode="lines",
                name=said(name),
                legendgroup=name,
                showlegend=False,
                line={"color": colour, "dash": dash, "width": 2, "shape": "hv"},
                row=2,
                col=1,
            )
    values = [v for table in curves.values() for v in table[value_column(metric)]]
    worst, best = ("lowest", "highest") if metric.maximized else ("highest", "lowest")
    tail = min(metric.score(v) for table in curves.values() for v in table[worst].iloc[len(table) // 5 :])
    top = max(metric.score(v) for table in curves.values() for v in table[best])
    floor = tail - 0.15 * (top - tail)
    ends = sorted(map(metric.value, (floor, top + 0.06 * (top - floor))))
    zoom = {"range": ends} if top > floor and len(values) > 10 else {}
    figure.update_yaxes({**Shown.of(metric, values).axis("validation "), **zoom}, row=1, col=1)
    if with_rate:
        rates = [v for table in curves.values() if "learning rate" in table for v in table["learning rate"]]
        figure.update_yaxes({"title": {"text": "learning rate"}, "type": "log", **log_ticks(rates, 4)}, row=2, col=1)
    figure.update_xaxes(title_text="epoch", row=len(heights), col=1)
    return styled(figure, 500 if with_rate else 340)
