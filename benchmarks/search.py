"""How near search methods come to the best, on noisy surfaces. ``python -m benchmarks.search [--no-run] [--json]``.

Every method gets the same number of trainings and the same noise; what counts is the true mean of the point that it
recommends. Regret is what that lacks to the best, in units of best minus median: 0 is the best point there is, 1 a
blind pick. Seed i runs on shape i modulo the number of shapes, in every number of axes, so that any number of seeds is
a fair sample; methods are compared in pairs (same surface, same seed).

What every run trained is appended to ``--out`` as it comes and not computed again: a long measurement may be cut at any
moment, and the same runs are scored by either rule of recommending (``--rule``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.surfaces import SHAPES, Surface, make_surface
from zonesearch.benchmark.methods import method
from zonesearch.benchmark.problem import FunctionProblem
from zonesearch.benchmark.recommending import RULES, recommend
from zonesearch.benchmark.searching import search
from zonesearch.core.trials import Params, Training, Trial

METHODS = ("strong", "surrogate", "coordinate", "grid+interval", "tpe", "random", "gp")
OTHERS = ("gp", "tpe", "coordinate", "grid+interval", "random")
"""What every method is compared with in pairs."""

STOCK = ("gp", "tpe", "random", "qmc", "cmaes")
"""Samplers of Optuna as they come. They do not know the budget, so one run answers for all smaller ones."""


@dataclass(frozen=True)
class Run:
    """One run of one method.

    Args:
        surface, method, seed, budget: which.
        trained: points, seeds and accuracies in the order in which they came; no accuracy where a training diverged.
        zones: the peaks that it handed on at its end.
        seconds: that all its decisions took together.
    """

    surface: str
    method: str
    seed: int
    budget: int
    trained: list[tuple[dict[str, Any], int, float | None]]
    zones: list[dict[str, Any]]
    seconds: float

    @property
    def task(self) -> tuple[str, str, int, int]:
        return self.method, self.surface, self.seed, self.budget

    @property
    def trials(self) -> list[Trial]:
        return [
            Trial(Training(params, seed), "diverged" if accuracy is None else "complete", accuracy)
            for params, seed, accuracy in self.trained
        ]


@dataclass(frozen=True)
class Watched:
    """A problem that keeps what it was asked, in order."""

    problem: FunctionProblem
    lost: Callable[[Params], bool]
    came: list[Trial] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.problem, name)

    def answer(self, trainings: Sequence[Training], repeat: int) -> list[Trial]:
        trials = [
            Trial(trial.training, state="diverged") if self.lost(trial.params) else trial
            for trial in self.problem.answer(trainings, repeat)
        ]
        self.came.extend(trials)
        return trials


def run(name: str, surface: Surface, seed: int, budget: int) -> Run:
    """One search by the method called ``name``."""
    watched = Watched(
        FunctionProblem(surface.name, surface.space, surface.mean, surface.sd, surface.best), surface.lost
    )
    found = search(method(name), watched, budget=budget, repeat=seed, rule="observed", at=(budget,))  # type: ignore[arg-type]
    trained = [(dict(trial.params), trial.seed, trial.accuracy) for trial in watched.came]
    return Run(surface.name, name, seed, budget, trained, [dict(zone) for zone in found.zones], found.seconds)


def tasks(
    methods: Sequence[str], shapes: Sequence[str], axes: Sequence[int], seeds: Sequence[int], budgets: Sequence[int]
) -> Iterator[tuple[str, str, int, int]]:
    """What is to be run, seed by seed: method, surface, seed, budget."""
    for seed in seeds:
        for n in axes:
            for name in methods:
                for budget in [max(budgets)] if name in STOCK else budgets:
                    yield name, f"{shapes[seed % len(shapes)]}-{n}#{seed}", seed, budget


def read(path: Path) -> list[Run]:
    """What was measured before; a torn last line is left out."""
    runs = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            runs.append(Run(**json.loads(line)))
        except (json.JSONDecodeError, TypeError):
            continue
    return runs


@dataclass(frozen=True)
class Score:
    """What a run came to.

    Args:
        regret: of the recommended point, at ``budget``.
        found: share of the known peaks in which a reported point lies: a zone that was handed on, or the one
            recommended point of a sampler.
        ms: wall time per suggestion in milliseconds, without the trainings.
    """

    axes: int
    budget: int
    method: str
    surface: str
    seed: int
    regret: float
    found: float
    ms: float


def score(runs: Sequence[Run], budgets: Sequence[int], rules: Mapping[str, str]) -> Iterator[Score]:
    """Every run at its budget, those of samplers at smaller ones too; ``rules`` by method, else ``observed``."""
    for one in runs:
        surface = make_surface(one.surface)
        rule = rules.get(one.method, "observed")
        for budget in [b for b in budgets if b <= one.budget] if one.method in STOCK else [one.budget]:
            if budget not in budgets:
                continue
            point = recommend(surface.space, one.trials[:budget], rule)
            if point is None:
                continue
            reported: list[Params] = [point] if one.method in STOCK else [point, *one.zones]
            hit = [any(surface.covers(p, i) for p in reported) for i in range(len(surface.peaks))]
            ms = 1e3 * one.seconds / max(1, len(one.trained))
            n_axes = len(surface.space.axes)
            yield Score(n_axes, budget, one.method, one.surface, one.seed, surface.regret(point), np.mean(hit), ms)


def table(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """One row per number of axes, budget and method: mean regret with its standard error, and paired tests.

    ``vs_gp``, ``vs_tpe`` and so on: mean difference of regret (negative: better than it), and the two-sided p of a
    paired t-test over the runs that both have. ``all_peaks``: share of the runs on surfaces with several equal peaks
    in which each of them was reported.
    """
    by: dict[tuple[int, int, str], dict[tuple[str, int], Score]] = {}
    for s in scores:
        by.setdefault((s.axes, s.budget, s.method), {})[s.surface, s.seed] = s
    rows = []
    for (axes, budget, name), found in sorted(by.items()):
        regrets = np.array([s.regret for s in found.values()])
        several = [s.found == 1.0 for s in found.values() if s.surface.startswith("peaks")]
        rows.append(
            {
                "axes": axes,
                "budget": budget,
                "method": name,
                "n": len(regrets),
                "regret": float(regrets.mean()),
                "se": float(regrets.std(ddof=1) / np.sqrt(len(regrets))) if len(regrets) > 1 else None,
                "median": float(np.median(regrets)),
                "all_peaks": float(np.mean(several)) if several else None,
                "n_several": len(several),
                "ms": float(np.mean([s.ms for s in found.values()])),
                **{
                    f"vs_{other}": _paired(found, by.get((axes, budget, other), {})) if other != name else None
                    for other in OTHERS
                },
            }
        )
    return rows


def _paired(mine: Mapping[Any, Score], other: Mapping[Any, Score]) -> dict[str, float] | None:
    both = sorted(set(mine) & set(other))
    if len(both) < 3:
        return None
    difference = np.array([mine[k].regret - other[k].regret for k in both])
    p = float(stats.ttest_1samp(difference, 0.0).pvalue) if np.ptp(difference) > 0 else 1.0
    mean_other = float(np.mean([other[k].regret for k in both]))
    return {
        "n": len(both),
        "difference": float(difference.mean()),
        "p": p,
        "ratio": float(np.mean([mine[k].regret for k in both])) / mean_other if mean_other > 0 else float("nan"),
    }


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table for people."""
    lines = [
        "| axes | trainings | method | n | mean regret | against GPSampler | against TPE | against coordinate | "
        "all peaks | ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        pairs = []
        for other in ("gp", "tpe", "coordinate"):
            pair = row[f"vs_{other}"]
            text = f"{pair['difference']:+.3f} (×{pair['ratio']:.2f}, p {pair['p']:.2g}, n {pair['n']})" if pair else ""
            pairs.append(text)
        regret = f"{row['regret']:.3f}" + ("" if row["se"] is None else f" ± {row['se']:.3f}")
        peaks = "" if row["all_peaks"] is None else f"{row['all_peaks']:.0%} of {row['n_several']}"
        lines.append(
            f"| {row['axes']} | {row['budget']} | {row['method']} | {row['n']} | {regret} | "
            + " | ".join(pairs)
            + f" | {peaks} | {row['ms']:.1f} |"
        )
    return "\n".join(lines)


def pivot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Mean regret with its standard error, one column per method; in brackets p of the pairs with the first one."""
    methods = sorted({row["method"] for row in rows}, key=METHODS.index)
    first = methods[0]
    lines = [f"| axes | trainings | n | {' | '.join(methods)} |", "| --- | --- | --- |" + " --- |" * len(methods)]
    for axes, budget in sorted({(row["axes"], row["budget"]) for row in rows}):
        found = {row["method"]: row for row in rows if (row["axes"], row["budget"]) == (axes, budget)}
        cells = []
        for name in methods:
            row = found.get(name)
            pair = found.get(first, {}).get(f"vs_{name}")
            p = f" ({pair['p']:.2g})" if pair else ""
            cells.append("" if row is None else f"{row['regret']:.3f} ± {row['se'] or 0:.3f}{p}")
        n = max(row["n"] for row in found.values())
        lines.append(f"| {axes} | {budget} | {n} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--axes", default="2,3,4,7")
    parser.add_argument("--budgets", default="25,50,100")
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--first-seed", type=int, default=0, help="tune on other seeds than those you report")
    parser.add_argument("--rule", choices=sorted(RULES), help="how all methods recommend; default: see docs")
    parser.add_argument("--out", type=Path, nargs="+", default=[Path("search-benchmark.jsonl")], help="first: written")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--no-run", action="store_true", help="only print what --out holds")
    wanted = parser.parse_args()
    runs = [one for path in wanted.out for one in read(path)]
    done = {one.task for one in runs}
    axes, budgets = ([int(n) for n in text.split(",")] for text in (wanted.axes, wanted.budgets))
    seeds = range(wanted.first_seed, wanted.first_seed + wanted.seeds)
    methods = wanted.methods.split(",")
    todo = tasks(methods, wanted.shapes.split(","), axes, seeds, budgets)
    for task in () if wanted.no_run else todo:
        if task in done:
            continue
        name, surface, seed, budget = task
        runs.append(run(name, make_surface(surface), seed, budget))
        with wanted.out[0].open("a") as file:
            file.write(json.dumps(vars(runs[-1])) + "\n")
    rule = dict.fromkeys(methods, wanted.rule) if wanted.rule else OWN_RULES
    chosen = [one for one in runs if one.method in methods and one.seed in seeds]
    rows = table([s for s in score(chosen, budgets, rule) if s.axes in axes])
    print(json.dumps(rows, indent=2) if wanted.json else f"{pivot(rows)}\n\n{markdown(rows)}")


OWN_RULES = {"strong": "posterior", "surrogate": "posterior"}
"""As each method comes: these recommend by posterior mean, all others their best observation."""


if __name__ == "__main__":
    main()
