"""Time to an answer: how long until what is recommended is good. ``python -m benchmarks.answer [--no-run] [--json]``.

The usual script with TPE and three seeds a point, the same with a pruner, the default here and the strong search with
rungs look for width and batch size on digits and on 10,000 images of MNIST (see :mod:`benchmarks.answer_searches`,
which does the searches). After each training every way has a recommendation: the script's is the best mean of three
seeds, that of the default the point that leads, that of the strong search the highest posterior mean; ours after the
end is the best finalist of the verdict. The answer is there from when on the recommendation lacks at most 0.1 points
to the best known until the search ends.

Truth comes from seeds that no search used, in two sets: the first chooses the best known among the cells of the grid
and all that was ever recommended, the second measures it and all others in pairs, so that being picked flatters nobody.
What the first three seeds show to lack a point or more gets no further ones.

Each of these trainings is measured twice, at its best epoch: on the validation examples that all searches used, and on
unseen ones (of MNIST all 10,000, of the digits the test split, by which the verdict of the default chooses among its
finalists). The first are seldom what a user wants: who looks at the same examples more often finds a luckier epoch.

It takes long, so it goes on where it was: everything is appended to ``--folder``, and ``--minutes`` says when to stop.
Processor time counts (other work on the machine does not); wall time stands beside, and alone is of use with
``--workers`` above 1. Searches 0 to 99 are for tuning, reported are those from 100 on.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks.answer_searches import OURS, SEEDS_A_POINT, TASKS, WAYS, Reseeded, Task, file_of, read
from zonesearch.benchmark.recommending import recommend
from zonesearch.core.objective import Job
from zonesearch.core.trials import Params, Training, Trial
from zonesearch.statistics.incumbent import Incumbent

POINTS = 0.1
"""What a recommendation may lack, in points (100 x accuracy)."""
_HOPELESS = 1.0  # points that the first seeds of a setting may lack and it still gets all
_FIRST = 3  # those seeds
_CHOOSE, _MEASURE = 100_000, 200_000  # the first seed index of either set

MEASURES = ("validation", "unseen")
"""What a training is measured on."""

Step = tuple[float, float, Params | None]
"""Processor time, wall time, what is recommended from then on."""


# -- what was recommended when


def steps(task: Task, way: str, records: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The recommendations of one search, as they changed."""
    found = _of_ours(task, way, records) if way in OURS else _of_script(records)
    kept: list[Step] = []
    for step in found:
        if step[2] is not None and (not kept or kept[-1][2] != step[2]):
            kept.append(step)
    return kept


def _of_script(records: Sequence[Mapping[str, Any]]) -> Iterable[Step]:
    """The best mean of all seeds of a point; what was pruned has none."""
    best, incumbent, bests = -math.inf, None, []
    for record in records:
        if "curve" not in record:
            continue
        bests = [] if record["seed"] == 0 else bests
        bests.append(max(record["curve"]))
        whole = len(bests) == SEEDS_A_POINT and not record["pruned"]
        if whole and sum(bests) / len(bests) > best:
            best, incumbent = sum(bests) / len(bests), record["params"]
        yield record["cpu"], record["wall"], incumbent


def _of_ours(task: Task, way: str, records: Sequence[Mapping[str, Any]]) -> Iterable[Step]:
    incumbent, came = Incumbent(), []
    for record in records:
        new = [
            Trial(
                Training(each["params"], each["seed"], each["epochs"]),
                "complete" if each["accuracy"] is not None else "diverged",
                each["accuracy"],
            )
            for each in record.get("trials", ())
        ]
        came.extend(new)
        incumbent.add(new)
        point = incumbent.params
        if "best" in record:
            point = record["best"]
        elif way == "strong":
            full = [trial for trial in came if trial.epochs == task.epochs]
            point = recommend(task.space, full) or point
        yield record["cpu"], record["wall"], point


# -- truth


