"""The corpus of real trainings. ``python -m controller.corpus [--settings 300] [--into runs/corpus] [--only digits]``.

Every task of :mod:`controller.tasks` is trained at settings drawn at random, with two seeds each and whole learning
curves, by the engine that trains everything here. Tasks take turns, so a run that is stopped leaves all of them equally
far; the same command goes on where it was stopped. Each task and turn is one file; ``--pack FILE.npz`` writes them all
as one, which holds whole ten-thousandths of accuracy and is safe to load (plain arrays, nothing pickled); ``--known
FILE.npz`` takes the trainings of such a file as done.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from controller.tasks import TASKS, Task, draw, recipe_of
from zonesearch.core.trials import Training, Trial

__all__ = ["main", "pack", "train_turn"]

N_SEEDS = 2
TURN = 50
"""Settings of a task before the next task has its turn."""
LOST = np.iinfo(np.uint16).max
"""In place of a value that is not there: the training had diverged by then."""


def train_turn(task: Task, turn: int, size: int = TURN) -> dict[str, npt.NDArray[Any]]:
    """Train the settings of one turn.

    Returns:
        ``settings``, float32 of shape (n, n_axes), ``accuracy`` uint16 of shape (n, seeds, epochs) in ten-thousandths,
        ``loss`` (of validation) float16 of the same shape, and ``seconds`` float32 of shape (n, seeds).
    """
    recipe = recipe_of(task)
    numbers = range(turn * size, (turn + 1) * size)
    drawn = [draw(task, number) for number in numbers]
    trainings = [Training(params, seed, task.epochs) for params in drawn for seed in range(N_SEEDS)]
    trials: dict[Training, Trial] = {}
    for job in recipe.jobs(trainings):
        for trial in recipe.train(job, lambda share: None):
            trials[trial.training] = trial
    shape = len(drawn), N_SEEDS, task.epochs
    accuracy, loss = np.full(shape, LOST, dtype=np.uint16), np.full(shape, np.nan, dtype=np.float16)
    seconds = np.zeros(shape[:2], dtype=np.float32)
    for place, training in enumerate(trainings):
        i, seed = divmod(place, N_SEEDS)
        trial = trials[training]
        curve = trial.curve.get("validation_accuracy", ())
        accuracy[i, seed, : len(curve)] = np.round(np.asarray(curve) * 10_000)
        loss[i, seed, : len(curve)] = np.clip(trial.curve.get("validation_loss", ()), 0, 60_000)
        seconds[i, seed] = trial.seconds
    values = [[_number(params, axis) for axis in task.axes] for params in drawn]
    return {
        "settings": np.asarray(values, dtype=np.float32),
        "accuracy": accuracy,
        "loss": loss,
        "seconds": seconds,
        "about": np.asarray(json.dumps(_about(task, recipe.split()))),
    }


def _number(params: dict[str, Any], axis: str) -> float:
    if axis == "label_smoothing":
        found = re.search(r"=([\d.]+)", params["loss"])
        assert found
        return float(found[1])
    return float(params[axis])


def _about(task: Task, split: Any) -> dict[str, Any]:
    return {
        "family": task.family,
        "axes": list(task.axes),
        "fixed": dict(task.fixed),
        "optimizer": task.optimizer,
        "kind": task.kind,
        "epochs": task.epochs,
        "n_train": len(split.train[1]),
        "n_validation": len(split.validation[1]),
        "n_inputs": math.prod(split.shape),
        "n_classes": split.n_classes,
    }


def pack(folder: Path, out: Path) -> dict[str, int]:
    """Write all that lies in ``folder`` as one file; how many settings of each task."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    counts = {}
    for name in TASKS:
        turns = []
        while (file := _file(folder, name, len(turns))).exists():
            with np.load(file, allow_pickle=False) as read:
                turns.append({key: read[key] for key in read.files})
        if turns:
            for key in ("settings", "accuracy", "loss"):
                arrays[f"{name}/{key}"] = np.concatenate([turn[key] for turn in turns])
            arrays[f"{name}/about"] = turns[0]["about"]
            counts[name] = len(arrays[f"{name}/settings"])
    np.savez_compressed(out, **arrays)
    return counts


def unpack(file: Path, folder: Path) -> None:
    """Write the whole turns of a packed file into ``folder``, so that they are not trained again."""
    folder.mkdir(parents=True, exist_ok=True)
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as read:
        for name in {key.split("/")[0] for key in read.files}:
            whole = {key: read[f"{name}/{key}"] for key in ("settings", "accuracy", "loss")}
            for turn in range(len(whole["settings"]) // TURN):
                to = _file(folder, name, turn)
                if not to.exists():
                    part = {key: value[turn * TURN : (turn + 1) * TURN] for key, value in whole.items()}
                    np.savez_compressed(to, **part, about=read[f"{name}/about"])


def _file(folder: Path, task: str, turn: int) -> Path:
    return folder / f"{task}.{turn}.npz"


def make(tasks: Sequence[Task], n_settings: int, folder: Path) -> Iterable[str]:
    """Train what is not there yet, turn by turn; a line on each."""
    folder.mkdir(parents=True, exist_ok=True)
    for turn in range(-(-n_settings // TURN)):
        for task in tasks:
            file = _file(folder, task.name, turn)
            if file.exists():
                continue
            start = time.perf_counter()
            found = train_turn(task, turn)
            partial = file.with_suffix(f".{os.getpid()}.part")
            with partial.open("wb") as stream:
                np.savez_compressed(stream, **found)
            partial.replace(file)
            best = found["accuracy"][found["accuracy"] != LOST].max(initial=0) / 10_000
            yield f"turn {turn} {task.name}: {time.perf_counter() - start:.0f} s, best accuracy {best:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=int, default=300, help="of every task (300)")
    parser.add_argument("--into", type=Path, default=Path("runs/corpus"), help="where turns are kept (runs/corpus)")
    parser.add_argument("--only", nargs="+", default=[], metavar="FAMILY", help="tasks of these data sets (all)")
    parser.add_argument("--pack", type=Path, metavar="FILE.npz", help="write what is there as one file, train nothing")
    parser.add_argument(
        "--known", type=Path, metavar="FILE.npz", help="a packed file whose trainings are there already"
    )
    wanted = parser.parse_args()
    if wanted.known:
        unpack(wanted.known, wanted.into)
    if wanted.pack:
        counts = pack(wanted.into, wanted.pack)
        size = wanted.pack.stat().st_size / 1e6
        print(f"{wanted.pack}: {len(counts)} tasks, {sum(counts.values())} settings, {size:.1f} MB")
        return
    tasks = [task for task in TASKS.values() if not wanted.only or task.family in wanted.only]
    for line in make(tasks, wanted.settings, wanted.into):
        print(line, flush=True)


if __name__ == "__main__":
    main()
