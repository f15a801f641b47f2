"""Figures of several runs: maps with a common scale, their difference, the recommended settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from zonesearch.core.axes import AnyAxis
from zonesearch.core.values import same, told_apart
from zonesearch.report.figures.look import (
    DASHES,
    PALETTE,
    VERMILION,
    Shown,
    axis_layout,
    edges,
    number,
    place,
    said,
    styled,
    value_text,
)
from zonesearch.report.figures.map import height_range, map_figure, surface_figure, value_range
from zonesearch.report.figures.view import View
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.summaries.comparison import Difference

__all__ = ["difference_figure", "lines_figure", "maps_figures", "recommended_figure", "surfaces_figures"]

_UNLIKE = "PuOr"  # safe for all kinds of colour blindness; white means "no difference"


def maps_figures(views: Mapping[str, View]) -> dict[str, go.Figure]:
    """The heat map of each run, with a common colour scale."""
    low, high = _common(views)
    figures = {name: map_figure(view) for name, view in views.items()}
    for figure in figures.values():
        figure.data[0].update(zmin=low, zmax=high)
    return figures


def surfaces_figures(views: Mapping[str, View]) -> dict[str, go.Figure]:
    """The surface of each run, with common scales of height and colour."""
    low, high = _common(views)
    figures = {name: surface_figure(view) for name, view in views.items()}
    for figure in figures.values():
        figure.data[0].update(cmin=low, cmax=high)
        figure.update_layout(scene={"zaxis": {"range": height_range(low, high, next(iter(views.values())).metric)}})
    return figures


def difference_figure(
    x: AnyAxis, y: AnyAxis, found: Sequence[Difference], shown: Shown, level: float = 0.95
) -> go.Figure:
    """The other map minus the first, over the row values that both have; significant differences are outlined.

    Args:
        x, y: the two axes of the maps.
        found: one difference per shared cell.
        shown: how values are formatted; it also determines which colour means better.
        level: confidence level of "differs".
    """
    xs = [v for v in x.row() if any(same(d.params[x.name], v) for d in found)]
    ys = [v for v in y.row() if any(same(d.params[y.name], v) for d in found)]
    by = {(told_apart(d.params[x.name]), told_apart(d.params[y.name])): d for d in found}
    placed = [[by.get((told_apart(vx), told_apart(vy))) for vx in xs] for vy in ys]
    percent = shown.percent
    ex, ey = edges([place(x, v) for v in xs]), edges([place(y, v) for v in ys])
    sizes = sorted(abs(d.difference) for d in found)
    most = max(sizes[int(0.95 * (len(sizes) - 1))], 1e-9)  # clipped: a few very bad cells must not use up the scale
    written = len(xs) <= 12 and len(ys) <= 24
    unit = 100 if percent else 1
    figure = go.Figure(
        go.Heatmap(
            x=ex,
            y=ey,
            z=[[None if d is None else unit * d.difference for d in row] for row in placed],
            zmin=-unit * most,
            zmax=unit * most,
            colorscale=_UNLIKE,
            reversescale=not shown.metric.maximized,
            hoverongaps=False,
            colorbar={"title": {"text": "points" if percent else said(shown.metric.unit), "side": "right"}},
            texttemplate="%{z:+.1f}" if written and percent else "%{z:+.2g}" if written else "",
            text=[["" if d is None else _words(d, x, y, shown) for d in row] for row in placed],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    bx: list[float | None] = []
    by_: list[float | None] = []
    for j, row in enumerate(placed):
        for i, d in enumerate(row):
            if d is not None and d.p_value <= 1 - level:
                dx, dy = 0.06 * (ex[i + 1] - ex[i]), 0.06 * (ey[j + 1] - ey[j])
                left, right, low, high = ex[i] + dx, ex[i + 1] - dx, ey[j] + dy, ey[j + 1] - dy
                bx += [left, right, right, left, left, None]
                by_ += [low, low, high, high, low, None]
    figure.add_scatter(
        x=bx, y=by_, mode="lines", line={"color": "white", "width": 5}, hoverinfo="skip", showlegend=False
    )
    figure.add_scatter(
        x=bx,
        y=by_,
        mode="lines",
        line={"color": "black", "width": 2},
        name=f"differs ({level:.0%}, Holm)",
        hoverinfo="skip",
        showlegend=bool(bx),
    )
    figure.update_layout(
        xaxis={**axis_layout(x, xs), "range": [ex[0], ex[-1]], "showgrid": False},
        yaxis={**axis_layout(y, ys), "range": [ey[0], ey[-1]], "showgrid": False},
    )
    return styled(figure, 420)


def lines_figure(axis: AnyAxis, runs: Mapping[str, MapSummary]) -> go.Figure:
    """Maps of one axis as lines with standard errors."""
    figure = go.Figure()
    values = [v for summary in runs.values() for v in summary.means.ravel().tolist()]
    for i, (name, summary) in enumerate(runs.items()):
        own = summary.space.axes[0]
        figure.add_scatter(
            x=[place(own, v) for v in own.row()],
            y=[number(v) for v in summary.means.ravel().tolist()],
            error_y={"type": "data", "array": [number(e) or 0 for e in summary.errors.ravel().tolist()]},
            mode="lines+markers",
            name=said(name),
            line={"color": PALETTE[i % len(PALETTE)], "dash": DASHES[i % len(DASHES)]},
        )
    figure.update_layout(xaxis=axis_layout(axis), yaxis=Shown.of(next(iter(runs.values())).metric, values).axis())
    return styled(figure, 420)


def recommended_figure(runs: Mapping[str, MapSummary]) -> go.Figure | None:
    """The fresh seeds of each run's recommended setting, with mean and interval; None without any recommendation."""
    chosen = [
        (name, verdict.recommended)
        for name, summary in runs.items()
        if (verdict := summary.results.verdict) and verdict.recommended
    ]
    if not chosen:
        return None
    values = [a for _, standing in chosen for a in standing.accuracies.values()]
    shown = Shown.of(next(iter(runs.values())).metric, values)
    figure = go.Figure()
    for i, (name, standing) in enumerate(chosen):
        seeds = list(standing.accuracies.items())
        figure.add_scatter(
            x=[a for _, a in seeds],
            y=[i] * len(seeds),
            mode="markers",
            marker={"size": 8, "opacity": 0.4, "color": PALETTE[0]},
            text=[f"{said(name)}, seed {seed}: {shown.text(a)}" for seed, a in seeds],
            hoverinfo="text",
            showlegend=False,
        )
        half = standing.half_width
        figure.add_scatter(
            x=[standing.mean],
            y=[i],
            error_x={"type": "data", "array": [half if math.isfinite(half) else 0], "thickness": 2, "width": 5},
            mode="markers",
            marker={"symbol": "diamond", "size": 13, "color": VERMILION},
            text=[f"{said(name)}: {shown.text(standing.mean)}"],
            hoverinfo="text",
            showlegend=False,
        )
    figure.update_layout(
        xaxis=shown.axis(after=", fresh seeds"),
        yaxis={
            "tickvals": list(range(len(chosen))),
            "ticktext": [said(name) for name, _ in chosen],
            "range": [len(chosen) - 0.5, -0.5],
        },
    )
    return styled(figure, 120 + 60 * len(chosen))


def _common(views: Mapping[str, View]) -> tuple[float, float]:
    matrices = [np.array(view.matrix(view.summary.history[-1]), dtype=float) for view in views.values()]
    values = [number(v) for matrix in matrices for v in matrix.ravel().tolist()]
    return value_range(values, next(iter(views.values())).metric)


def _words(d: Difference, x: AnyAxis, y: AnyAxis, shown: Shown) -> str:
    at = f"{said(x.name)} {value_text(d.params[x.name])}, {said(y.name)} {value_text(d.params[y.name])}"
    plain = f"{d.difference:+.3g} ± {d.se:.2g}{shown.unit}"
    gap = f"{100 * d.difference:+.2f} ± {100 * d.se:.2f}" if shown.percent else plain
    return f"{at}<br>{shown.text(d.here)} and {shown.text(d.there)}<br>difference {gap}, p {d.p_value:.2g}"