@dataclass
class Truth:
    """Accuracies of settings with fresh seeds, kept in a file.

    Args:
        task: whose settings.
        path: of the file.
        on: the measure by which they are compared.
    """

    task: Task
    path: Path
    on: str = MEASURES[0]

    def __post_init__(self) -> None:
        self.known: dict[Any, dict[int, Mapping[str, float]]] = {}
        for record in read(self.path):
            self._note(record)

    def _note(self, record: Mapping[str, Any]) -> None:
        self.known.setdefault(_place(record["params"]), {})[record["seed"]] = record

    def values(self, params: Params, first: int, n: int | None = None) -> list[float]:
        """Of the set of seeds that begins with ``first``, as far as they are known."""
        n = self.task.n_truth if n is None else n
        found = self.known.get(_place(params), {})
        return [100 * found[seed][self.on] for seed in range(first, first + n) if seed in found]

    def missing(self, settings: Sequence[Params]) -> list[Training]:
        """What is still to be trained: first a few seeds of all, then both sets of those that are not hopeless."""
        few = min(_FIRST, self.task.n_truth)
        wanted = [(params, range(_CHOOSE, _CHOOSE + few)) for params in settings]
        if not (missing := self._not_known(wanted)):
            means = [float(np.mean(self.values(params, _CHOOSE, few))) for params in settings]
            good = [params for params, mean in zip(settings, means, strict=True) if mean > max(means) - _HOPELESS]
            sets = [range(first, first + self.task.n_truth) for first in (_CHOOSE, _MEASURE)]
            missing = self._not_known([(params, each) for params in good for each in sets])
        return missing

    def _not_known(self, wanted: Iterable[tuple[Params, range]]) -> list[Training]:
        return [
            Training(params, seed, self.task.epochs, test=True)
            for params, seeds in wanted
            for seed in seeds
            if seed not in self.known.get(_place(params), {})
        ]

    def train(self, settings: Sequence[Params], until: float, cores: int = 1) -> bool:
        """Train what is missing, ``cores`` jobs at a time; whether nothing is."""
        recipe = self.task.recipe()
        with ProcessPoolExecutor(cores) as pool:
            while missing := self.missing(settings):
                jobs = iter(recipe.jobs(missing))
                running = {pool.submit(_trained, recipe, job) for job in islice(jobs, cores)}
                while running:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for each in done:
                        with self.path.open("a", encoding="utf-8") as file:
                            for record in each.result():
                                file.write(json.dumps(record) + "\n")
                                self._note(record)
                        if time.perf_counter() < until and (job := next(jobs, None)) is not None:
                            running.add(pool.submit(_trained, recipe, job))
                if time.perf_counter() >= until:
                    return not self.missing(settings)
        return True

    def best(self, settings: Sequence[Params]) -> Params:
        """The best known by the first set."""
        n = self.task.n_truth
        whole = [params for params in settings if len(self.values(params, _MEASURE)) == n]
        return max(whole, key=lambda params: np.mean(self.values(params, _CHOOSE)))

    def lacks(self, params: Params, best: Params) -> tuple[float, float]:
        """Points that a setting lacks to ``best``, and the standard error of that, over pairs of seeds."""
        first, n = (_MEASURE, self.task.n_truth)
        if len(self.values(params, first)) < n:  # hopeless
            first, n = _CHOOSE, min(_FIRST, n)
        difference = np.subtract(self.values(best, first, n), self.values(params, first, n))
        return float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan


def _trained(recipe: Reseeded, job: Job) -> list[dict[str, Any]]:
    """The records of a job."""
    found = []
    for trial in recipe.train(job, lambda share: None):
        values = (trial.accuracy or 0.0, trial.test_accuracy or 0.0)  # 0 where it diverged
        found.append({"params": dict(trial.params), "seed": trial.seed, **dict(zip(MEASURES, values, strict=True))})
    return found


def _place(params: Params) -> Any:
    return Training(params).identity[0]


# -- the figures


@dataclass(frozen=True)
class Answer:
    """What one search came to.

    Args:
        task, way, seed: which.
        first, settled: processor seconds until the recommendation was good for the first time, for good; infinite where
            it never was.
        first_wall, settled_wall: the same in wall time.
        end, end_wall: when the search ended.
        lacks: what the last recommendation lacks, in points.
    """

    task: str
    way: str
    seed: int
    first: float
    settled: float
    first_wall: float
    settled_wall: float
    end: float
    end_wall: float
    lacks: float


