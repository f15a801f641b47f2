"""The numbers behind the pictures, as tables: computed here, tested, and drawn elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from zonesearch.domain.axes import Axis
from zonesearch.domain.findings import Findings
from zonesearch.domain.noise import Cell, Noise, map_cells, measure_noise
from zonesearch.domain.trials import Params, Trial
from zonesearch.domain.wording import point_text
from zonesearch.domain.zones import Zone

__all__ = [
    "candidates_table",
    "cells_table",
    "cost_table",
    "curves",
    "finalists_table",
    "interval_lines",
    "map_noise",
    "map_slice",
    "provenance_table",
    "zones_table",
]


def cells(findings: Findings) -> list[Cell]:
    """The cells of the coarse grid, those that did not come back too."""
    return map_cells(
        findings.space.grid(),
        findings.trials,
        seeds=findings.map_seeds,
        epochs=findings.epochs,
        reading=findings.reading,
    )


def map_noise(findings: Findings) -> Noise:
    """The noise of the coarse map."""
    return measure_noise(cells(findings), findings.space)


def cells_table(findings: Findings) -> pd.DataFrame:
    """One row per cell of the grid: params, mean accuracy, standard error, seeds, lost seeds, zone (0: none)."""
    grid = cells(findings)
    noise = measure_noise(grid, findings.space)
    zone_of = {_identity(cell): zone.number for zone in reversed(findings.zones) for cell in zone.cells}
    return pd.DataFrame(
        [
            {
                **cell.params,
                "accuracy": cell.mean,
                "standard_error": noise.se(cell) if cell.values else math.nan,
                "seeds": len(cell.values),
                "lost": cell.n_lost,
                "zone": zone_of.get(_identity(cell.params), 0),
                "n_parameters": cell.n_parameters,
            }
            for cell in grid
        ]
    )


def map_slice(findings: Findings, x: str, y: str) -> pd.DataFrame:
    """The cells over the axes ``x`` and ``y``, all other axes at the best cell (or the first value of their rows)."""
    table = cells_table(findings)
    others = [name for name in findings.space.names if name not in (x, y)]
    for name, value in fixed_at(findings, others).items():
        table = table[table[name] == value]
    return table.reset_index(drop=True)


def fixed_at(findings: Findings, names: Sequence[str]) -> dict[str, Any]:
    """Where axes that are not drawn are held: at the peak of the first zone, else at the first value of the row."""
    peak = findings.zones[0].peak if findings.zones else {}
    return {name: peak.get(name, findings.space[name].row()[0]) for name in names}


def zones_table(findings: Findings) -> pd.DataFrame:
    """One row per zone, best first."""
    return pd.DataFrame(
        [
            {
                "zone": zone.number,
                **zone.peak,
                "accuracy": zone.value,
                "standard_error": zone.se,
                "smoothed": zone.smoothed,
                "cells": len(zone.cells),
                **{f"{name} from..to": _interval_text(interval) for name, interval in zone.intervals.items()},
                "on the rim of": ", ".join(zone.rim),
            }
            for zone in findings.zones
        ]
    )


def candidates_table(findings: Findings) -> pd.DataFrame:
    """One row per candidate."""
    return pd.DataFrame(
        [
            {"zone": c.zone, **c.params, "accuracy": c.value, "standard_error": c.se, "found by": c.origin}
            for c in findings.candidates
        ]
    )


def interval_lines(findings: Findings) -> list[tuple[Zone, str, pd.DataFrame]]:
    """For each zone and numeric axis the points on its interval: value, accuracy, low, high (95 % of the noise).

    Lines with fewer than two points are left out.
    """
    lines = []
    z = float(stats.norm.ppf(0.975))
    for zone in findings.zones:
        for axis in findings.space.axes:
            if not isinstance(axis, Axis):
                continue
            low, high = zone.intervals[axis.name]
            values = [v for v in findings.trials.values_along(zone.peak, axis.name) if low <= v <= high]  # type: ignore[operator]
            points = map_cells(
                [{**zone.peak, axis.name: value} for value in values],
                findings.trials,
                seeds=findings.map_seeds,
                epochs=findings.epochs,
                reading=findings.reading,
            )
            noise = measure_noise(points)
            rows = [
                {
                    "value": cell.params[axis.name],
                    "accuracy": cell.mean,
                    "low": cell.mean - z * noise.se(cell),
                    "high": cell.mean + z * noise.se(cell),
                }
                for cell in points
                if cell.values
            ]
            if len(rows) > 1:
                lines.append((zone, axis.name, pd.DataFrame(rows)))
    return lines


def curves(findings: Findings, params: Params) -> pd.DataFrame:
    """The learning curves at ``params`` averaged over all seeds: epoch and the mean of each recorded quantity."""
    found = [trial for trial in findings.trials.of(params) if trial.complete and trial.follows_epochs]
    if not found:
        return pd.DataFrame()
    length = min(trial.epochs for trial in found)
    names = [name for name in found[0].curve if all(len(t.curve.get(name, ())) >= length for t in found)]
    means = {name: np.mean([trial.curve[name][:length] for trial in found], axis=0) for name in names}
    return pd.DataFrame({"epoch": np.arange(1, length + 1), **means})


def schedules_of(findings: Findings, params: Params) -> dict[str, Params]:
    """The schedules under which the point ``params`` was trained, with the full parameters of each."""
    bare = {name: params[name] for name in findings.space.names}
    names = findings.trials.values_along(bare, "schedule")
    found: dict[str, Params] = {"constant": bare} if findings.trials.of(bare) else {}
    if "schedule" not in bare:
        found |= {str(name): {**bare, "schedule": name} for name in names}
    return found


def finalists_table(findings: Findings) -> pd.DataFrame:
    """One row per finalist by falling mean on fresh seeds; empty before the verdict."""
    if findings.verdict is None:
        return pd.DataFrame()
    recommended = findings.verdict.recommended
    return pd.DataFrame(
        [
            {
                "finalist": point_text(bare(findings, s.finalist.params), s.finalist.schedule),
                "zone": s.finalist.zone,
                "mean": s.mean,
                "±": s.half_width,
                "sd": s.sd,
                "test set": "" if s.test_interval is None else f"{s.test_interval[0]:.4f}..{s.test_interval[1]:.4f}",
                "p": s.p_value,
                "differs": "yes" if s.differs else "no",
                "when chosen": s.finalist.selected,
                "fresh": s.fresh_validation,
                "optimism": s.optimism,
                "parameters": s.n_parameters,
                "seconds": s.seconds,
                "recommended": "yes" if s is recommended else "",
            }
            for s in findings.verdict.standings
        ]
    )


def cost_table(findings: Findings) -> pd.DataFrame:
    """One row per stage: wanted, done, diverged, failed, missing, epochs, seconds of training. First come, first named:
    a training that two stages want counts for the first.
    """
    seen: set[Any] = set()
    rows = []
    for record in findings.stages:
        mine = [training for training in record.wanted if training.identity not in seen]
        seen.update(training.identity for training in mine)
        back = [trial for training in mine if (trial := findings.trials.get(training)) is not None]
        states = [trial.state for trial in back]
        rows.append(
            {
                "stage": record.name,
                "trainings": len(mine),
                "done": len(back),
                "missing": len(mine) - len(back),
                "diverged": states.count("diverged"),
                "failed": states.count("failed"),
                "epochs": sum(trial.epochs for trial in back),
                "seconds": math.fsum(trial.seconds for trial in back),
                "state": "finished" if record.finished else "under way" if record.wanted else "not begun",
            }
        )
    return pd.DataFrame(rows)


def provenance_table(findings: Findings) -> pd.DataFrame:
    """What ran where: one row per distinct machine, device, precision and set of versions, with its trainings."""
    groups: dict[tuple[tuple[str, str], ...], list[Trial]] = {}
    for trial in findings.trials:
        where = {k: str(v) for k, v in trial.provenance.items() if k not in ("started", "worker")}
        groups.setdefault(tuple(sorted(where.items())), []).append(trial)
    rows = [
        {**dict(where), "trainings": len(trials), "seconds": math.fsum(t.seconds for t in trials)}
        for where, trials in sorted(groups.items())
    ]
    return pd.DataFrame(rows)


def bare(findings: Findings, params: Params) -> dict[str, Any]:
    """The parameters of the space alone, in its order."""
    return {name: params[name] for name in findings.space.names if name in params}


def _identity(params: Params) -> tuple[Any, ...]:
    return tuple(sorted(params.items()))


def _interval_text(interval: Sequence[Any]) -> str:
    if len(interval) == 2 and all(isinstance(end, int | float) for end in interval):
        return f"{interval[0]:.6g}..{interval[1]:.6g}"
    return ", ".join(map(str, interval))
