"""The map from above and as a surface, after any epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.trials import Params
from zonesearch.core.wording import point_text
from zonesearch.report.figures.look import (
    VERMILION,
    Shown,
    axis_layout,
    edges,
    number,
    said,
    styled,
    value_text,
)
from zonesearch.report.figures.view import Matrix, View

__all__ = ["height_range", "map_figure", "map_frame", "surface_figure", "value_range"]

_FLAT = 0.02  # as a fraction: cells that differ by less are written with two decimals
_MOST_WRITTEN = 12  # maximum number of row values for writing the values into the cells
_TALL = 9  # maximum number of rows that leave room for a value above the middle of its cell, where marks are drawn
_MOST_DOTS = 1500
_MOST_FINALISTS = 12  # more, for example when every cell is compared, would hide the map
_HATCHES = 4  # lines from the middle of a hatched cell to its corner
_HALO = "rgba(0,0,0,0.65)"


def value_range(values: Sequence[float | None], metric: Metric = ACCURACY) -> tuple[float, float]:
    """The range of colours and heights, the smaller end first: from the best to three times its distance from the
    median.

    Otherwise a few very bad cells would leave no colours for the differences that matter.
    """
    known = np.array([metric.score(v) for v in values if v is not None])
    if not len(known):
        return 0.0, 1.0
    high, low, median = float(known.max()), float(known.min()), float(np.median(known))
    low = max(low, high - 3 * (high - median)) if high > median else low
    low, high = sorted(map(metric.value, (low, high)))
    return (low, high) if high > low else (low - 0.01, high + 0.01)


def height_range(low: float, high: float, metric: Metric) -> list[float]:
    """The vertical axis of a surface: better values on top regardless of the direction, with room for numbers."""
    lift = 0.03 * (high - low)
    return [low - lift, high + 4 * lift] if metric.maximized else [high + lift, low - 4 * lift]


def map_frame(view: View, step: int) -> dict[str, Any]:
    """What changes on map and surface from epoch to epoch: values, range, the zones' outlines, peaks and numbers
    (at a corner of the peak's cell, so that they cover no value).

    Args:
        view: two axes.
        step: the position in ``summary.epochs``.
    """
    summary = view.summary
    z = view.matrix(summary.history[step])
    low, high = value_range([v for row in z for v in row], view.metric)
    xs, ys = view.outlines(summary.zones_by_epoch[step])
    peaks = [zone for zone in summary.zones_by_epoch[step] if view.shows(zone.peak) and view.on_grid(zone.peak)]
    ex, ey = edges(view.px), edges(view.py)
    at = [view.column_row(zone.peak) for zone in peaks]
    heights = [z[j][i] for i, j in at]
    badges = [(cell, zone.number) for zone in summary.zones_by_epoch[step] for cell in view.pieces(zone)]
    return {
        "epoch": summary.epochs[step],
        "z": z,
        "range": [low, high],
        "outline": [xs, ys],
        "corners": [[ex[i] for (i, _), _ in badges], [ey[j + 1] for (_, j), _ in badges]],
        "badges": [str(number) for _, number in badges],
        "peaks": [[view.px[i] for i, _ in at], [view.py[j] for _, j in at], heights],
        "numbers": [str(zone.number) for zone in peaks],
    }


def _written(shown: Shown, span: float) -> str:
    """The format of a value in its cell, with enough decimals to distinguish the cells of a flat map."""
    return ".3g" if not shown.percent else ".2%" if span < _FLAT else ".1%"


def map_figure(view: View, step: int = -1) -> go.Figure:
    """The heat map with zones outlined and numbered, candidates, finalists and lost trainings.

    The first four traces are heat, halo, outline and numbers; they change from epoch to epoch.
    """
    frame = map_frame(view, step)
    values = [v for row in frame["z"] for v in row]
    shown = Shown.of(view.metric, values)
    low, high = frame["range"]
    written = len(view.px) <= _MOST_WRITTEN and len(view.py) <= 2 * _MOST_WRITTEN
    above = "<br>\u00a0" if len(view.py) <= _TALL else ""  # an empty second line lifts the first
    heat = go.Heatmap(
        x=edges(view.px),
        y=edges(view.py),
        z=frame["z"],
        zmin=low,
        zmax=high,
        **shown.colours(),
        colorbar=shown.ticks(),
        hoverongaps=False,
        text=_labels(view),
        hovertemplate=f"%{{text}}<br>{shown.name} %{{z:{shown.spec}}}{shown.unit}<extra></extra>",
        texttemplate=f"%{{z:{_written(shown, high - low)}}}{above}" if written else "",
        name=shown.name,
    )
    figure = go.Figure(heat)
    xs, ys = frame["outline"]
    quiet = {"hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=xs, y=ys, mode="lines", line={"color": _HALO, "width": 6}, **quiet)
    figure.add_scatter(x=xs, y=ys, mode="lines", line={"color": "white", "width": 2.5}, name="zone", **quiet)
    figure.add_scatter(
        x=frame["corners"][0],
        y=frame["corners"][1],
        text=[f"<b>{n}</b>" for n in frame["badges"]],
        mode="markers+text",
        marker={"size": 22, "color": _HALO, "line": {"color": "white", "width": 1.5}},
        textfont={"color": "white", "size": 13},
        cliponaxis=False,
        **quiet,
    )
    ex, ey = edges(view.px), edges(view.py)
    if view.forbidden:
        hx, hy = hatched(view.forbidden, ex, ey)
        hatch = {"color": "rgba(90,90,90,0.7)", "width": 1}
        figure.add_scatter(x=hx, y=hy, mode="lines", line=hatch, name="not allowed", hoverinfo="skip")
    _add_points(figure, view, shown, (low, high))
    figure.update_layout(
        xaxis={**axis_layout(view.x), "range": [ex[0], ex[-1]], "showgrid": False},
        yaxis={**axis_layout(view.y), "range": [ey[0], ey[-1]], "showgrid": False},
    )
    return styled(figure, 460)


def hatched(
    cells: set[tuple[int, int]], ex: Sequence[float], ey: Sequence[float]
) -> tuple[list[float | None], list[float | None]]:
    """Slanting lines over ``cells`` as one broken line."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for i, j in sorted(cells):
        (x, right), (y, up) = (ex[i], ex[i + 1]), (ey[j], ey[j + 1])
        for k in range(1 - _HATCHES, _HATCHES):
            a, b = max(0.0, k / _HATCHES), min(1.0, 1 + k / _HATCHES)
            xs += [x + a * (right - x), x + b * (right - x), None]
            ys += [y + (a - k / _HATCHES) * (up - y), y + (b - k / _HATCHES) * (up - y), None]
    return xs, ys


def surface_figure(view: View, step: int = -1) -> go.Figure:
    """The surface in 3-D, with the grid it was measured on and the zones' peaks.

    The first three traces are surface, grid and peaks; they change from epoch to epoch.
    """
    frame = map_frame(view, step)
    values = [v for row in frame["z"] for v in row]
    shown = Shown.of(view.metric, values)
    low, high = frame["range"]
    z = _raised(frame["z"], low, high, view.metric)
    up = 1 if view.metric.maximized else -1
    figure = go.Figure(
        go.Surface(
            x=view.px,
            y=view.py,
            z=z,
            cmin=low,
            cmax=high,
            **shown.colours(),
            showscale=False,
            text=[
                [f"{label}<br>{shown.name} {shown.text(v)}" for label, v in zip(labels, row, strict=True)]
                for labels, row in zip(_labels(view), frame["z"], strict=True)
            ],
            hoverinfo="text",
            lighting={"ambient": 0.75, "diffuse": 0.5, "specular": 0.08, "roughness": 0.9},
            contours={axis: {"highlight": False} for axis in "xyz"},
        )
    )
    gx, gy, gz = _wires(view, z)
    figure.add_scatter3d(
        x=gx,
        y=gy,
        z=[None if v is None else v + up * 0.004 * (high - low) for v in gz],
        mode="lines",
        line={"color": "rgba(20,20,40,0.55)", "width": 2},
        hoverinfo="skip",
        showlegend=False,
    )
    px, py, heights = frame["peaks"]
    lift = 0.03 * (high - low)
    figure.add_scatter3d(
        x=px,
        y=py,
        z=[None if h is None else min(max(h, low), high) + up * lift for h in heights],
        mode="markers+text",
        text=[f"<b>{n}</b>" for n in frame["numbers"]],
        textposition="top center",
        textfont={"size": 16},
        marker={"size": 5, "color": VERMILION},
        hovertext=[f"zone {n}" for n in frame["numbers"]],
        hoverinfo="text",
        showlegend=False,
    )
    figure.update_layout(
        scene={
            "xaxis": axis_layout(view.x, markup=False),
            "yaxis": axis_layout(view.y, markup=False),
            "zaxis": {
                **shown.axis(),
                "range": height_range(low, high, view.metric),
            },
            "camera": {"eye": {"x": -1.35, "y": -1.45, "z": 0.75}, "center": {"x": 0, "y": 0, "z": -0.12}},
            "aspectmode": "manual",
            "aspectratio": {"x": 1.15, "y": 1.15, "z": 0.8},
            "dragmode": "turntable",
        }
    )
    return styled(figure, 460).update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0})


