"""The coarse map as tables: cells, slices over two axes, zones and candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from zonesearch.core.trials import Params
from zonesearch.core.values import point
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.summaries.columns import value_column
from zonesearch.statistics.search_results import SearchResults

__all__ = ["Mode", "candidates_table", "cells_table", "identity", "interval_text", "slice_of", "zones_table"]

Mode = Literal["best", "average"]
"""How axes that are not drawn are reduced: held at the best point, or averaged over."""


def cells_table(summary: MapSummary) -> pd.DataFrame:
    """One row per cell of the grid, best first: params, value, its standard error, seeds, lost seeds, zone.

    The value column is named after the metric. If cells were dropped at a rung, also the number of epochs after which;
    their value is the one at that time.
    """
    metric = summary.metric
    zone_of = {identity(cell): zone.number for zone in reversed(summary.results.zones) for cell in zone.cells}
    rows = [
        {
            **cell.params,
            value_column(metric): summary.left[i][1] if i in summary.left else cell.mean,
            "standard error": error,
            "seeds": len(cell.values),
            "diverged or failed": cell.n_lost,
            "missing": 0 if i in summary.left else len(summary.seeds) - len(cell.values) - cell.n_lost,
            **({"left after": summary.left[i][0] if i in summary.left else None} if summary.left else {}),
            "zone": zone_of.get(identity(cell.params)),
            "parameters": cell.n_parameters,
        }
        for i, (cell, error) in enumerate(zip(summary.cells, summary.errors.ravel().tolist(), strict=True))
    ]
    whole = dict.fromkeys(["zone", "parameters", *(["left after"] if summary.left else [])], "Int64")
    table = pd.DataFrame(rows).astype(whole)
    return table.sort_values(value_column(metric), ascending=not metric.maximized, kind="stable", ignore_index=True)


def slice_of(
    summary: MapSummary, values: npt.NDArray[np.float64], x: str, y: str, mode: Mode = "best"
) -> npt.NDArray[np.float64]:
    """``values`` of the whole map over two axes, shape (values of y, values of x).

    Args:
        summary: determines where the other axes are held.
        values: one per cell, shape ``summary.shape``.
        x, y: the axes drawn to the right and upwards.
        mode: hold the other axes at the best point, or average over them (over the cells that are known).
    """
    names = list(summary.space.names)
    others = [name for name in names if name not in (x, y)]
    if mode == "average" and others:
        places = tuple(names.index(name) for name in others)
        known = np.isfinite(values)
        total = np.where(known, values, 0.0).sum(axis=places)
        count = known.sum(axis=places)
        plane = np.where(count > 0, total / np.maximum(count, 1), math.nan)
    else:
        drawn = (names.index(x), names.index(y))
        plane = values[tuple(slice(None) if i in drawn else at for i, at in enumerate(summary.held_at))]
    return plane.T if names.index(x) < names.index(y) else plane


def zones_table(results: SearchResults) -> pd.DataFrame:
    """One row per zone, best first."""
    return pd.DataFrame(
        [
            {
                "zone": zone.number,
                **zone.peak,
                value_column(results.metric): zone.value,
                "standard error": zone.se,
                "with neighbours": zone.smoothed,
                "cells": len(zone.cells),
                **{f"interval of {name}": interval_text(interval) for name, interval in zone.intervals.items()},
                "on the rim of": ", ".join(zone.rim),
            }
            for zone in results.zones
        ]
    )


def candidates_table(results: SearchResults) -> pd.DataFrame:
    """One row per candidate."""
    column = value_column(results.metric)
    return pd.DataFrame(
        [
            {
                "zone": c.zone,
                **c.params,
                column: c.value,
                "standard error": c.se,
                "found by": c.origin,
            }
            for c in results.candidates
        ]
    )


def identity(params: Params) -> tuple[Any, ...]:
    """``params`` as a hashable key."""
    return point(params)


def interval_text(interval: Sequence[Any]) -> str:
    """``64 to 256``, or the list of choices."""
    if len(interval) == 2 and all(isinstance(end, int | float) for end in interval):
        return f"{interval[0]:.6g} to {interval[1]:.6g}"
    return ", ".join(map(str, interval))
