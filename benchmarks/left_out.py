"""The controller against other searches over the whole corpus, each data set left out of its prior in turn.

``python -m benchmarks.left_out run CORPUS.npz PRIORS OUT.jsonl [--jobs 7] [--seconds 400]`` searches until the time
is up; ``python -m benchmarks.left_out table OUT.jsonl ...`` sums up what came so far, of several files too. ``PRIORS``
is a folder with one prior a family, made by ``python -m benchmarks.left_out priors CORPUS.npz PRIORS``.

A unit is one method with one seed on one task. Units come seed by seed, over all tasks of all families, so that what a
run got done by its end is balanced; a line of JSON is written as each ends. What stands in ``--known`` files is not
done again. The contests: ``corpus`` (a task as it is), ``upside-down`` (its worst setting is looked for, which is as
wrong as a prior can be) and ``map`` (recorded maps of real trainings, read as they are). Surfaces, noise and regret are
those of :mod:`benchmarks.controller`.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import optuna

import benchmarks.controller
import zonesearch.search.controller.stage as controller_stage
from benchmarks.controller import BUDGETS, Params, Surface, methods
from controller.recorded import CorpusTask, read_corpus
from controller.shapes import draw
from controller.train import train
from zonesearch.benchmark.recording import read_map
from zonesearch.core.trials import Training
from zonesearch.search.controller.prior import load_prior

Array = npt.NDArray[np.float64]

QUICK = ("controller", "strong", "tpe", "random")
GIVEN = "controller, optimizer given"
"""Told the task's optimizer, as every study tells it; only where it is asked for."""
MAPS = {"digits": "digits", "digits_rates": "digits", "mnist_full": "mnist", "mnist_rates": "mnist"}
"""By recorded map, the family that is left out of the prior."""
_LONGEST, _SHORT = 45.0, 6.0  # seconds of a unit (of the process of Optuna's, of another); none is begun with less left
_DRAWS = 4000
_AT_FIRST = 2  # seeds of what is slow or aside, before the other seeds of the contest


@dataclass(frozen=True)
class Unit:
    """One search.

    Args:
        contest: ``corpus``, ``upside-down`` or ``map``.
        task: its name, or that of a map.
        method: as in :func:`benchmarks.controller.methods`.
        seed: of the search and of the noise.
    """

    contest: str
    task: str
    method: str
    seed: int


def units(tasks: Sequence[CorpusTask], seeds: int, gp_seeds: int) -> Iterator[Unit]:
    """All of them, most useful first."""
    firsts: dict[str, str] = {}
    for task in tasks:
        firsts.setdefault(task.about["family"], task.name)
    first, others = list(firsts.values()), [task.name for task in tasks if task.name not in firsts.values()]

    def turned(seed: int) -> Iterator[Unit]:
        return (Unit("upside-down", each.name, name, seed) for each in tasks for name in ("controller", "strong"))

    for seed in range(seeds):
        yield from (Unit("corpus", task.name, name, seed) for task in tasks for name in QUICK)
        yield from (Unit("map", task, name, seed) for task in MAPS for name in QUICK)
        if seed < _AT_FIRST:
            yield from turned(seed)
            yield from (Unit("corpus", task, "gp", seed) for task in first if seed < gp_seeds)
    for seed in range(_AT_FIRST, gp_seeds):
        yield from (Unit("corpus", task, "gp", seed) for task in first)
        yield from turned(seed) if seed < seeds else ()
    for seed in range(gp_seeds):
        yield from (Unit("corpus", task, "gp", seed) for task in others)


class MapSurface:
    """A recorded map, asked as :class:`benchmarks.controller.Surface` is; the nearest cell answers, by a real seed."""

    def __init__(self, name: str, repeat: int) -> None:
        self.map = read_map(Path(__file__).parent / "recorded" / f"{name}.json")
        self.space = self.map.space
        self.repeat = repeat
        self.worst = float(self.map.means.min())

    def value(self, params: Params, seed: int) -> float:
        """Of one training; the worst cell's where it was lost."""
        (trial,) = self.map.answer([Training(params, seed, self.map.epochs)], self.repeat)
        return trial.value(self.map.reading) if trial.complete else self.worst

    def regret(self, params: Params) -> float:
        (value,) = self.map.truths([params]).values
        return (self.map.best - value) / (self.map.best - self.map.median)