def _add_points(figure: go.Figure, view: View, shown: Shown, value_limits: tuple[float, float]) -> None:
    """Add trained points off the grid, candidates, finalists, the recommended one, and diverged or failed trainings."""
    results = view.summary.results
    dots = [(params, value) for params, value in view.summary.off_grid if view.shows(params)][:_MOST_DOTS]
    if dots:
        values = [number(value) for _, value in dots]
        figure.add_scatter(
            x=[view.place(params)[0] for params, _ in dots],
            y=[view.place(params)[1] for params, _ in dots],
            mode="markers",
            name="other trainings",
            marker={
                "size": 6,
                "color": values,
                "cmin": value_limits[0],
                "cmax": value_limits[1],
                **shown.colours(),
                "line": {"color": "rgba(0,0,0,0.7)", "width": 1},
            },
            text=[shown.text(v) for v in values],
            hoverinfo="text",
        )
    candidates = [c for c in results.candidates if view.shows(c.params)]
    _marks(
        figure,
        view,
        "candidates",
        [c.params for c in candidates],
        [f"candidate {said(point_text(c.params))}<br>{shown.text(c.value)}" for c in candidates],
        {"symbol": "x", "size": 10, "color": VERMILION, "line": {"width": 1, "color": "white"}},
    )
    verdict = results.verdict
    standings = [s for s in verdict.standings if view.shows(s.finalist.params)] if verdict else []
    drawn = standings if len(standings) <= _MOST_FINALISTS else []
    _marks(
        figure,
        view,
        "finalists",
        [s.finalist.params for s in drawn],
        [f"finalist {said(point_text(s.finalist.params))}<br>fresh seeds {shown.text(s.mean)}" for s in drawn],
        {"symbol": "circle", "size": 11, "color": "white", "line": {"width": 2, "color": "black"}},
    )
    best = [s for s in standings if verdict and s is verdict.recommended]
    _marks(
        figure,
        view,
        "recommended",
        [s.finalist.params for s in best],
        [f"recommended: {said(point_text(s.finalist.params))}" for s in best],
        {"symbol": "star", "size": 17, "color": "#F0E442", "line": {"width": 1.2, "color": "black"}},
    )
    lost = [cell for cell in view.summary.lost if view.shows(cell.params)]
    _marks(
        figure,
        view,
        "diverged or failed",
        [cell.params for cell in lost],
        [f"{said(point_text(cell.params))}<br>{cell.n_lost} of its trainings diverged or failed" for cell in lost],
        {"symbol": "x-thin", "size": 12, "line": {"width": 2.5, "color": "#CC79A7"}},
    )


