"""Figures of a contest: regret by budget spent, final regrets, ranks, and the fraction within noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import plotly.graph_objects as go

from zonesearch.benchmark.contest import Contest, standard_error
from zonesearch.report.figures.look import DASHES, PALETTE, number, rgba, said, styled

__all__ = ["ends_figure", "ranks_figure", "regret_figure", "within_figure"]


def regret_figure(contest: Contest, log: bool = False) -> go.Figure:
    """Mean regret by trainings, one line per method with a band of one standard error; ``log``: on a log axis.

    On a log axis a mean of 0 is left out, and so is the lower end of a band that reaches it.
    """
    figure = go.Figure()
    for i, method in enumerate(contest.methods):
        means = contest.regrets(method).mean(axis=0).tolist()
        errors = [standard_error(column) for column in contest.regrets(method).T]
        colour = _colour(contest, method)
        if not any(map(math.isnan, errors)):
            xs, ys = _band(contest.at, means, errors, log)
            figure.add_scatter(
                x=xs,
                y=ys,
                fill="toself",
                fillcolor=rgba(colour, 0.15),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=str(i),
            )
        figure.add_scatter(
            x=list(contest.at),
            y=[number(v) if v > 0 or not log else None for v in means],
            mode="lines+markers",
            name=said(method),
            legendgroup=str(i),
            line={"color": colour, "dash": DASHES[i % len(DASHES)], "width": 2.5},
            marker={"size": 6},
            text=[
                f"{said(method)}, {at:g} trainings: {mean:.3g}" + ("" if math.isnan(se) else f" ± {se:.2g}")
                for at, mean, se in zip(contest.at, means, errors, strict=True)
            ],
            hoverinfo="text",
        )
    figure.update_layout(
        xaxis={"title": {"text": "trainings"}, "rangemode": "tozero"},
        yaxis={"title": {"text": _regret(contest)}, **({"type": "log"} if log else {"rangemode": "tozero"})},
    )
    return styled(figure, 440)


def _regret(contest: Contest) -> str:
    """The title of a regret axis."""
    metric = contest.metric
    unit = f", {said(metric.unit)}" if metric.unit else ""
    return f"regret ({said(metric.name)} {'below' if metric.maximized else 'above'} the best{unit})"


def _band(
    at: Sequence[float], means: Sequence[float], errors: Sequence[float], log: bool
) -> tuple[list[float | None], list[float | None]]:
    """The outline of mean ± error; on a log axis it is cut where a mean is 0, and kept above half the lowest mean."""
    least = min((m for m in means if m > 0), default=0.0) / 2 if log else 0.0
    xs: list[float | None] = []
    ys: list[float | None] = []
    for drawn, run in groupby(zip(at, means, errors, strict=True), key=lambda point: point[1] > 0 or not log):
        points = list(run)
        if drawn:
            xs += [x for x, _, _ in points] + [x for x, _, _ in reversed(points)] + [None]
            ys += [number(m + e) for _, m, e in points]
            ys += [number(max(m - e, least)) for _, m, e in reversed(points)] + [None]
    return xs, ys


def ends_figure(contest: Contest) -> go.Figure:
    """The final regret of every search, and the mean with its standard error; the lowest on top."""
    figure = go.Figure()
    standings = contest.standings()
    for i, standing in enumerate(standings):
        ends = contest.regrets(standing.method)[:, -1].tolist()
        colour = _colour(contest, standing.method)
        figure.add_scatter(
            x=[number(v) for v in ends],
            y=[i + 0.24 * (j / max(1, len(ends) - 1) - 0.5) + 0.2 for j in range(len(ends))],
            mode="markers",
            marker={"size": 7, "opacity": 0.45, "color": colour},
            cliponaxis=False,
            text=[f"{said(standing.method)}, search {j + 1}: {v:.3g}" for j, v in enumerate(ends)],
            hoverinfo="text",
            showlegend=False,
        )
        figure.add_scatter(
            x=[number(standing.regret)],
            y=[i - 0.12],
            error_x={"type": "data", "array": [number(standing.se) or 0], "thickness": 2, "width": 5},
            mode="markers",
            marker={"symbol": "diamond", "size": 11, "color": colour},
            text=[f"{said(standing.method)}: {standing.regret:.3g}"],
            hoverinfo="text",
            showlegend=False,
        )
    figure.update_layout(xaxis={"title": {"text": _regret(contest)}, "rangemode": "tozero"}, yaxis=_names(contest))
    return styled(figure, 110 + 44 * len(standings))


def ranks_figure(contest: Contest) -> go.Figure:
    """The mean rank among the methods; 1 is best."""
    n = len(contest.methods)
    values = [standing.rank for standing in contest.standings()]
    return _bars(contest, values, [f"{v:.1f}" for v in values], "mean rank, 1 is best", [0, n * 1.1])


def within_figure(contest: Contest) -> go.Figure:
    """The fraction of searches whose recommendation was within the noise of the best."""
    values = [standing.within_noise for standing in contest.standings()]
    figure = _bars(contest, values, [f"{v:.0%}" for v in values], "within the noise of the best", [0, 1.13])
    return figure.update_layout(xaxis={"tickformat": ".0%", "tickvals": [0, 0.25, 0.5, 0.75, 1]})


def _bars(contest: Contest, values: list[float], texts: list[str], title: str, shown: list[float]) -> go.Figure:
    methods = [standing.method for standing in contest.standings()]
    figure = go.Figure(
        go.Bar(
            x=[number(v) for v in values],
            y=list(range(len(values))),
            orientation="h",
            width=0.6,
            marker={"color": [_colour(contest, method) for method in methods]},
            text=texts,
            textposition="outside",
            cliponaxis=False,
            hovertext=[f"{said(method)}: {text}" for method, text in zip(methods, texts, strict=True)],
            hoverinfo="text",
        )
    )
    figure.update_layout(xaxis={"title": {"text": title}, "range": shown}, yaxis=_names(contest))
    return styled(figure, 110 + 36 * len(values), showlegend=False)


def _names(contest: Contest) -> dict[str, object]:
    """A vertical axis of methods, the lowest regret on top."""
    methods = [standing.method for standing in contest.standings()]
    return {
        "tickvals": list(range(len(methods))),
        "ticktext": [said(method) for method in methods],
        "range": [len(methods) - 0.4, -0.6],
        "showgrid": False,
    }


def _colour(contest: Contest, method: str) -> str:
    """The method's colour, the same in all figures."""
    return PALETTE[contest.methods.index(method) % len(PALETTE)]