_surfaces: dict[str, Surface] = {}
_families: dict[str, str] = {}
_optimizers: dict[str, str] = {}
_budgets = BUDGETS
_priors = Path()
_ends = math.inf


def _surface(task: CorpusTask) -> tuple[str, Surface]:
    return task.name, Surface(task)


def _searched(unit: Unit) -> dict[str, Any] | None:
    """Regrets of a unit by budget; None once the time is up."""
    if time.time() > _ends - (_LONGEST if unit.method == "gp" else _SHORT):
        return None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    family = MAPS[unit.task] if unit.contest == "map" else _families[unit.task]
    surface: Any = MapSurface(unit.task, unit.seed) if unit.contest == "map" else _surfaces[unit.task]
    if unit.contest == "upside-down":
        surface = surface.upside_down()
    context = {"optimizer": _optimizers[unit.task]} if unit.method == GIVEN else {}
    with (
        patch.object(controller_stage, "load_prior", lambda: load_prior(_priors / f"{family}.npz")),
        patch.object(benchmarks.controller, "BUDGETS", _budgets),
    ):
        regrets = methods(context)[unit.method](surface, unit.seed)
    said = [None if math.isnan(r) else round(r, 5) for r in regrets]
    said += [None] * (len(BUDGETS) - len(said))
    return {**vars(unit), "family": family, "regrets": said, "seconds": round(time.perf_counter() - start, 2)}


def run(corpus: Path, priors: Path, out: Path, wanted: argparse.Namespace) -> None:
    """Search until all units are done or the time is up."""
    global _budgets, _ends, _priors
    started = time.time()
    _ends, _priors = started + wanted.seconds, priors
    _budgets = tuple(budget for budget in BUDGETS if budget <= wanted.most)
    tasks = [t for t in read_corpus(corpus) if not wanted.families or t.about["family"] in wanted.families]
    _families.update({task.name: task.about["family"] for task in tasks})
    _optimizers.update({task.name: task.about["optimizer"] for task in tasks})
    known = {Unit(*(row[k] for k in Unit.__annotations__)) for row in read(wanted.known)}
    todo = [u for u in units(tasks, wanted.seeds, wanted.gp_seeds) if u not in known]
    if GIVEN in wanted.methods:
        todo += [Unit("corpus", t.name, GIVEN, seed) for seed in range(wanted.seeds) for t in tasks]
    if wanted.methods:
        todo = [u for u in todo if u.method in wanted.methods and u not in known]
    forked = multiprocessing.get_context("fork")
    with forked.Pool(wanted.jobs) as pool:
        _surfaces.update(pool.imap_unordered(_surface, tasks))
    print(f"{len(_surfaces)} surfaces after {time.time() - started:.0f} s; {len(todo)} units", flush=True)
    done = 0
    with forked.Pool(wanted.jobs) as pool, out.open("a") as stream:
        for row in pool.imap(_searched, todo) if wanted.jobs == 1 else pool.imap_unordered(_searched, todo):
            if row is not None:
                done += 1
                stream.write(json.dumps(row) + "\n")
                stream.flush()
    print(f"{done} of {len(todo)} units after {time.time() - started:.0f} s", flush=True)


def read(files: Sequence[Path]) -> list[dict[str, Any]]:
    """What is written in them; a line that was cut off is left out."""
    rows = []
    for file in files:
        for line in file.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
    return rows


