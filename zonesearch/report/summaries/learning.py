"""Learning curves: the metric and the learning rate by epoch, per schedule."""

from __future__ import annotations

import numpy as np
import pandas as pd

from zonesearch.core.trials import Params, Trial
from zonesearch.report.summaries.columns import value_column
from zonesearch.statistics.search_results import SearchResults

__all__ = ["curves_of", "own_schedule", "schedules_at", "shown_points"]

_MOST_POINTS = 12


def own_schedule(results: SearchResults) -> str:
    """The schedule of trainings that do not name one."""
    settings = (record.settings.get("own_schedule") for record in results.stages)
    return str(next((name for name in settings if name), "constant"))


def shown_points(results: SearchResults) -> list[Params]:
    """The points whose curves are shown: the recommended finalist, the other finalists, the candidates."""
    chosen = results.verdict.recommended if results.verdict else None
    points: list[Params] = [chosen.finalist.params] if chosen else []
    points += [finalist.params for finalist in results.finalists]
    points += [candidate.params for candidate in results.candidates]
    points += [zone.peak for zone in results.zones]
    bare: list[Params] = [
        {name: p[name] for name in results.space.names if name in p and name != "schedule"} for p in points
    ]
    return list({tuple(sorted(p.items())): p for p in bare}.values())[:_MOST_POINTS]


def schedules_at(results: SearchResults, point: Params) -> dict[str, Params]:
    """The schedules under which ``point`` was trained, with the full parameters of each; the study's own first."""
    names = results.trials.values_along(point, "schedule")
    own = {own_schedule(results): point} if results.trials.of(point) else {}
    return own | {str(name): {**point, "schedule": name} for name in names if not str(name).startswith("sweep(")}


def curves_of(results: SearchResults, params: Params) -> pd.DataFrame:
    """The curves at ``params`` over all seeds: epoch, mean (called after the metric), lowest, highest, seeds, learning
    rate.

    Shorter curves (early stops, running trainings) count up to their end. Empty if no curve was recorded.
    """
    found = [t for t in results.trials.of(params) if t.complete and len(t.validation_curve) > 1]
    if not found:
        return pd.DataFrame()
    values = _padded(found, "validation_accuracy")
    known = np.isfinite(values)
    table = pd.DataFrame(
        {
            "epoch": np.arange(1, values.shape[1] + 1),
            value_column(results.metric): np.nanmean(values, axis=0),
            "lowest": np.nanmin(values, axis=0),
            "highest": np.nanmax(values, axis=0),
            "seeds": known.sum(axis=0),
        }
    )
    if all(len(t.curve.get("learning_rate", ())) == len(t.validation_curve) for t in found):
        table["learning rate"] = np.nanmean(_padded(found, "learning_rate"), axis=0)
    return table


def _padded(trials: list[Trial], name: str) -> np.ndarray:
    """One row per trial, padded with NaN after its end."""
    rows = [trial.curve[name] for trial in trials]
    padded = np.full((len(rows), max(map(len, rows))), np.nan)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded
