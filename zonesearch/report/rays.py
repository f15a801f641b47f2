"""The figure of the width of optima: error along random rays from each solution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.colors import qualitative

__all__ = ["rays_figure"]


def rays_figure(
    distances: Sequence[float], errors: Mapping[str, Sequence[Sequence[float]]], title: str = "Width of the optimum"
) -> go.Figure:
    """Individual rays as faint lines, the mean of each solution as a bold line.

    Args:
        distances: shape (n_distances,).
        errors: by the name of the solution, shape (n_rays, n_distances), 0 to 1.
    """
    figure = go.Figure()
    for name, colour in zip(errors, qualitative.Plotly, strict=False):
        rows = errors[name]
        for row in rows:
            figure.add_scatter(
                x=list(distances),
                y=[100 * error for error in row],
                mode="lines",
                line={"width": 1, "color": colour},
                opacity=0.3,
                legendgroup=name,
                showlegend=False,
            )
        mean = [100 * sum(column) / len(rows) for column in zip(*rows, strict=True)]
        figure.add_scatter(
            x=list(distances), y=mean, mode="lines", line={"width": 3, "color": colour}, legendgroup=name, name=name
        )
    figure.update_layout(title=title, xaxis_title="distance from the solution", yaxis_title="test error, %")
    return figure
