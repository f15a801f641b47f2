"""What asking for several trainings at a time costs: ``ZoneSampler`` one by one, and with several under way.

``python -m benchmarks.parallel_asks --seeds 1100-1131 --axes 2,4 --parallel 1,4,8``: the same surfaces (or, with
``--maps``, recorded maps) and the same noise for all; what counts is the regret at equal numbers of trainings, in units
of best minus median, of the point with the highest posterior mean. Trainings come back in rounds (all of them, then all
are asked for anew); or, ``--rolling``, one by one in the order in which they began, each followed by one ask: then what
comes back last is always missing; or, ``--uneven``, one by one as workers run whose trainings last unequally long
(lognormal, half of them between 0.7 and 1.4 times the median), and then the first to come back count.

On recorded maps, every training draws one of the cell's recorded seeds with replacement. ``--replayed`` uses each of
them once before any is used again: then ten repeats of a point reveal the mean of its ten recorded seeds, which counts
as the truth, noise included.

What every search trained is appended to ``--out`` as it comes and not computed again. The ratio is that of the mean
regrets, with an interval by a bootstrap over searches, in pairs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks.surfaces import SHAPES, make_surface
from zonesearch import ZoneSampler
from zonesearch.benchmark.problem import FunctionProblem, Problem
from zonesearch.benchmark.recommending import recommend
from zonesearch.benchmark.recording import read_map
from zonesearch.core.trials import Params, Training, Trial
from zonesearch.optuna.space import distribution_of

_RESAMPLED = 4000
_UNEVEN = 0.5  # standard deviation of the log of how long a training lasts


@dataclass(frozen=True)
class Asked:
    """One search.

    Args:
        problem: a surface by name, or the path of a recorded map.
        seed: of the sampler and of the noise.
        parallel: that many are under way at a time; ``rolling`` where they come back one by one.
        trained: points with what came of them, in the order in which they came back; None where one diverged.
        ms: processor time of one ask.
        replayed: whether recorded seeds were drawn without replacement.
        uneven: whether trainings last unevenly and come back one by one.
    """

    problem: str
    seed: int
    parallel: int
    rolling: bool
    trained: list[tuple[dict[str, Any], float | None]]
    ms: float
    replayed: bool = True
    uneven: bool = False

    @property
    def task(self) -> tuple[str, int, int, bool, bool, bool]:
        return self.problem, self.seed, self.parallel, self.rolling, self.replayed, self.uneven

    @property
    def mode(self) -> tuple[int, str]:
        """How many were under way, and how they came back."""
        return self.parallel, "uneven" if self.uneven else "rolling" if self.rolling else ""


@cache
def make_problem(name: str, replayed: bool = True) -> Problem:
    """The surface of that name, or the recorded map at that path."""
    if name.endswith(".json"):
        return replace(read_map(name), with_replacement=not replayed)
    surface = make_surface(name)
    return FunctionProblem(surface.name, surface.space, surface.mean, surface.sd, surface.best, surface.median)


def ask(
    name: str, seed: int, parallel: int, n: int, *, rolling: bool = False, replayed: bool = False, uneven: bool = False
) -> Asked:
    """``n`` trainings, ``parallel`` of them under way at a time."""
    problem = make_problem(name, replayed)
    given = {axis.name: distribution_of(axis) for axis in problem.space.axes}
    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(seed=seed))
    visits: Counter[Any] = Counter()
    trained: list[tuple[dict[str, Any], float | None]] = []
    running: list[tuple[float, optuna.Trial, dict[str, Any]]] = []
    lasting = np.random.default_rng([seed, 5])
    seconds, now, n_begun = 0.0, 0.0, 0
    while len(trained) < n:
        begun = time.process_time()
        trials = [study.ask() for _ in range(min(parallel - len(running), n - n_begun))]
        for trial in trials:
            params = {axis: trial._suggest(axis, distribution) for axis, distribution in given.items()}
            ends = now + float(lasting.lognormal(0.0, _UNEVEN)) if uneven else float(trial.number)
            running.append((ends, trial, params))
        seconds += time.process_time() - begun
        n_begun += len(trials)
        running.sort(key=lambda one: (one[0], one[1].number))
        for _ in range(1 if (rolling or uneven) and n_begun < n else len(running)):
            now, trial, params = running.pop(0)
            training = Training(params, visits[Training(params).identity[0]], problem.epochs)
            visits[training.identity[0]] += 1
            [found] = problem.answer([training], seed)
            trained.append((params, found.accuracy))
            study.tell(trial, found.accuracy, state=None if found.complete else optuna.trial.TrialState.FAIL)
    return Asked(name, seed, parallel, rolling, trained, 1e3 * seconds / n, replayed, uneven)


def regret(one: Asked, n: int) -> float:
    """After the first ``n`` trainings, of the point with the highest posterior mean: 0 is best, 1 a blind pick."""
    problem = make_problem(one.problem)
    visits: Counter[Any] = Counter()
    trials = []
    for params, accuracy in one.trained[:n]:
        training = Training(params, visits[Training(params).identity[0]], problem.epochs)
        visits[training.identity[0]] += 1
        trials.append(Trial(training, "diverged" if accuracy is None else "complete", accuracy))
    return _lacking(problem, recommend(problem.space, trials))


def _lacking(problem: Problem, point: Params | None) -> float:
    truths = problem.truths([] if point is None else [point])
    return 1.0 if point is None else (truths.best - truths.values[0]) / (truths.best - truths.median)


def read(path: Path) -> list[Asked]:
    """What was measured before; a torn last line is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(Asked(**json.loads(line)))
        except (json.JSONDecodeError, TypeError):
            continue
    return found


