"""The pictures, drawn with plotly from the tables of ``summaries``.

Colours: viridis for accuracies, Okabe & Ito's palette for the rest; both can be told apart without red and green.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from zonesearch.domain.axes import AnyAxis, Axis
from zonesearch.domain.findings import Findings
from zonesearch.domain.wording import percent_like, point_text
from zonesearch.report import summaries

__all__ = [
    "PALETTE",
    "curves_figure",
    "finalists_figure",
    "intervals_figure",
    "map_figure",
    "optimism_figure",
    "surface_figure",
]

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000")


def surface_figure(findings: Findings) -> go.Figure | None:
    """The accuracy surface over the first two axes in 3-D; None with fewer than two."""
    if len(findings.space.axes) < 2:
        return None
    x, y = findings.space.axes[:2]
    xs, ys, z = _matrix(findings, x, y)
    figure = go.Figure(
        go.Surface(
            x=[_place(x, v) for v in xs],
            y=[_place(y, v) for v in ys],
            z=z,
            colorscale="Viridis",
            showscale=False,
            contours={"z": {"show": True, "usecolormap": True, "project": {"z": True}}},
            hovertemplate=f"{x.name} %{{text}}<br>accuracy %{{z:.4f}}<extra></extra>",
            text=[[f"{vx}, {y.name} {vy}" for vx in xs] for vy in ys],
        )
    )
    peaks = [zone for zone in findings.zones if _drawn(findings, zone.peak, x, y)]
    figure.add_scatter3d(
        x=[_place(x, zone.peak[x.name]) for zone in peaks],
        y=[_place(y, zone.peak[y.name]) for zone in peaks],
        z=[zone.value for zone in peaks],
        mode="markers+text",
        text=[str(zone.number) for zone in peaks],
        marker={"size": 5, "color": PALETTE[4]},
        hovertext=[f"zone {zone.number}: {point_text(zone.peak)}" for zone in peaks],
        hoverinfo="text",
        showlegend=False,
    )
    ticks = {"tickformat": ".1%"} if _percent(z) else {}
    figure.update_layout(
        scene={
            "xaxis": {"title": {"text": x.name}, **_ticks(x, xs)},
            "yaxis": {"title": {"text": y.name}, **_ticks(y, ys)},
            "zaxis": {"title": {"text": "accuracy"}, **ticks},
            "camera": {"eye": {"x": -1.65, "y": -1.65, "z": 0.9}, "center": {"x": 0, "y": 0, "z": -0.15}},
        }
    )
    return _styled(figure, 480)


def map_figure(findings: Findings) -> go.Figure:
    """The heat map over the first two axes with zones outlined and numbered, and candidates; a line for one axis."""
    if len(findings.space.axes) < 2:
        return _one_axis(findings)
    x, y = findings.space.axes[:2]
    xs, ys, z = _matrix(findings, x, y)
    px, py = [_place(x, v) for v in xs], [_place(y, v) for v in ys]
    heat = go.Heatmap(
        x=_edges(px),
        y=_edges(py),
        z=z,
        colorscale="Viridis",
        colorbar={"title": {"text": "accuracy"}, "tickformat": ".1%" if _percent(z) else ""},
        hoverongaps=False,
        text=[[f"{x.name} {vx}, {y.name} {vy}" for vx in xs] for vy in ys],
        hovertemplate="%{text}<br>accuracy %{z:.4f}<extra></extra>",
    )
    figure = go.Figure(heat)
    ex, ey = _edges(px), _edges(py)
    for zone in findings.zones:
        inside = {(xs.index(c[x.name]), ys.index(c[y.name])) for c in zone.cells if _drawn(findings, c, x, y)}
        for x0, y0, x1, y1 in _outline(inside, ex, ey):
            figure.add_shape(type="line", x0=x0, y0=y0, x1=x1, y1=y1, line={"color": "white", "width": 3})
        if _drawn(findings, zone.peak, x, y):
            figure.add_annotation(
                x=_place(x, zone.peak[x.name]),
                y=_place(y, zone.peak[y.name]),
                text=f"<b>{zone.number}</b>",
                showarrow=False,
                font={"color": "white", "size": 16},
                bgcolor="rgba(0,0,0,0.55)",
            )
    shown = [c for c in findings.candidates if _drawn(findings, c.params, x, y)]
    figure.add_scatter(
        x=[_place(x, c.params[x.name]) for c in shown],
        y=[_place(y, c.params[y.name]) for c in shown],
        mode="markers",
        name="candidates",
        marker={"symbol": "x", "size": 10, "color": PALETTE[4], "line": {"width": 1, "color": "white"}},
        hovertext=[f"candidate {point_text(c.params)}: {c.value:.4f}" for c in shown],
        hoverinfo="text",
    )
    lost = summaries.map_slice(findings, x.name, y.name)
    lost = lost[lost["lost"] > 0]
    if len(lost):
        figure.add_scatter(
            x=[_place(x, v) for v in lost[x.name]],
            y=[_place(y, v) for v in lost[y.name]],
            mode="markers",
            name="diverged or failed",
            marker={"symbol": "circle-x-open", "size": 14, "color": PALETTE[3]},
        )
    figure.update_layout(
        xaxis={"title": {"text": x.name}, **_ticks(x, xs)},
        yaxis={"title": {"text": y.name}, **_ticks(y, ys)},
        legend={"orientation": "h", "y": 1.08},
    )
    return _styled(figure, 480)


def intervals_figure(findings: Findings) -> go.Figure | None:
    """Accuracy along each searched interval with the band of the noise; None when no line has two points."""
    lines = summaries.interval_lines(findings)
    if not lines:
        return None
    n_columns = min(2, len(lines))
    n_rows = -(-len(lines) // n_columns)
    titles = [f"zone {zone.number}: {name}" for zone, name, _ in lines]
    figure = make_subplots(rows=n_rows, cols=n_columns, subplot_titles=titles, vertical_spacing=0.35 / n_rows)
    for i, (zone, name, table) in enumerate(lines):
        place = {"row": i // n_columns + 1, "col": i % n_columns + 1}
        colour = PALETTE[(zone.number - 1) % len(PALETTE)]
        axis = findings.space[name]
        xs = [_place(axis, v) for v in table["value"]]
        figure.add_scatter(
            x=[*xs, *reversed(xs)],
            y=[*table["high"], *reversed(table["low"].tolist())],
            fill="toself",
            fillcolor=colour,
            opacity=0.18,
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            **place,
        )
        figure.add_scatter(
            x=xs,
            y=table["accuracy"],
            mode="lines+markers",
            line={"color": colour},
            text=[f"{name} {v:.6g}" for v in table["value"]],
            hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
            showlegend=False,
            **place,
        )
        figure.update_xaxes(_ticks(axis, table["value"].tolist()), **place)
        if percent_like(table["accuracy"]):
            figure.update_yaxes(tickformat=".1%", **place)
    return _styled(figure, 260 * n_rows + 40)


def curves_figure(findings: Findings) -> go.Figure | None:
    """Validation accuracy by epoch under each schedule at the recommended point, the rate below; None without any."""
    verdict = findings.verdict
    if verdict is None or verdict.recommended is None:
        return None
    schedules = summaries.schedules_of(findings, verdict.recommended.finalist.params)
    tables = {name: summaries.curves(findings, params) for name, params in schedules.items()}
    tables = {name: table for name, table in tables.items() if len(table)}
    if not tables:
        return None
    with_rate = any("learning_rate" in table for table in tables.values())
    figure = make_subplots(rows=2 if with_rate else 1, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for (name, table), colour in zip(tables.items(), PALETTE * 4, strict=False):
        figure.add_scatter(
            x=table["epoch"], y=table["validation_accuracy"], name=name, line={"color": colour}, row=1, col=1
        )
        if "learning_rate" in table:
            figure.add_scatter(
                x=table["epoch"],
                y=table["learning_rate"],
                name=name,
                line={"color": colour, "shape": "hv"},
                showlegend=False,
                row=2,
                col=1,
            )
    figure.update_yaxes(title_text="validation accuracy", row=1, col=1)
    if all(percent_like(table["validation_accuracy"]) for table in tables.values()):
        figure.update_yaxes(tickformat=".1%", row=1, col=1)
    if with_rate:
        figure.update_yaxes(title_text="learning rate", type="log", row=2, col=1)
    figure.update_xaxes(title_text="epoch", row=2 if with_rate else 1, col=1)
    figure.update_layout(legend={"orientation": "h", "y": 1.1})
    return _styled(figure, 520 if with_rate else 340)


def finalists_figure(findings: Findings) -> go.Figure | None:
    """Each fresh seed of each finalist as a point, the mean with Student's interval; None before the verdict."""
    if findings.verdict is None or not findings.verdict.standings:
        return None
    figure = go.Figure()
    values: list[float] = []
    for i, (name, standing) in enumerate(_named(findings)):
        colour = PALETTE[4] if standing.differs else PALETTE[0]
        ys = list(standing.accuracies.values())
        values += ys
        figure.add_scatter(
            x=ys,
            y=[i] * len(ys),
            mode="markers",
            marker={"color": colour, "opacity": 0.45, "size": 8},
            text=[f"seed {seed}" for seed in standing.accuracies],
            hovertemplate="%{text}: %{x:.4f}<extra></extra>",
            showlegend=False,
        )
        half = standing.half_width
        figure.add_scatter(
            x=[standing.mean],
            y=[i],
            error_x={"type": "data", "array": [half if np.isfinite(half) else 0], "thickness": 2},
            mode="markers",
            marker={"symbol": "diamond", "size": 12, "color": colour, "line": {"width": 1, "color": "white"}},
            hovertemplate=f"{name}: %{{x:.4f}}<extra></extra>".replace("<script", "&lt;script"),
            showlegend=False,
        )
    names = [name for name, _ in _named(findings)]
    figure.update_layout(
        yaxis={
            "tickvals": list(range(len(names))),
            "ticktext": [_wrapped(name) for name in names],
            "autorange": "reversed",
            "automargin": True,
        },
        xaxis={
            "title": {"text": f"{findings.verdict.measured_on} accuracy on fresh seeds"},
            **({"tickformat": ".1%"} if percent_like(values) else {}),
        },
    )
    return _styled(figure, 110 + 60 * len(names))


