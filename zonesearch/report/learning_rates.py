"""Figures of learning rates: a schedule before it runs, a range test and its suggestion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from zonesearch.errors import StoreError
from zonesearch.report.figures.look import styled
from zonesearch.report.markup import Picture, Section, page
from zonesearch.report.templating import rendered
from zonesearch.statistics.lr_range import RateRange

__all__ = ["range_figure", "schedule_figure", "write_figure"]


def schedule_figure(learning_rates: Sequence[float], steps_per_epoch: int, title: str) -> go.Figure:
    """The rate over the epochs; ``learning_rates`` holds one per step."""
    epochs = [step / steps_per_epoch for step in range(len(learning_rates))]
    figure = go.Figure(go.Scatter(x=epochs, y=list(learning_rates), mode="lines", name="learning rate"))
    figure.update_layout(title=title, xaxis_title="epoch", yaxis_title="learning rate", showlegend=False)
    return figure


def range_figure(test: RateRange, title: str = "Learning-rate range test") -> go.Figure:
    """Loss against the rate on a log scale: individual seeds as faint lines, the smoothed mean, the suggestion and the
    bounds.
    """
    rates = list(test.learning_rates)
    figure = go.Figure()
    for i, row in enumerate(test.losses):
        figure.add_scatter(
            x=rates,
            y=list(row),
            mode="lines",
            line={"width": 1, "color": "rgba(128, 128, 128, 0.35)"},
            name="one seed",
            legendgroup="seeds",
            showlegend=i == 0,
        )
    figure.add_scatter(x=rates, y=list(test.smoothed), mode="lines", line={"width": 3}, name="mean, smoothed")
    figure.add_vrect(x0=test.low, x1=test.high, opacity=0.12, line_width=0, fillcolor="green")
    figure.add_vline(x=test.suggestion, line_dash="dash", annotation_text=f"suggestion {test.suggestion:.2g}")
    margin = 0.15 * (test.smoothed[0] - min(test.smoothed))
    figure.update_layout(title=title, xaxis_title="learning rate", yaxis_title="training loss", xaxis_type="log")
    figure.update_yaxes(range=[min(test.smoothed) - margin, test.smoothed[0] + 3 * margin])
    return figure


def write_figure(figure: go.Figure, path: Path) -> None:
    """Write one self-contained HTML file.

    Raises:
        StoreError: it cannot be written.
    """
    title = figure.layout.title.text or "A figure"
    plain = styled(go.Figure(figure).update_layout(title=None), 480)
    picture = Picture("figure", plain, title)
    whole = page(title, rendered("figure_head.html", title=title), [Section("figure", "", pictures=[picture])])
    try:
        path.write_text(whole, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}; name another file") from None
