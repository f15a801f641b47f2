"""Objectives without noise: what the stages of "auto", ``ZoneSampler`` and TPE find with equally many trainings.

``python -m benchmarks.exact --seeds 1200-1215 --axes 2,3 --trainings 50,100``: surfaces by seed, as they are without
noise, so that a repeat of a point is a wasted training. ``auto`` gets the trainings as its budget, and its regret is
that of the point that the verdict recommends; of the others it is that of the best point that they tried. 0 is the best
there is, 1 a blind pick.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna

import zonesearch
from benchmarks.surfaces import SHAPES, Surface, make_surface
from zonesearch import ZoneSampler
from zonesearch.optuna.space import distribution_of


def by_sampler(surface: Surface, sampler: Any, budgets: Sequence[int]) -> list[float]:
    """The regret of the best point tried, after each number of trials."""
    given = {axis.name: distribution_of(axis) for axis in surface.space.axes}
    study = optuna.create_study(direction="maximize", sampler=sampler)
    regrets: list[float] = []
    for _ in range(max(budgets)):
        trial = study.ask()
        params = {name: trial._suggest(name, distribution) for name, distribution in given.items()}
        study.tell(trial, surface(params, 0))
        regrets.append(surface.regret(params))
    return [min(regrets[:n]) for n in budgets]


def by_budget(surface: Surface, n: int, seed: int) -> tuple[float, int, int]:
    """The regret of the verdict's recommendation, the number of trainings, and at how many points."""
    result = zonesearch.run_pipeline(surface.space, objective=surface, budget={"trainings": n}, seed=seed)
    assert result.verdict is not None
    assert result.verdict.recommended is not None
    points = {tuple(sorted(trial.params.items())) for trial in result.trials}
    return surface.regret(result.verdict.recommended.finalist.params), len(result.trials), len(points)


def row(n_axes: int, seed: int, budgets: Sequence[int], methods: Sequence[str]) -> dict[str, Any]:
    """The regrets of one surface, by method and number of trainings."""
    surface = replace(make_surface(f"{tuple(SHAPES)[seed % len(SHAPES)]}-{n_axes}#{seed}"), sd=0.0)
    found: dict[str, Any] = {"axes": n_axes, "seed": seed}
    samplers = {"ZoneSampler": ZoneSampler(seed=seed), "tpe": optuna.samplers.TPESampler(seed=seed)}
    for method in methods:
        if method == "auto":
            each = [by_budget(surface, n, seed) for n in budgets]
            found[method] = [regret for regret, _, _ in each]
            found["trained"] = [used for _, used, _ in each]
            found["points"] = [points for _, _, points in each]
        else:
            found[method] = by_sampler(surface, samplers[method], budgets)
    return found


def table(rows: Sequence[dict[str, Any]], budgets: Sequence[int], methods: Sequence[str]) -> list[str]:
    """One line per number of axes and of trainings: mean regret, and on how many surfaces it is at most that of TPE."""
    lines = [f"| axes | trainings | surfaces | {' | '.join(methods)} |", "| --- " * (3 + len(methods)) + "|"]
    groups: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for each in rows:
        groups[each["axes"]].append(each)
    for n_axes, group in sorted(groups.items()):
        for i, n in enumerate(budgets):
            cells = []
            for method in methods:
                values = np.array([each[method][i] for each in group])
                cell = f"{values.mean():.5f}"
                if "tpe" in methods and method != "tpe":
                    cell += f" ({sum(values <= [each['tpe'][i] for each in group])} of {len(group)})"
                cells.append(cell)
            lines.append(f"| {n_axes} | {n} | {len(group)} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1200-1215", help="first-last")
    parser.add_argument("--axes", default="2,3,4,5")
    parser.add_argument("--trainings", default="50,100")
    parser.add_argument("--methods", default="auto,ZoneSampler,tpe")
    parser.add_argument("--out", type=Path, default=Path("exact.jsonl"), help="results, which are not computed again")
    wanted = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    first, last = map(int, wanted.seeds.split("-"))
    budgets, methods = [int(n) for n in wanted.trainings.split(",")], wanted.methods.split(",")
    rows = [json.loads(line) for line in wanted.out.read_text().splitlines()] if wanted.out.exists() else []
    done = {(each["axes"], each["seed"]) for each in rows}
    for seed in range(first, last + 1):
        for n_axes in map(int, wanted.axes.split(",")):
            if (n_axes, seed) not in done:
                rows.append(row(n_axes, seed, budgets, methods))
                with wanted.out.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    print("\n".join(table(rows, budgets, methods)))


if __name__ == "__main__":
    main()
