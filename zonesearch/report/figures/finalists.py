"""The finalists: their fresh seeds, and their values when chosen."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from zonesearch.report.figures.look import BLUE, PALETTE, VERMILION, Shown, said, styled
from zonesearch.report.summaries.finalists import finalist_name
from zonesearch.statistics.search_results import SearchResults
from zonesearch.statistics.verdict import Standing

__all__ = ["finalists_figure", "optimism_figure"]

_LONGEST = 60


def finalists_figure(results: SearchResults) -> go.Figure | None:
    """Each fresh seed of each finalist as a point, the mean with Student's interval; None before the verdict."""
    standings = results.verdict.standings if results.verdict else ()
    if results.verdict is None or not standings:
        return None
    values = [a for s in standings for a in s.accuracies.values()]
    shown = Shown.of(results.metric, values)
    figure = go.Figure()
    for i, standing in enumerate(standings):
        colour = VERMILION if standing.differs else BLUE
        accuracies = list(standing.accuracies.values())
        n = len(accuracies)
        figure.add_scatter(
            x=accuracies,
            y=[i + 0.16 * (2 * k / max(1, n - 1) - 1) for k in range(n)],  # jittered, so that equal values stay visible
            mode="markers",
            marker={"color": colour, "opacity": 0.4, "size": 8},
            text=[f"seed {seed}: {shown.text(a)}" for seed, a in standing.accuracies.items()],
            hoverinfo="text",
            showlegend=False,
        )
        half = standing.half_width
        chosen = standing is results.verdict.recommended
        figure.add_scatter(
            x=[standing.mean],
            y=[i],
            error_x={"type": "data", "array": [half if math.isfinite(half) else 0], "thickness": 2, "width": 5},
            mode="markers",
            marker={
                "symbol": "star" if chosen else "diamond-open" if standing.differs else "diamond",
                "size": 17 if chosen else 12,
                "color": colour,
                "line": {"width": 2, "color": colour} if standing.differs else {"width": 1, "color": "white"},
            },
            text=[f"{_label(results, standing)}<br>{shown.text(standing.mean)}"],
            hoverinfo="text",
            showlegend=False,
        )
    figure.update_layout(
        xaxis=shown.axis(f"{results.verdict.measured_on} ", ", fresh seeds"),
    )
    return _named(figure, results, standings)


def optimism_figure(results: SearchResults) -> go.Figure | None:
    """The change from the validation value when chosen to the mean over fresh seeds; None before the verdict."""
    standings = results.verdict.standings if results.verdict else ()
    if not standings:
        return None
    values = [v for s in standings for v in (s.finalist.selected, s.fresh_validation)]
    shown = Shown.of(results.metric, values)
    lines_x: list[float | None] = []
    lines_y: list[float | None] = []
    for i, s in enumerate(standings):
        lines_x += [s.finalist.selected, s.fresh_validation, None]
        lines_y += [i, i, None]
    rows = list(range(len(standings)))
    figure = go.Figure()
    figure.add_scatter(
        x=lines_x, y=lines_y, mode="lines", line={"color": PALETTE[6], "width": 2}, hoverinfo="skip", showlegend=False
    )
    for name, xs, marker in (
        ("when chosen", [s.finalist.selected for s in standings], {"symbol": "circle-open", "line": {"width": 2}}),
        ("fresh seeds", [s.fresh_validation for s in standings], {"symbol": "circle"}),
    ):
        figure.add_scatter(
            x=xs,
            y=rows,
            mode="markers",
            name=name,
            marker={"size": 11, "color": PALETTE[2], **marker},
            text=[f"{name}: {shown.text(x)}" for x in xs],
            hoverinfo="text",
        )
    figure.update_layout(
        xaxis=shown.axis("validation "),
    )
    return _named(figure, results, standings)


def _named(figure: go.Figure, results: SearchResults, standings: tuple[Standing, ...]) -> go.Figure:
    """The finalists' names above their rows, where they take no horizontal space."""
    for i, standing in enumerate(standings):
        figure.add_annotation(
            x=0,
            xref="paper",
            y=i - 0.36,
            text=_label(results, standing),
            showarrow=False,
            xanchor="left",
            yanchor="middle",
            font={"size": 12},
        )
    rows = {"range": [len(standings) - 0.6, -0.6], "showgrid": False, "showticklabels": False, "ticks": ""}
    return styled(figure.update_layout(yaxis=rows), 80 + 66 * len(standings)).update_layout(margin={"t": 30})


def _label(results: SearchResults, standing: Standing) -> str:
    name = finalist_name(results, standing)
    return said(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…")