def optimism_figure(findings: Findings) -> go.Figure | None:
    """Validation accuracy when chosen against the mean over fresh seeds; None before the verdict."""
    if findings.verdict is None or not findings.verdict.standings:
        return None
    named = list(_named(findings))
    before = [s.finalist.selected for _, s in named]
    after = [s.fresh_validation for _, s in named]
    low, high = min(before + after), max(before + after)
    margin = 0.1 * (high - low) or 0.01
    ends = [low - margin, high + margin]
    figure = go.Figure()
    figure.add_scatter(
        x=ends, y=ends, mode="lines", line={"dash": "dot", "color": "#888"}, hoverinfo="skip", showlegend=False
    )
    figure.add_scatter(
        x=before,
        y=after,
        mode="markers",
        marker={"size": 12, "color": PALETTE[0]},
        text=[name for name, _ in named],
        hovertemplate="%{text}<br>when chosen %{x:.4f}<br>fresh seeds %{y:.4f}<extra></extra>",
        showlegend=False,
    )
    ticks = {"tickformat": ".1%"} if percent_like(before + after) else {}
    figure.update_layout(
        xaxis={"title": {"text": "when it was chosen"}, "range": ends, **ticks},
        yaxis={"title": {"text": "on fresh seeds"}, "range": ends, **ticks},
    )
    return _styled(figure, 380)