def answer(which: tuple[str, str, int], found: Sequence[Step], lacks: Sequence[float], end: Step) -> Answer:
    """Of recommendations with what each lacks."""
    good = [lack <= POINTS for lack in lacks]
    never = (math.inf, math.inf)
    first = found[good.index(True)][:2] if any(good) else never
    last_bad = max((i for i, each in enumerate(good) if not each), default=-1)
    settled = found[last_bad + 1][:2] if last_bad + 1 < len(good) else never
    return Answer(*which, first[0], settled[0], first[1], settled[1], end[0], end[1], lacks[-1])


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile; the larger neighbour where one falls between a number and infinity."""
    with np.errstate(invalid="ignore"):
        high = [float(np.quantile(values, q, method="higher")) for q in (0.25, 0.5, 0.75)]
        found = [float(np.quantile(values, q)) for q in (0.25, 0.5, 0.75)]
    return tuple(f if math.isfinite(f) else h for f, h in zip(found, high, strict=True))  # type: ignore[return-value]


def gain(script: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """The ratio of the medians, and its 95 % interval by drawing searches anew; NaN where both never answer."""

    def ratio(a: Sequence[float], b: Sequence[float]) -> float:
        above, below = quartiles(a)[1], quartiles(b)[1]
        return 0.0 if math.isinf(below) and not math.isinf(above) else above / below

    rng = np.random.default_rng(0)
    drawn = [ratio(rng.choice(script, len(script)), rng.choice(other, len(other))) for _ in range(500)]
    finite = [each for each in drawn if not math.isnan(each)] or [math.nan]
    return (
        ratio(script, other),
        float(np.quantile(finite, 0.025, method="lower")),
        float(np.quantile(finite, 0.975, method="higher")),
    )


def markdown(answers: Sequence[Answer]) -> str:
    """A row for each task and way."""
    lines = [
        "| task | method | n | first good | stays good: median (quartiles) | wall | end | gap at the end | x script |",
        "| --- " * 9 + "|",
    ]
    for name, way in dict.fromkeys((each.task, each.way) for each in answers):
        mine = [each for each in answers if (each.task, each.way) == (name, way)]
        usual = [each.settled for each in answers if (each.task, each.way) == (name, "script")]
        low, middle, high = quartiles([each.settled for each in mine])
        times = "" if not usual else "{:.1f} ({:.1f} to {:.1f})".format(*gain(usual, [each.settled for each in mine]))
        lines.append(
            f"| {name} | {way} | {len(mine)} | {_s(quartiles([each.first for each in mine])[1])} "
            f"| {_s(middle)} ({_s(low)} to {_s(high)}) | {_s(quartiles([each.settled_wall for each in mine])[1])} "
            f"| {_s(quartiles([each.end for each in mine])[1])} "
            f"| {np.median([each.lacks for each in mine]):.2f} | {times} |"
        )
    return "\n".join(lines)


def _s(seconds: float) -> str:
    return f"{seconds:.0f} s" if math.isfinite(seconds) else "never"


# -- the whole


def reason_to_skip(name: str) -> str:
    """Why a task cannot be measured here; empty where it can."""
    if name != "mnist":
        return ""
    root = Path(os.environ.get("ZONESEARCH_DATA", "."), "mnist")
    return "" if root.exists() else f"{root} is not there: ZONESEARCH_DATA says where the data are"


def searches(
    folder: Path,
    names: Sequence[str],
    ways: Sequence[str],
    seeds: Sequence[int],
    until: float,
    workers: int,
    cores: int,
) -> None:
    """Do what is missing, each search in a process of its own, ``cores`` at a time, until the time is up."""

    def one(seed: int, name: str, way: str) -> None:
        records = read(file_of(folder, name, way, seed))
        minutes = (until - time.perf_counter()) / 60
        if (records and "end" in records[-1]) or minutes <= 0:
            return
        print(f"{name}, {way}, search {seed}", file=sys.stderr, flush=True)
        call = [folder, name, way, seed, "--minutes", minutes, "--workers", workers]
        command = [sys.executable, "-m", "benchmarks.answer_searches", *map(str, call)]
        subprocess.run(command, check=True, stderr=subprocess.PIPE)

    with ThreadPoolExecutor(cores) as pool:
        begun = [pool.submit(one, seed, name, way) for seed in seeds for name in names for way in ways]
        for each in begun:
            each.result()


def score(
    folder: Path,
    name: str,
    ways: Sequence[str],
    seeds: Sequence[int],
    until: float,
    on: str = MEASURES[0],
    cores: int = 1,
) -> tuple[list[Answer], dict[str, Any]]:
    """All finished searches of a task, and the best known; nothing as long as its truth is not measured."""
    task = TASKS[name]
    found: dict[tuple[str, str, int], tuple[list[Step], Step]] = {}
    for way in ways:
        for seed in seeds:
            records = read(file_of(folder, name, way, seed))
            if records and "end" in records[-1] and (each := steps(task, way, records)):
                found[name, way, seed] = each, (records[-1]["cpu"], records[-1]["wall"], None)
    recommended = [step[2] for each, _ in found.values() for step in each if step[2] is not None]
    settings = list({_place(params): params for params in (*task.space.grid(), *recommended)}.values())
    truth = Truth(task, folder / f"{name}-truth.jsonl", on)
    if not found or not truth.train(settings, until, cores):
        return [], {}
    best = truth.best(settings)
    answers = [
        answer(which, each, [truth.lacks(step[2], best)[0] for step in each if step[2] is not None], end)
        for which, (each, end) in found.items()
    ]
    near = [truth.lacks(params, best) for params in settings]
    known = {
        "params": dict(best),
        "accuracy_percent": float(np.mean(truth.values(best, _MEASURE))),
        "n_settings": len(settings),
        "n_good": sum(lack <= POINTS for lack, _ in near),
        "standard_error": float(np.median([se for lack, se in near if 0 < abs(lack) < _HOPELESS] or [math.nan])),
    }
    return answers, known


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("answer-benchmark"))
    parser.add_argument("--tasks", default="digits,mnist")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--first-seed", type=int, default=100, help="of the searches; below 100 they are for tuning")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--minutes",
        type=float,
        default=9.0,
        help="then stop, after three quarters with searching; the same call goes on",
    )
    parser.add_argument("--workers", type=int, default=1, help="of our searches; the script has one process")
    parser.add_argument("--cores", type=int, default=1, help="searches, then trainings of the truth, at the same time")
    parser.add_argument("--quick", action="store_true", help="a tiny task, to see that it works")
    parser.add_argument("--no-run", action="store_true", help="search nothing, only score what --folder holds")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args(arguments)
    until = time.perf_counter() + 60 * wanted.minutes
    names = ["tiny"] if wanted.quick else wanted.tasks.split(",")
    for name in list(names):
        if reason := reason_to_skip(name):
            print(f"{name} is left out: {reason}", file=sys.stderr)
            names.remove(name)
    ways, seeds = wanted.ways.split(","), range(wanted.first_seed, wanted.first_seed + wanted.seeds)
    if not wanted.no_run:
        searches(
            wanted.folder,
            names,
            ways,
            seeds,
            0.75 * (until - time.perf_counter()) + time.perf_counter(),
            wanted.workers,
            wanted.cores,
        )
    found: dict[str, Any] = {}
    for on in MEASURES:
        answers, best = [], {}
        for name in names:
            each, best[name] = score(wanted.folder, name, ways, seeds, until, on, wanted.cores)
            answers += each
        if wanted.json:
            finite = [{k: None if v == math.inf else v for k, v in asdict(each).items()} for each in answers]
            found[on] = {"answers": finite, "best_known": best}
            continue
        print(f"By {on} examples:\n")
        for name, known in best.items():
            print(f"{name}: {known or 'not measured yet: the same call goes on'}")
        print("\n" + markdown(answers) + "\n")
    if wanted.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
