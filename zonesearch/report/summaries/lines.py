"""The intervals inside the zones: values along one axis, the others at the zone's peak."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from scipy import stats

from zonesearch.core.axes import Axis
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.summaries.columns import value_column
from zonesearch.statistics.noise import map_cells, measure_noise
from zonesearch.statistics.zones import Zone

__all__ = ["Line", "interval_lines"]


@dataclass(frozen=True)
class Line:
    """The trainings of a zone along one axis.

    Args:
        zone, axis: the zone and the axis.
        table: one row per value that was trained, ascending: value, mean (called after the metric), low and high (the
            95 % band of the noise), seeds, and ``on the map`` for values of the coarse grid.
        metric: the metric that names the column.
    """

    zone: Zone
    axis: Axis
    table: pd.DataFrame
    metric: Metric = ACCURACY


def interval_lines(summary: MapSummary) -> list[Line]:
    """Every line of every zone along a numeric axis; lines with fewer than two points are left out."""
    found = summary.results
    z = float(stats.norm.ppf(0.975))
    lines = []
    for zone in found.zones:
        for axis in summary.space.axes:
            if not isinstance(axis, Axis) or axis.name not in zone.intervals:
                continue
            low, high = zone.intervals[axis.name]
            along = found.trials.values_along(zone.peak, axis.name)
            values = [v for v in along if axis.contains(v) and low <= v <= high]  # type: ignore[operator]
            cells = map_cells(
                [{**zone.peak, axis.name: value} for value in values],
                found.trials,
                seeds=summary.seeds,
                epochs=found.epochs,
                reading=found.reading,
            )
            noise = measure_noise(cells)
            row = axis.row()
            rows = [
                {
                    "value": cell.params[axis.name],
                    value_column(summary.metric): cell.mean,
                    "low": cell.mean - z * noise.se(cell),
                    "high": cell.mean + z * noise.se(cell),
                    "seeds": len(cell.values),
                    "on the map": cell.params[axis.name] in row,
                }
                for cell in cells
                if cell.values
            ]
            if len(rows) > 1:
                lines.append(Line(zone, axis, pd.DataFrame(rows), summary.metric))
    return lines