def _one_axis(findings: Findings) -> go.Figure:
    axis = findings.space.axes[0]
    table = summaries.cells_table(findings)
    figure = go.Figure(
        go.Scatter(
            x=[_place(axis, v) for v in table[axis.name]],
            y=table["accuracy"],
            error_y={"type": "data", "array": (1.96 * table["standard_error"]).fillna(0)},
            mode="lines+markers",
            line={"color": PALETTE[0]},
        )
    )
    for zone in findings.zones:
        figure.add_annotation(x=_place(axis, zone.peak[axis.name]), y=zone.value, text=f"<b>{zone.number}</b>")
    figure.update_layout(
        xaxis={"title": {"text": axis.name}, **_ticks(axis, list(axis.row()))}, yaxis={"title": {"text": "accuracy"}}
    )
    return _styled(figure, 380)


def _named(findings: Findings) -> Iterator[tuple[str, Any]]:
    assert findings.verdict is not None
    for standing in findings.verdict.standings:
        params = summaries.bare(findings, standing.finalist.params)
        yield point_text(params, standing.finalist.schedule), standing


def _wrapped(name: str) -> str:
    return name.replace(" with ", "<br>with ")


def _matrix(findings: Findings, x: AnyAxis, y: AnyAxis) -> tuple[list[Any], list[Any], list[list[float | None]]]:
    """Row values of both axes and the accuracies, z[j][i] at (xs[i], ys[j]); None where none is known."""
    table: pd.DataFrame = summaries.map_slice(findings, x.name, y.name)
    known = {(r[x.name], r[y.name]): r["accuracy"] for r in table.to_dict("records")}
    xs, ys = list(x.row()), list(y.row())
    z = [[known.get((vx, vy)) for vx in xs] for vy in ys]
    return xs, ys, [[None if v is None or np.isnan(v) else float(v) for v in row] for row in z]