def ratio(mine: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """Mean of the one by mean of the other, and the ends of its 95 % interval; both by search, in one order."""
    a, b = np.array(mine), np.array(other)
    drawn = np.random.default_rng(0).integers(len(a), size=(_RESAMPLED, len(a)))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(a[drawn].any(axis=1), a[drawn].mean(axis=1) / b[drawn].mean(axis=1), 0.0)
        low, high = np.quantile(ratios, [0.025, 0.975], method="nearest")
        return float(np.divide(a.mean(), b.mean())), float(low), float(high)


def table(found: Sequence[Asked], budgets: Sequence[int]) -> list[str]:
    """One row per kind of problem and number of trainings."""
    modes = sorted({one.mode for one in found})
    titles = [f"{k} {how}".strip() for k, how in modes]
    ratios = [f"{title} / 1" for title in titles[1:]]
    times = [f"ms {title}" for title in titles]
    lines = [
        f"| {' | '.join(['on', 'trainings', 'n', *titles, *ratios, *times])} |",
        "| --- | --- | --- |" + " --- |" * (2 * len(titles) + len(ratios)),
    ]
    kinds: dict[str, list[Asked]] = {}
    for one in found:
        kinds.setdefault(_kind(one.problem), []).append(one)
        kinds.setdefault("all maps" if one.problem.endswith(".json") else "all surfaces", []).append(one)
    for kind, members in sorted(kinds.items()):
        whole = [one for one in members if len(one.trained) >= max(budgets)]
        by: dict[Any, dict[Any, Asked]] = {}
        for one in whole:
            by.setdefault((one.problem, one.seed), {})[one.mode] = one
        pairs = [group for group in by.values() if set(group) >= set(modes)]
        for n in budgets if pairs else ():
            each = {mode: [regret(group[mode], n) for group in pairs] for mode in modes}
            cells = [_mean(each[mode]) for mode in modes]
            for mode in modes[1:]:
                middle, low, high = ratio(each[mode], each[modes[0]])
                cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
            cells += [f"{np.mean([group[mode].ms for group in pairs]):.0f}" for mode in modes]
            lines.append(f"| {kind} | {n} | {len(pairs)} | {' | '.join(cells)} |")
    return lines


def _kind(problem: str) -> str:
    return Path(problem).stem if problem.endswith(".json") else f"{problem.split('#')[0].split('-')[1]} axes"


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1100-1131", help="first-last")
    parser.add_argument("--axes", default="2,4", help="of the surfaces; empty for none")
    parser.add_argument("--maps", default="", help="recorded maps, separated by commas")
    parser.add_argument("--parallel", default="1,4,8")
    parser.add_argument("--rolling", action="store_true")
    parser.add_argument("--uneven", action="store_true", help="trainings last unequally long, and come back one by one")
    parser.add_argument("--replayed", action="store_true", help="recorded seeds of a cell without replacement")
    parser.add_argument("--trainings", default="25,50,100")
    parser.add_argument("--out", type=Path, nargs="+", default=[Path("parallel-asks.jsonl")], help="first: written")
    parser.add_argument("--no-run", action="store_true", help="only print what --out holds")
    wanted = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    first, last = map(int, wanted.seeds.split("-"))
    budgets, parallel = ([int(n) for n in text.split(",")] for text in (wanted.trainings, wanted.parallel))
    found = [one for path in wanted.out for one in read(path)]
    done = {one.task for one in found if len(one.trained) >= max(budgets)}
    for seed in range(first, last + 1) if not wanted.no_run else ():
        shape = tuple(SHAPES)[seed % len(SHAPES)]
        problems = [f"{shape}-{n}#{seed}" for n in wanted.axes.split(",") if n]
        for problem in [*problems, *(m for m in wanted.maps.split(",") if m)]:
            for k in parallel:
                rolling, uneven = wanted.rolling and k > 1, wanted.uneven and k > 1
                replayed = wanted.replayed or not problem.endswith(".json")
                if (problem, seed, k, rolling, replayed, uneven) not in done:
                    how = {"rolling": rolling, "replayed": replayed, "uneven": uneven}
                    found.append(ask(problem, seed, k, max(budgets), **how))
                    with wanted.out[0].open("a") as file:
                        file.write(json.dumps(vars(found[-1])) + "\n")
    chosen = [one for one in found if first <= one.seed <= last]
    chosen = [one for one in chosen if one.replayed == wanted.replayed or not one.problem.endswith(".json")]
    print("\n".join(table(chosen, budgets)))


if __name__ == "__main__":
    main()
