"""The map of a single axis: values with their noise, at the end and at earlier epochs."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from scipy import stats

from zonesearch.core.axes import Axis
from zonesearch.report.figures.look import BLUE, PALETTE, VERMILION, Shown, axis_layout, number, place, styled
from zonesearch.report.map_summary import MapSummary

__all__ = ["one_axis_figure", "profiles_figure", "quarter_steps"]


def one_axis_figure(summary: MapSummary) -> go.Figure:
    """The values along the only axis with 95 % noise bars, zones shaded and numbered, lost trainings below."""
    axis = summary.space.axes[0]
    places = [place(axis, value) for value in axis.row()]
    half = float(stats.norm.ppf(0.975)) * summary.errors
    figure = go.Figure()
    figure.add_scatter(
        x=places,
        y=[number(v) for v in summary.means],
        error_y={"type": "data", "array": [number(v) or 0 for v in half], "thickness": 1.5, "width": 3},
        mode="lines+markers" if isinstance(axis, Axis) else "markers",
        line={"color": BLUE},
        marker={"size": 8},
        name=f"{Shown(summary.metric, False).name}, 95 % of the noise",
    )
    for zone in summary.results.zones:
        inside = [place(axis, cell[axis.name]) for cell in zone.cells if axis.name in cell]
        step = (places[-1] - places[0]) / max(1, len(places) - 1) / 2 or 0.5
        figure.add_vrect(
            x0=min(inside) - 0.6 * step,
            x1=max(inside) + 0.6 * step,
            fillcolor=PALETTE[2],
            opacity=0.15,
            line_width=0,
            annotation_text=f"<b>{zone.number}</b>",
            annotation_position="top left",
        )
    for name, points, symbol, line, colour in (
        ("candidates", [(c.params, c.value) for c in summary.results.candidates], "x", 1, "white"),
        (
            "diverged or failed",
            [(c.params, _worst(summary)) for c in summary.lost],
            "x-thin",
            2,
            VERMILION,
        ),
    ):
        if points:
            figure.add_scatter(
                x=[place(axis, params[axis.name]) for params, _ in points],
                y=[number(value) for _, value in points],
                mode="markers",
                name=name,
                marker={"symbol": symbol, "size": 11, "color": VERMILION, "line": {"width": line, "color": colour}},
            )
    figure.update_layout(
        xaxis=axis_layout(axis),
        yaxis=Shown.of(summary.metric, summary.means.tolist()).axis(),
    )
    return styled(figure, 400)


def profiles_figure(summary: MapSummary, name: str) -> go.Figure:
    """The best value over the other axes along one axis, after a quarter, half, three quarters and all epochs."""
    axis = summary.space[name]
    i = summary.space.names.index(name)
    others = tuple(j for j in range(len(summary.shape)) if j != i)
    figure = go.Figure()
    steps = quarter_steps(summary)
    values: list[float] = []
    for n, step in enumerate(steps):
        history, most = summary.history[step], summary.metric.maximized
        filled = np.where(np.isfinite(history), history, -np.inf if most else np.inf)
        line = (filled.max(axis=others) if most else filled.min(axis=others)) if others else filled
        values += line[np.isfinite(line)].tolist()
        last = step == steps[-1]
        figure.add_scatter(
            x=[place(axis, value) for value in axis.row()],
            y=[number(v) for v in line],
            mode="lines+markers" if isinstance(axis, Axis) else "markers",
            name=f"epoch {summary.epochs[step]}",
            line={"color": BLUE if last else "#8C8C8C", "width": 2.5 if last else 1.5},
            opacity=1.0 if last else 0.45 + 0.15 * n,
            marker={"symbol": ("circle-open", "square-open", "diamond-open", "circle")[n - len(steps)], "size": 7},
        )
    figure.update_layout(xaxis=axis_layout(axis), yaxis=Shown.of(summary.metric, values).axis())
    return styled(figure, 320)


def _worst(summary: MapSummary) -> float:
    """The worst value of the map, at which lost trainings are drawn; 0 without values."""
    known = summary.means[np.isfinite(summary.means)].tolist()
    return min(known, key=summary.metric.score, default=0.0)


def quarter_steps(summary: MapSummary) -> list[int]:
    """The positions in ``summary.epochs`` nearest to a quarter, a half, three quarters and all of the training."""
    epochs = np.array(summary.epochs)
    return sorted({int(np.argmin(np.abs(epochs - share * epochs[-1]))) for share in (0.25, 0.5, 0.75, 1.0)})