def _marks(figure: go.Figure, view: View, name: str, points: list[Params], labels: list[str], marker: Any) -> None:
    if not points:
        return
    places = [view.place(point) for point in points]
    figure.add_scatter(
        x=[x for x, _ in places],
        y=[y for _, y in places],
        mode="markers",
        name=name,
        marker=marker,
        text=labels,
        hoverinfo="text",
        cliponaxis=False,
    )


def _labels(view: View) -> list[list[str]]:
    """The hover label of each cell."""
    x, y = said(view.x.name), said(view.y.name)
    left = np.zeros(len(view.summary.points))
    for i, (epochs, _) in view.summary.left.items():
        left[i] = epochs
    after = view.matrix(left.reshape(view.summary.shape)) if view.mode == "best" else []
    return [
        [
            f"{x} {value_text(vx)}, {y} {value_text(vy)}"
            + (f"<br>left after {after[j][i]:g} epochs" if after and after[j][i] else "")
            for i, vx in enumerate(view.x.row())
        ]
        for j, vy in enumerate(view.y.row())
    ]


def _raised(z: Matrix, low: float, high: float, metric: Metric) -> Matrix:
    """Heights clipped at the floor of the plot."""
    return [[None if v is None else max(v, low) if metric.maximized else min(v, high) for v in row] for row in z]


def _wires(view: View, z: Matrix) -> tuple[list[Any], list[Any], list[Any]]:
    """The lines between neighbouring measured cells."""
    xs: list[Any] = []
    ys: list[Any] = []
    zs: list[Any] = []
    for j, y in enumerate(view.py):
        xs += [*view.px, None]
        ys += [*[y] * len(view.px), None]
        zs += [*z[j], None]
    for i, x in enumerate(view.px):
        xs += [*[x] * len(view.py), None]
        ys += [*view.py, None]
        zs += [*[row[i] for row in z], None]
    return xs, ys, zs
