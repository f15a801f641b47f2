"""How many trainings a search needs on a recorded map until what it recommends is as good as the plain grid's choice.

The plain grid trains every cell once and takes the best one. Searches replay the recorded map: they are asked for a
recommendation after 2, 4, ... trainings, and what it is worth is the mean of its recorded seeds. A method has reached
the plain grid at the first number of trainings from which on its mean regret stays no larger, or no larger by more than
``NEAR`` points, which is less than two repeats of a cell differ by.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.pictures import Array, mean_interval
from zonesearch.benchmark.methods import methods
from zonesearch.benchmark.recorded import RecordedMap
from zonesearch.benchmark.searching import compare

__all__ = ["Replayed", "reach_table", "read_contest", "replay", "write_contest"]

METHODS = "strong,grid+interval,tpe,random"
NEAR = 0.05
"""Points of accuracy."""
_RESAMPLES = 1000
_ROUNDING = 1e-4  # of the file


@dataclass(frozen=True)
class Replayed:
    """Searches on one map.

    Args:
        n_cells: of the map; ``n_seeds`` recorded seeds of each.
        plain: regret of the plain grid's choice, one for each recorded seed, in points.
        at: numbers of trainings.
        regrets: by method, shape (n_searches, len(at)), in points.
    """

    n_cells: int
    n_seeds: int
    plain: tuple[float, ...]
    at: tuple[int, ...]
    regrets: dict[str, Array]


def replay(recorded: RecordedMap, names: str = METHODS, n_searches: int = 20, workers: int = 1) -> Replayed:
    """Search by each method so many times, with as many trainings as the map has cells."""
    budget = len(recorded.cells)
    at = (*range(2, budget, 2), budget)
    contest = compare(recorded, methods(names), budget=budget, repeats=range(n_searches), at=at, workers=workers)
    return Replayed(
        budget,
        recorded.n_seeds,
        _plain(recorded),
        at,
        {name: 100 * contest.regrets(name) for name in contest.methods},
    )


def _plain(recorded: RecordedMap) -> tuple[float, ...]:
    """For each recorded seed: how much the best cell of its map is worse than the best cell of all."""
    found = []
    for seed in range(recorded.n_seeds):
        values = [recorded.reading(cell.curves[seed], recorded.metric) for cell in recorded.cells]
        best = max(range(len(values)), key=lambda i: recorded.metric.score(values[i]))
        found.append(100 * abs(recorded.best - float(recorded.means[best])))
    return tuple(found)


def reached(regrets: Array, at: tuple[int, ...], target: float) -> float:
    """The first of ``at`` from which on the mean regret stays at ``target`` or below; infinite when it never does."""
    above = np.flatnonzero(regrets.mean(axis=0) > target)
    if not len(above):
        return float(at[0])
    return float(at[above[-1] + 1]) if above[-1] + 1 < len(at) else math.inf


def reach_table(found: Replayed) -> str:
    """As a Markdown table; intervals by resampling searches."""
    target = float(np.mean(found.plain))
    when = f"trainings until as good as the plain grid | ... or {NEAR:g} points worse"
    rows = [f"| method | {when} | regret at the end, points | searches |", "| --- | --- | --- | --- | --- |"]
    rows.append(f"| plain grid, one seed | {found.n_cells} | {found.n_cells} | {target:.3f} | {found.n_seeds} |")
    for name, regrets in found.regrets.items():
        n = len(regrets)
        exact, near = (_when(regrets, found, target + more) for more in (0.0, NEAR))
        rows.append(f"| {name} | {exact} | {near} | {mean_interval(regrets[:, -1]).text(3)} | {n} |")
    return "\n".join(rows)


def _when(regrets: Array, found: Replayed, target: float) -> str:
    rng = np.random.default_rng(0)
    n = len(regrets)
    drawn = [reached(regrets[rng.integers(n, size=n)], found.at, target + _ROUNDING) for _ in range(_RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    when = reached(regrets, found.at, target + _ROUNDING)
    return f"{_count(when, found)} ({_count(low, found)} to {_count(high, found)})"


def _count(n: float, found: Replayed) -> str:
    return f"{n:.0f}" if math.isfinite(n) else f"more than {found.at[-1]}"


def write_contest(found: Replayed, path: Path) -> None:
    """As JSON, to a tenth of a thousandth of a point."""
    table = {
        "n_cells": found.n_cells,
        "n_seeds": found.n_seeds,
        "plain": [round(value, 4) for value in found.plain],
        "at": found.at,
        "regrets": {name: np.round(regrets, 4).tolist() for name, regrets in found.regrets.items()},
    }
    path.write_text(json.dumps(table, separators=(",", ":")).replace(']],"', ']],\n"') + "\n", encoding="utf-8")


def read_contest(path: Path) -> Replayed:
    """What :func:`write_contest` wrote."""
    table = json.loads(path.read_text(encoding="utf-8"))
    regrets = {name: np.array(values) for name, values in table["regrets"].items()}
    return Replayed(table["n_cells"], table["n_seeds"], tuple(table["plain"]), tuple(table["at"]), regrets)
