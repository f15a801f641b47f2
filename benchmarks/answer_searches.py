"""The searches that :mod:`benchmarks.answer` clocks: one search, in a process of its own, into one file of records.

    python -m benchmarks.answer_searches FOLDER TASK WAY SEED [--minutes 9] [--workers 1]

All ways search the same space with the same images, the same epochs and the same optimizer:

- ``script``: Optuna's TPE around the loop of ``benchmarks.engine``, three seeds a point, their mean is the value;
- ``pruned``: the same with Optuna's MedianPruner as it comes, told of every epoch of every seed;
- ``default``: ``run_pipeline`` with the default stages and settings;
- ``strong``: a grid with rungs, one seed a cell, then the surrogate, then finalists under the task's own schedule.

The file has a line for each training: what was trained, its validation accuracies by epoch, and the processor and wall
time since the process began (start-up and loading the data count). A search of the script that was cut goes on where it
was: Optuna is asked again and told what is known. One of ours begins anew.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from zonesearch.core.objective import Job, Report
from zonesearch.core.space import Space
from zonesearch.core.trials import Trial, Trials
from zonesearch.training.recipe import Recipe

if TYPE_CHECKING:
    from torch.utils.data import Dataset

__all__ = ["OURS", "TASKS", "WAYS", "Reseeded", "Task", "file_of", "read", "search"]

WAYS = ("script", "pruned", "default", "strong")
OURS = ("default", "strong")
SEEDS_A_POINT = 3
"""Of the script."""
_SHIFT, _APART = 10_000_000, 10_000
"""Search number i trains with seed indices from ``_SHIFT + i * _APART`` on; truths use smaller ones."""

_BEGAN = time.perf_counter() - time.process_time()
"""What starting took before this line is waited for too; as wall time it counts with its processor time."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What is searched.

    Args:
        axes: the space, for all ways.
        tables: of the recipe.
        epochs: of every training.
        points: that the script may try.
        strong: settings of the stages of the way of that name.
        n_truth: fresh seeds of each of the two sets that truth is measured with.
        n_unseen: test examples that truth is measured on, where the searches have a limit of their own.
    """

    axes: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Mapping[str, Any]]
    epochs: int
    points: int
    strong: Mapping[str, Mapping[str, Any]]
    n_truth: int = 10
    n_unseen: int = 10_000

    @property
    def space(self) -> Space:
        return Space.parse(self.axes)

    def recipe(self, search: int | None = None) -> Reseeded:
        """The controlled network with the seeds of search number ``search``; None for those of the truth, which is
        measured on all unseen examples.
        """
        fixed = {"optimizer": {"name": "adam", "learning_rate": 1e-3}, "training": {"device": "cpu"}}
        tables = dict(self.tables)
        if search is None and "limit_test" in tables["data"]:
            tables["data"] = {**tables["data"], "limit_test": self.n_unseen}
        made = Reseeded.from_tables({**fixed, **tables})
        assert isinstance(made, Reseeded)
        return made if search is None else replace(made, shift=_SHIFT + search * _APART)


def _doubling(low: int, high: int) -> Mapping[str, Any]:
    return {"low": low, "high": high, "scale": "log", "row": "doubling"}


TASKS: Mapping[str, Task] = {
    "digits": Task(
        {"width": _doubling(16, 1024), "batch": _doubling(4, 256)},
        {"data": {"name": "digits"}},
        epochs=20,
        points=30,
        strong={"grid": {"rungs": [3, 8]}, "surrogate": {"n_trainings": 24}, "polish": {"schedules": ["constant"]}},
    ),
    "mnist": Task(
        {"width": _doubling(128, 1024), "batch": _doubling(16, 512)},
        {"data": {"name": "mnist", "validation": 0.2, "limit": 8000, "limit_validation": 2000, "limit_test": 2000}},
        epochs=4,
        points=15,
        strong={"grid": {"rungs": [1, 2]}, "surrogate": {"n_trainings": 16}, "polish": {"schedules": ["constant"]}},
    ),
    "tiny": Task(
        {"width": _doubling(8, 16), "batch": _doubling(64, 128)},
        {"data": {"name": "digits", "limit": 128, "limit_validation": 64, "limit_test": 64}},
        epochs=2,
        points=2,
        strong={"grid": {"rungs": [1]}, "surrogate": {"n_trainings": 4}, "polish": {"schedules": ["constant"]}},
        n_truth=2,
        n_unseen=64,
    ),
}
"""``tiny`` is for tests."""


@dataclass(frozen=True)
class Reseeded(Recipe):
    """A recipe whose seed indices are moved by ``shift``: another search on the same split of the same data."""

    shift: int = 0

    def train(self, job: Job, report: Report, keep: Any = None) -> Iterator[Trial]:
        moved = tuple(replace(training, seed=training.seed + self.shift) for training in job.trainings)
        for trial in super().train(Job(moved, job.cost), report, keep):
            yield replace(trial, training=replace(trial.training, seed=trial.training.seed - self.shift))


# -- the clock and the file


def file_of(folder: Path, task: str, way: str, seed: int) -> Path:
    """The records of one search."""
    return folder / f"{task}-{way}-{seed}.jsonl"


def read(path: Path) -> list[Record]:
    """The records of a search that are whole; a torn last line is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return found


