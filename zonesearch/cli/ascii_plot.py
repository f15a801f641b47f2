"""A curve as text for a terminal: shows a schedule or a range test without a browser."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["ascii_plot"]


def ascii_plot(
    values: Sequence[float],
    *,
    x_from: str = "",
    x_to: str = "",
    marks: Mapping[str, int] | None = None,
    log: bool = False,
    width: int = 72,
    height: int = 12,
) -> str:
    """``values`` from left to right, the largest at the top.

    Args:
        values: at least one; non-finite ones (and on a log scale those not above 0) are left out.
        x_from, x_to: labels below the left and the right end.
        marks: labels below the axis, by the index of the value they mark.
        log: a logarithmic vertical scale.
        width, height: size of the plot in characters, without labels.
    """
    heights = [math.log10(v) if log and v > 0 else v for v in values]
    drawn = [h if math.isfinite(h) and (not log or v > 0) else None for h, v in zip(heights, values, strict=True)]
    known = [h for h in drawn if h is not None]
    if not known:
        return "(nothing to draw)"
    width = max(2, min(width, len(values)))
    bottom, top = min(known), max(known)
    span = top - bottom or 1.0
    canvas = [[" "] * width for _ in range(height)]
    for i, h in enumerate(drawn):
        if h is not None:
            canvas[round((top - h) / span * (height - 1))][_column(i, len(values), width)] = "•"
    labels = {0: _label(top, log), height - 1: _label(bottom, log)} if top > bottom else {0: _label(top, log)}
    margin = max(map(len, labels.values()))
    lines = [f"{labels.get(row, ''):>{margin}} │{''.join(cells).rstrip()}" for row, cells in enumerate(canvas)]
    if top == bottom:
        lines = lines[:1]
    lines.append(f"{'':>{margin}} └{'─' * width}")
    if x_from or x_to:
        lines.append(f"{'':>{margin}}  {x_from}{x_to:>{max(1, width - len(x_from))}}")
    for name, index in (marks or {}).items():
        lines.append(f"{'':>{margin}}  {'':>{_column(index, len(values), width)}}^ {name}")
    return "\n".join(lines)


def _column(index: int, n_values: int, width: int) -> int:
    return round(index / max(1, n_values - 1) * (width - 1))


def _label(height: float, log: bool) -> str:
    return f"{10**height if log else height:.3g}"
