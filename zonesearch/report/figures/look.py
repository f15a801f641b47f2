"""The style of all figures: colours, axes at their true scale, and the light and dark templates.

Values are drawn in viridis, brighter meaning better; everything else in the palette of Okabe & Ito (2008), which is
safe for all kinds of colour blindness. A template holds everything that differs between light and dark, so a figure is
built only once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape, unescape
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from zonesearch.core.axes import AnyAxis, Axis
from zonesearch.core.metric import Metric

__all__ = [
    "BLUE",
    "DASHES",
    "PALETTE",
    "SCALE",
    "VERMILION",
    "Shown",
    "axis_layout",
    "edges",
    "log_ticks",
    "number",
    "place",
    "rgba",
    "said",
    "styled",
    "template",
    "value_text",
]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C")
BLUE, VERMILION = PALETTE[:2]
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SCALE = "Viridis"

_MOST_TICKS = 13
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"


def template(dark: bool = False) -> go.layout.Template:
    """The light or dark template. Backgrounds are transparent."""
    ink, soft, line = ("#e6e9ee", "#a8b3c1", "#323b48") if dark else ("#1d2530", "#566172", "#dde2e8")
    paper = "#171c24" if dark else "#ffffff"
    axis = {
        "gridcolor": line,
        "linecolor": soft,
        "tickcolor": soft,
        "ticks": "outside",
        "ticklen": 4,
        "zeroline": False,
        "automargin": True,
        "title": {"standoff": 8},
        "tickfont": {"color": soft},
    }
    solid = {"gridcolor": line, "linecolor": soft, "zeroline": False, "showbackground": False, "color": soft}
    return go.layout.Template(
        layout={
            "font": {"family": _FONT, "size": 13, "color": ink},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": PALETTE,
            "xaxis": axis,
            "yaxis": axis,
            "scene": {"xaxis": solid, "yaxis": solid, "zaxis": solid},
            "hoverlabel": {"bgcolor": paper, "bordercolor": soft, "font": {"color": ink, "family": _FONT}},
            "hovermode": "closest",
            "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "font": {"color": soft}},
            "annotationdefaults": {"font": {"color": ink}},
            "coloraxis": {"colorbar": {"outlinewidth": 0}},
        },
        data={"heatmap": [{"colorbar": {"outlinewidth": 0, "thickness": 12, "tickfont": {"color": soft}}}]},
    )


def styled(figure: go.Figure, height: int, **layout: Any) -> go.Figure:
    """``figure`` in the light template with the standard margins."""
    return figure.update_layout(
        template=template(), height=height, margin={"l": 8, "r": 8, "t": 32, "b": 8}, dragmode=False, **layout
    )


def said(text: object) -> str:
    """User text escaped for a figure, where plotly interprets tags as markup."""
    return escape(str(text), quote=False)


def number(value: float) -> float | None:
    """A number for JSON: rounded to a millionth, or to five digits if small; None for NaN."""
    if not math.isfinite(value):
        return None
    return round(float(value), 6) if abs(value) >= 0.01 or value == 0 else float(f"{value:.5g}")


def value_text(value: Any) -> str:
    """A parameter value for ticks and labels."""
    return said(f"{value:.4g}" if isinstance(value, float) else value)


@dataclass(frozen=True)
class Shown:
    """How the values of a metric are formatted in one figure.

    Args:
        metric: provides name, unit and direction.
        percent: whether values are shown in percent.
    """

    metric: Metric
    percent: bool

    @classmethod
    def of(cls, metric: Metric, values: Iterable[float | None]) -> Shown:
        """In percent if all ``values`` are fractions."""
        return cls(metric, metric.shares(v for v in values if v is not None))

    @property
    def name(self) -> str:
        """The metric's name, escaped for a figure."""
        return said(self.metric.name)

    @property
    def unit(self) -> str:
        """The unit after a number that is not in percent, with a leading space; may be empty."""
        return f" {said(self.metric.unit)}" if self.metric.unit else ""

    @property
    def spec(self) -> str:
        """The number format of plotly's hover text."""
        return ".2%" if self.percent else ".4g"

    def text(self, value: float | None) -> str:
        """A value in a label."""
        if value is None or not math.isfinite(value):
            return "none"
        return f"{100 * value:.2f} %" if self.percent else f"{value:.4g}{self.unit}"

    def ticks(self) -> dict[str, Any]:
        """The tick format of a value axis: in percent for fractions."""
        return {"tickformat": ".4~p"} if self.percent else {}

    def axis(self, before: str = "", after: str = "") -> dict[str, Any]:
        """Title and ticks of an axis of values: ``validation rmse (m), fresh seeds``."""
        unit = f" ({said(self.metric.unit)})" if self.metric.unit else ""
        return {"title": {"text": f"{before}{self.name}{unit}{after}"}, **self.ticks()}

    def colours(self) -> dict[str, Any]:
        """The colour scale, with the best value at its bright end."""
        return {"colorscale": SCALE} if self.metric.maximized else {"colorscale": SCALE, "reversescale": True}


def place(axis: AnyAxis, value: Any) -> float:
    """The coordinate at which a value is drawn: log2 on a log axis, the index for a choice."""
    if not isinstance(axis, Axis):
        return float(axis.place(value))
    return math.log2(value) if axis.scale == "log" else float(value)


def axis_layout(axis: AnyAxis, values: Sequence[Any] | None = None, markup: bool = True) -> dict[str, Any]:
    """Title and ticks of an axis at its true scale; ``values`` are the tick values, by default the row.

    ``markup`` is whether entities are supported (not in a 3-D scene, which is drawn on a canvas). Ticks that would
    overlap are thinned, keeping powers of two first on a log axis.
    """
    values = list(axis.row() if values is None else values)
    if len(values) > _MOST_TICKS and isinstance(axis, Axis):
        doubled = [v for v in values if axis.scale == "log" and math.log2(v / values[0]).is_integer()]
        values = doubled if 2 < len(doubled) <= _MOST_TICKS else values[:: math.ceil(len(values) / _MOST_TICKS)]
    return {
        "title": {"text": said(axis.name) if markup else axis.name},
        "tickvals": [place(axis, v) for v in values],
        "ticktext": [value_text(v) if markup else unescape(value_text(v)) for v in values],
    }


def log_ticks(values: Iterable[float], most: int = 6) -> dict[str, Any]:
    """Ticks of a plotly log axis over ``values``: round numbers, at most ``most`` of them."""
    known = [v for v in values if math.isfinite(v) and v > 0]
    if not known:
        return {}
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    ticks: list[float] = []
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        every = [step * 10.0**power for power in range(low, high + 1) for step in steps]
        ticks = [v for v in every if 0.9 * min(known) <= v <= 1.1 * max(known)]
        if len(ticks) <= most:
            break
    ticks = ticks if len(ticks) > 1 else [float(f"{v:.2g}") for v in (min(known), max(known))]
    return {"tickvals": ticks, "ticktext": [_short(v) for v in ticks]}


def _short(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def edges(places: Sequence[float]) -> list[float]:
    """The borders of cells: halfway between neighbours, and the same distance beyond the ends."""
    if len(places) == 1:
        return [places[0] - 0.5, places[0] + 0.5]
    middle = [(a + b) / 2 for a, b in pairwise(places)]
    return [2 * places[0] - middle[0], *middle, 2 * places[-1] - middle[-1]]


def rgba(colour: str, alpha: float) -> str:
    """``#rrggbb`` with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