def clock() -> tuple[float, float]:
    """Processor time of this process and of its children that ended, and wall time, in seconds since it began."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime, time.perf_counter() - _BEGAN


@dataclass
class Clocked:
    """A file that records are appended to, each with the time that the search had taken by then.

    Args:
        path: of the file.
        done: the records of a search that was cut; their time counts.
    """

    path: Path
    done: Sequence[Record] = ()

    def __post_init__(self) -> None:
        self._before = (self.done[-1]["cpu"], self.done[-1]["wall"]) if self.done else (0.0, 0.0)
        self._from = clock() if self.done else (0.0, 0.0)  # what came again before this is no part of the search

    def go_on(self) -> None:
        """From here on time counts again."""
        if self.done:
            self._from = clock()

    def add(self, **record: Any) -> None:
        cpu, wall = (b + now - f for b, now, f in zip(self._before, clock(), self._from, strict=True))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**record, "cpu": round(cpu, 4), "wall": round(wall, 4)}) + "\n")


# -- the script


def _images(name: str, task: Task) -> tuple[Dataset[Any], Dataset[Any]]:
    """The images of our split as the script has them: through torchvision where it knows them, else as tensors."""
    from torch.utils.data import Subset, TensorDataset

    split = task.recipe().split()
    if name != "mnist":
        return TensorDataset(*split.train), TensorDataset(*split.validation)  # type: ignore[arg-type]
    import torchvision
    from torchvision.transforms import Compose, Normalize, ToTensor

    steps = split.preprocessing
    usual = Compose([ToTensor(), Normalize(steps.mean, steps.deviation)])
    mnist = torchvision.datasets.MNIST(Path(os.environ.get("ZONESEARCH_DATA", "."), "mnist"), transform=usual)
    places = {image.tobytes(): i for i, image in enumerate(mnist.data.numpy())}

    def subset(inputs: Any) -> Subset[Any]:
        pixels = (inputs[:, 0].double() * steps.deviation[0] + steps.mean[0]) * 255
        return Subset(mnist, [places[image.tobytes()] for image in pixels.round().byte().numpy()])

    return subset(split.train[0]), subset(split.validation[0])


def _script(name: str, task: Task, seed: int, clocked: Clocked, pruned: bool, until: float) -> None:
    import optuna
    import torch

    from benchmarks.engine import script_epochs

    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    train, validation = _images(name, task)
    known = iter([record for record in clocked.done if "curve" in record])
    axes = {axis: (int(row["low"]), int(row["high"])) for axis, row in task.axes.items()}

    def objective(trial: optuna.Trial) -> float:
        params = {axis: trial.suggest_int(axis, low, high, log=True) for axis, (low, high) in axes.items()}
        bests = []
        for i in range(SEEDS_A_POINT):
            record = next(known, None)
            if record is None:
                if time.perf_counter() > until:
                    trial.study.stop()
                    raise optuna.TrialPruned
                torch.manual_seed((seed * 1000 + trial.number) * 10 + i)
                epochs: Iterator[float] = script_epochs(train, validation, **params, epochs=task.epochs)
            else:
                assert record["params"] == params, "the records are of another version of Optuna"
                epochs = iter(record["curve"])
            curve: list[float] = []
            out = False
            for accuracy in epochs:
                curve.append(accuracy)
                if pruned:
                    trial.report(accuracy, i * task.epochs + len(curve))
                    if out := bool(trial.should_prune()):  # the median of numpy, which is no bool of JSON
                        break
            if record is None:
                clocked.add(params=params, seed=i, epochs=task.epochs, curve=curve, pruned=out)
            elif record is clocked.done[-1]:
                clocked.go_on()
            if out:
                raise optuna.TrialPruned
            bests.append(max(curve))
        return sum(bests) / len(bests)

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner() if pruned else optuna.pruners.NopPruner(),
    )
    study.optimize(objective, n_trials=task.points)
    if time.perf_counter() <= until:
        clocked.add(end=True)


# -- ours


@dataclass
class _Watching:
    """An observer that writes down what comes."""

    clocked: Clocked

    def round_begins(self, at: Any, jobs: Sequence[Any], n_stages: int) -> None:
        """Nothing to note."""

    def job_moves(self, key: str, share: float) -> None:
        """Nothing to note."""

    def ended(self) -> None:
        """Nothing to note."""

    def trials_came(self, new: Sequence[Trial], trials: Trials) -> None:
        self.clocked.add(
            trials=[
                {
                    "params": dict(trial.params),
                    "seed": trial.seed,
                    "epochs": trial.epochs,
                    "accuracy": trial.accuracy,
                    "n_validation": trial.n_validation,
                }
                for trial in new
            ]
        )


def _ours(task: Task, seed: int, clocked: Clocked, way: str, workers: int) -> None:
    from zonesearch.run.running import run_pipeline

    settings: dict[str, Any] = {"stages": list(task.strong), **task.strong} if way == "strong" else {}
    result = run_pipeline(
        task.space,
        objective=task.recipe(seed),
        epochs=task.epochs,
        seed=seed,
        name="answer",
        workers=workers,
        observer=_Watching(clocked),
        **settings,
    )
    verdict = result.verdict
    chosen = {
        key: dict(standing.finalist.params)
        for key, standing in (("best", verdict and verdict.best), ("cheapest", verdict and verdict.cheapest))
        if standing
    }
    clocked.add(end=True, **chosen)


def search(folder: Path, name: str, way: str, seed: int, minutes: float = 9.0, workers: int = 1) -> bool:
    """Do one search, or go on with it; whether it is finished."""
    task, path = TASKS[name], file_of(folder, name, way, seed)
    done = read(path)
    if done and "end" in done[-1]:
        return True
    folder.mkdir(parents=True, exist_ok=True)
    if way in OURS:
        path.unlink(missing_ok=True)
        _ours(task, seed, Clocked(path), way, workers)
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in done), encoding="utf-8")  # no torn line
        _script(name, task, seed, Clocked(path, done), way == "pruned", time.perf_counter() + 60 * minutes)
    return "end" in read(path)[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("seed", type=int)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--workers", type=int, default=1)
    wanted = parser.parse_args()
    search(wanted.folder, wanted.task, wanted.way, wanted.seed, wanted.minutes, wanted.workers)


if __name__ == "__main__":
    main()