def _drawn(findings: Findings, params: Any, x: AnyAxis, y: AnyAxis) -> bool:
    others = [name for name in findings.space.names if name not in (x.name, y.name)]
    return all(params[name] == value for name, value in summaries.fixed_at(findings, others).items())


def _place(axis: AnyAxis, value: Any) -> float:
    """Where a value is drawn: log2 on a log axis, its place in the list for a choice."""
    if not isinstance(axis, Axis):
        return float(axis.values.index(value))
    return float(np.log2(value)) if axis.scale == "log" else float(value)


def _ticks(axis: AnyAxis, values: list[Any]) -> dict[str, Any]:
    shown = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in values]
    return {"tickvals": [_place(axis, v) for v in values], "ticktext": shown}


def _edges(places: list[float]) -> list[float]:
    """The borders of cells: halfway between neighbours, and as far beyond the ends."""
    if len(places) == 1:
        return [places[0] - 0.5, places[0] + 0.5]
    middle = [(a + b) / 2 for a, b in pairwise(places)]
    return [2 * places[0] - middle[0], *middle, 2 * places[-1] - middle[-1]]


def _outline(
    inside: set[tuple[int, int]], ex: list[float], ey: list[float]
) -> Iterator[tuple[float, float, float, float]]:
    """The border of a set of cells, as straight pieces (x0, y0, x1, y1)."""
    for i, j in sorted(inside):
        for di, dj, piece in (
            (-1, 0, (ex[i], ey[j], ex[i], ey[j + 1])),
            (1, 0, (ex[i + 1], ey[j], ex[i + 1], ey[j + 1])),
            (0, -1, (ex[i], ey[j], ex[i + 1], ey[j])),
            (0, 1, (ex[i], ey[j + 1], ex[i + 1], ey[j + 1])),
        ):
            if (i + di, j + dj) not in inside:
                yield piece


def _percent(z: list[list[float | None]]) -> bool:
    return percent_like(v for row in z for v in row if v is not None)


def _styled(figure: go.Figure, height: int) -> go.Figure:
    return figure.update_layout(
        height=height,
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        template="plotly_white",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#9aa7b6"},
    )
