"""The first sections for a search whose points are not on a grid: the best point, and all points axis by axis."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from zonesearch.core.wording import point_text
from zonesearch.report.figures.points import points_figure
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.markup import Picture, Section, Table

__all__ = ["points_table", "scattered_sections"]

_MOST_AXES = 24


def scattered_sections(summary: MapSummary) -> list[Section]:
    """The sections for points that are not on a grid."""
    table = points_table(summary)
    tables = [Table("Points", table, "Best first.")] if len(table) else []
    known = [cell for cell in summary.tried if cell.values]
    if not known:
        return [Section("points", "The points", missing="No training was complete, so no point has a value.")]
    metric = summary.results.metric
    best = metric.best(cell.mean for cell in known)
    names = summary.results.space.names
    incumbent = next(cell for cell in known if cell.mean == best)
    where = point_text({name: incumbent.params[name] for name in names if name in incumbent.params})
    pictures = []
    for i, axis in enumerate(summary.results.space.axes[:_MOST_AXES]):
        figure = points_figure(summary, axis)
        if figure is not None:
            n_absent = sum(axis.name not in cell.params for cell in known)
            absent = f" {n_absent:,} points have no value of it." if n_absent else ""
            pictures.append(
                Picture(
                    f"points-{i}", figure, f"{metric.name} of every point along {axis.name}.", f"{axis.name}.{absent}"
                )
            )
    text = (
        f"The best of {len(known):,} points is {where} with {metric.text(best)}. Each figure shows all of them along "
        "one axis, regardless of the others; the best one is marked. The best of many is an optimistic estimate."
    )
    why = "" if summary.results.zones else "No zone shows yet; the notes at the top say why."
    n_more = len(names) - _MOST_AXES
    why += f" The last {n_more} axes are in the table alone." if n_more > 0 else ""
    return [Section("points", "The points", text, pictures, tables, missing=why, columns=2)]


def points_table(summary: MapSummary) -> pd.DataFrame:
    """One row per point, best first: params (empty if not suggested), mean, seeds, lost trainings."""
    metric = summary.results.metric
    names = summary.results.space.names
    cells = sorted(
        summary.tried, key=lambda cell: (not cell.values, -metric.score(cell.mean) if cell.values else math.inf)
    )
    columns: dict[str, list[object]] = {name: [cell.params.get(name) for cell in cells] for name in names}
    for name, values in (
        (metric.name, [cell.mean for cell in cells]),
        ("seeds", [len(cell.values) for cell in cells]),
        ("without a value", [cell.n_lost for cell in cells]),
    ):
        columns[name if name not in columns else f"{name} (result)"] = list(values)
    return pd.DataFrame({name: _column(values) for name, values in columns.items()})


def _column(values: list[object]) -> pd.Series[Any]:
    """Integers stay integers even if some values are missing."""
    known = [value for value in values if value is not None]
    whole = len(known) < len(values) and all(isinstance(v, int) and not isinstance(v, bool) for v in known)
    return pd.Series(values, dtype="Int64" if whole and known else None)
