"""Scattered points: the value of each against its position on one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from zonesearch.core.axes import AnyAxis, Axis
from zonesearch.core.wording import point_text
from zonesearch.report.figures.look import BLUE, VERMILION, Shown, axis_layout, number, place, said, styled
from zonesearch.report.map_summary import MapSummary
from zonesearch.statistics.noise import Cell

__all__ = ["points_figure"]

_MOST_POINTS = 1500
_JITTER = 0.3  # jitter to each side of a choice, so that its points do not hide each other


def points_figure(summary: MapSummary, axis: AnyAxis) -> go.Figure | None:
    """The mean of each point against its value of ``axis``, the best one marked; None if no point has a value there.

    If there are very many points, only the best and an even sample of the rest are drawn.
    """
    metric = summary.results.metric
    cells = [cell for cell in summary.tried if cell.values and axis.name in cell.params]
    cells = [cell for cell in cells if axis.contains(cell.params[axis.name])]
    if not cells:
        return None
    ranked = sorted(cells, key=lambda cell: -metric.score(cell.mean))
    shown = ranked if len(ranked) <= _MOST_POINTS else _thinned(ranked)
    names = list(summary.results.space.names)
    figure = go.Figure()
    for name, group, colour, size in (("points", shown[1:], BLUE, 6), ("best", shown[:1], VERMILION, 12)):
        figure.add_scatter(
            x=[_place(axis, cell, i) for i, cell in enumerate(group)],
            y=[number(cell.mean) for cell in group],
            text=[said(point_text({n: cell.params[n] for n in names if n in cell.params})) for cell in group],
            mode="markers",
            name=name,
            marker={"color": colour, "size": size, "opacity": 0.6 if size < 10 else 1.0},
            hovertemplate="%{text}<br>%{y}<extra></extra>",
        )
    ticks = axis_layout(axis, _ticks(axis)) if isinstance(axis, Axis) else axis_layout(axis)
    figure.update_layout(
        xaxis=ticks,
        yaxis=Shown.of(metric, [cell.mean for cell in shown]).axis() | _clipped([cell.mean for cell in shown], summary),
        showlegend=False,
    )
    return styled(figure, 300)


def _thinned(ranked: Sequence[Cell]) -> list[Cell]:
    """Half of the points that can be shown are the best, the others an even sample of the rest."""
    best = list(ranked[: _MOST_POINTS // 2])
    rest = ranked[len(best) :]
    return best + list(rest[:: math.ceil(len(rest) / (_MOST_POINTS - len(best)))])


def _place(axis: AnyAxis, cell: Cell, i: int) -> float:
    """The position of a point; choices are jittered deterministically by the golden ratio."""
    at = place(axis, cell.params[axis.name])
    return at if isinstance(axis, Axis) else at + _JITTER * (2 * ((i + 1) * 0.6180339887 % 1) - 1)


def _ticks(axis: Axis) -> list[float]:
    row = axis.row()
    return list(row) if len(row) > 1 else [axis.low, axis.high] if axis.low < axis.high else [axis.low]


def _clipped(values: Sequence[float], summary: MapSummary) -> dict[str, object]:
    """The value axis, clipped so that a few very bad points do not compress the rest."""
    metric = summary.results.metric
    scores = sorted(metric.score(value) for value in values)
    best, middle, worst = scores[-1], scores[len(scores) // 2], scores[0]
    least = max(worst, best - 6 * (best - middle)) if best > middle else worst
    low, high = sorted((metric.value(least), metric.value(best)))
    margin = 0.05 * (high - low) or abs(high) * 0.05 or 0.05
    return {"range": [low - margin, high + margin]}