def table(rows: Sequence[dict[str, Any]], contest: str, first: str = "controller", by: str = "") -> str:
    """Mean regret by method and budget, with the mean paired difference to the first method.

    A difference is had from pairs with the same task and seed, averaged over the seeds of a task, then over the tasks
    of a data set, then over data sets, since tasks of one data set are alike. In brackets stands that mean and its
    95 % interval, by redrawing data sets, their tasks and their seeds (a bootstrap of three levels).
    """
    found: dict[str, dict[tuple[str, str, int], Array]] = {}
    for row in rows:
        if row["contest"] == contest and (not by or row["family"] == by):
            regrets = np.array([math.nan if r is None else r for r in row["regrets"]])
            found.setdefault(row["method"], {})[row["family"], row["task"], row["seed"]] = regrets
    if first not in found:
        return f"{contest}: nothing"
    lines = ["| method | " + " | ".join(map(str, BUDGETS)) + " | searches |", "| --- " * (len(BUDGETS) + 2) + "|"]
    for name in sorted(found, key=lambda n: (n != first, n)):
        both = sorted(set(found[name]) & set(found[first]))
        if not both:
            continue
        values = np.array([found[name][key] for key in both])
        theirs = np.array([found[first][key] for key in both])
        cells = []
        for i in range(len(BUDGETS)):
            if np.isnan(values[:, i]).any():
                cells.append("")
                continue
            text = f"{_nested(both, values[:, i]):.3f}"
            if name != first:
                apart = values[:, i] - theirs[:, i]
                low, high = _interval(both, apart)
                text += f" ({_nested(both, apart):+.3f}, {low:+.3f} to {high:+.3f})"
            cells.append(text)
        n_tasks, n_families = len({key[1] for key in both}), len({key[0] for key in both})
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {len(both)} on {n_tasks} tasks of {n_families} |")
    return "\n".join(lines)


def _grouped(keys: Sequence[tuple[str, str, int]]) -> dict[str, dict[str, list[int]]]:
    groups: dict[str, dict[str, list[int]]] = {}
    for i, (family, task, _) in enumerate(keys):
        groups.setdefault(family, {}).setdefault(task, []).append(i)
    return groups


def _nested(keys: Sequence[tuple[str, str, int]], values: Array) -> float:
    """The mean over data sets of means over tasks of means over seeds."""
    groups = _grouped(keys)
    return float(np.mean([np.mean([values[rows].mean() for rows in tasks.values()]) for tasks in groups.values()]))


def _interval(keys: Sequence[tuple[str, str, int]], values: Array) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    groups = [[values[rows] for rows in tasks.values()] for tasks in _grouped(keys).values()]
    drawn = []
    for _ in range(_DRAWS):
        means = []
        for i in rng.integers(len(groups), size=len(groups)) if len(groups) > 1 else [0]:
            tasks = groups[i]
            chosen = rng.integers(len(tasks), size=len(tasks)) if len(tasks) > 1 else [0]
            means.append(np.mean([rng.choice(tasks[j], len(tasks[j])).mean() for j in chosen]))
        drawn.append(np.mean(means))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def make_priors(corpus: Path, folder: Path) -> None:
    """One prior a family, trained without it; those that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = draw(read_corpus(corpus))
    for family in sorted({task.about["family"] for task in read_corpus(corpus)}):
        out = folder / f"{family}.npz"
        if not out.exists():
            start = time.perf_counter()
            arrays = train(read_corpus(corpus, [family]), 1000, 0, lambda *said, **how: None, drawn)
            np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
            print(f"{out.name}: {time.perf_counter() - start:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    searching = commands.add_parser("run")
    searching.add_argument("corpus", type=Path)
    searching.add_argument("priors", type=Path)
    searching.add_argument("out", type=Path)
    searching.add_argument("--jobs", type=int, default=1)
    searching.add_argument("--seconds", type=float, default=1e9)
    searching.add_argument("--seeds", type=int, default=10)
    searching.add_argument("--gp-seeds", type=int, default=10)
    searching.add_argument("--most", type=int, default=max(BUDGETS), help="no budget beyond this")
    searching.add_argument("--families", nargs="+", default=[])
    searching.add_argument("--methods", nargs="+", default=[])
    searching.add_argument("--known", type=Path, nargs="+", default=[], help="files whose units are done")
    making = commands.add_parser("priors")
    making.add_argument("corpus", type=Path)
    making.add_argument("priors", type=Path)
    summing = commands.add_parser("table")
    summing.add_argument("files", type=Path, nargs="+")
    summing.add_argument("--by-family", action="store_true")
    wanted = parser.parse_args()
    if wanted.command == "priors":
        make_priors(wanted.corpus, wanted.priors)
    elif wanted.command == "run":
        run(wanted.corpus, wanted.priors, wanted.out, wanted)
    else:
        rows = read(wanted.files)
        for contest in ("corpus", "upside-down", "map"):
            print(f"\n{contest}\n\n{table(rows, contest)}")
            for family in sorted({row["family"] for row in rows}) if wanted.by_family else ():
                print(f"\n{contest}, {family}\n\n{table(rows, contest, by=family)}")


if __name__ == "__main__":
    main()
