"""Augmentations drawn in advance against new ones in every batch. ``python -m benchmarks.draws [--pairs 12] [--json]``.

A resnet18 learns five classes of CIFAR-10 (from ``ZONESEARCH_DATA``); then its head, or its last stage and the head,
learns the other five from 400 images, padded by 4 and flipped: without augmentation, with augmentations drawn anew
(``anew``), and with 4 and 8 versions of each image drawn in advance, of which frozen features are kept. Every way
trains with the same seeds, on other draws for each pair (a study seed of its own, which also splits the data anew).

Printed are accuracies on 1,000 validation images at the best of the epochs evaluated (every third of 24) and at the
last, differences to ``anew`` in points (mean and standard error over pairs), and processor seconds: of a training with
all that it computes, and of a further training on the same features. With the head, further trainings run as one
program.

Everything is appended to ``--folder``; the same call goes on where it was, until ``--minutes`` are over. ``--mlp``
compares a feed-forward network instead (MNIST, 8,000 images moved by up to two pixels, 8,000 for validation, 128
neurons, batch 16, 20 epochs): all pairs in a stack, but those with augmentations drawn anew one at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training, Trial
from zonesearch.training import frozen
from zonesearch.training.networks.backbone import Backbone
from zonesearch.training.recipe import Recipe

WAYS: dict[str, dict[str, Any]] = {
    "none": {},
    "anew": {"pad": 4, "flip": True},
    "4": {"pad": 4, "flip": True, "draws": 4},
    "8": {"pad": 4, "flip": True, "draws": 8},
}
"""[augmentation] by way."""
TUNED = ("head", "last")
EPOCHS, EVERY = 24, 3
RATES = {"head": 0.01, "last": 0.001}
"""Adam's, of a batch of 32."""
_READ = 24_000  # images of CIFAR-10 to choose both halves from


def half(first: int) -> tuple[tuple[Any, Any], None]:
    """Images of five classes of CIFAR-10, from class ``first`` on."""
    tables = {"data": {"name": "cifar10", "limit": _READ, "limit_validation": 10, "limit_test": 10}}
    images, labels = Recipe.from_tables(tables).split().train
    assert isinstance(images, Tensor)
    chosen = (labels >= first) & (labels < first + 5)
    return (images[chosen].numpy(), labels[chosen].numpy()), None


def made(tune: str, way: str, weights: Path, seed: int) -> Recipe:
    """The recipe of a way to augment."""
    return Recipe.from_tables(
        {
            "data": {
                "name": "benchmarks.draws:half",
                "arguments": {"first": 5},
                "validation": 0.5,
                "limit": 400,
                "limit_validation": 1000,
                "limit_test": 100,
            },
            "network": {"kind": "backbone", "tune": tune, "weights": str(weights)},
            "optimizer": {"name": "adam", "learning_rate": RATES[tune]},
            "training": {"batch": 32, "device": "cpu", "precision": "float32", "evaluate_every": EVERY},
            "augmentation": WAYS[way],
        },
        seed,
    )


def pretrained(folder: Path, epochs: int = 5) -> Path:
    """The file of a network that knows the first five classes."""
    path = folder / "first_half.pt"
    if not path.exists():
        data = {"name": "benchmarks.draws:half", "arguments": {"first": 0}, "limit": 6000, "limit_validation": 500}
        tables: dict[str, dict[str, Any]] = {
            "data": data,
            "network": {"kind": "backbone"},
            "augmentation": WAYS["anew"],
            "training": {"batch": 64, "device": "cpu", "precision": "bf16", "schedule": "cosine"},
        }
        found: list[Any] = []
        recipe = Recipe.from_tables(tables)
        for trial in recipe.train(
            Job((Training({}, 0, epochs, True),)), lambda share: None, lambda _, net: found.append(net)
        ):
            print(f"the first half: {trial.accuracy}", flush=True)
        assert isinstance(found[0], Backbone)
        torch.save({name: value.float() for name, value in found[0].body.state_dict().items()}, path)
    return path


def timed(recipe: Recipe, *trainings: Training) -> tuple[list[Trial], float]:
    """Trainings, and the processor time of them all."""
    start = time.process_time()
    found = [trial for job in recipe.jobs(trainings) for trial in recipe.train(job, lambda share: None)]
    return found, time.process_time() - start


def pair(tune: str, way: str, weights: Path, seed: int) -> dict[str, Any]:
    """One training, with the time of it and of a further one (of four together for a head)."""
    recipe = made(tune, way, weights, seed)
    recipe.split()
    frozen._kept.clear()
    (trial,), seconds = timed(recipe, Training({}, seed, EPOCHS))
    further = [Training({}, seed + 1000 + i, EPOCHS) for i in range(4 if tune == "head" else 1)]
    again = None
    if way != "anew" and seed % 3 == 0:
        again = timed(recipe, *further)[1] / len(further)
    curve = trial.curve["validation_accuracy"]
    return {
        "tune": tune,
        "way": way,
        "seed": seed,
        "best": 100 * max(curve),
        "last": 100 * curve[-1],
        "seconds": seconds,
        "further": again,
    }


def feed_forward(first: int, n: int, epochs: int = 20) -> list[dict[str, Any]]:
    """The records of a feed-forward network: seeds of one study, since a stack has one set of versions."""
    data = {"name": "mnist", "limit": 8000, "limit_validation": 8000, "limit_test": 100}
    tables = {"data": data, "training": {"batch": 16, "device": "cpu"}}
    found = []
    for way, augmentation in WAYS.items():
        moved = {**augmentation, "pad": 2, "flip": False} if augmentation else {}
        made = Recipe.from_tables({**tables, "augmentation": moved})
        made.split()
        trials, seconds = timed(made, *(Training({}, seed, epochs) for seed in range(first, first + n)))
        for trial in trials:
            curve = trial.curve["validation_accuracy"]
            best, last = 100 * max(curve), 100 * curve[-1]
            each = {"tune": "mlp", "way": way, "seed": trial.seed, "best": best, "last": last}
            found.append({**each, "seconds": seconds / n, "further": seconds / n})
    return found


def table(records: list[dict[str, Any]]) -> str:
    """A row for each way of each kind of tuning, over the seeds that all its ways have."""
    heads = "tuned", "augmentation", "pairs", "best epoch, %", "minus anew", "last epoch, %", "minus anew"
    lines = [f"| {' | '.join(heads)} | one, s | a further one, s |", "| --- " * 9 + "|"]
    for tune in dict.fromkeys(each["tune"] for each in records):
        by = {(each["way"], each["seed"]): each for each in records if each["tune"] == tune}
        seeds = [seed for way, seed in by if way == "none" and all((other, seed) in by for other in WAYS)]
        for way in WAYS if seeds else ():
            row = [by[way, seed] for seed in seeds]
            cells = []
            for key in ("best", "last"):
                values = [each[key] for each in row]
                apart = np.subtract(values, [by["anew", seed][key] for seed in seeds])
                cells += [f"{np.mean(values):.2f}", f"{apart.mean():+.2f} ± {stats.sem(apart):.2f}"]
            further = [each["further"] for each in row if each["further"] is not None]
            again = f"{statistics.median(further):.2f}" if further else ""
            whole = f"{statistics.median(each['seconds'] for each in row):.2f}"
            if way == "anew":
                cells[1] = cells[3] = ""
                again = whole
            lines.append(f"| {tune} | {way} | {len(seeds)} | {' | '.join(cells)} | {whole} | {again} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("draws-benchmark"))
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=300, help="those below 300 are for tuning")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--tune", default=",".join(TUNED))
    parser.add_argument("--mlp", action="store_true", help="a feed-forward network instead")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    until = time.perf_counter() + 60 * wanted.minutes
    torch.set_num_threads(1)
    if wanted.mlp:
        print(table(feed_forward(wanted.first_seed, wanted.pairs)))
        return
    wanted.folder.mkdir(parents=True, exist_ok=True)
    file = wanted.folder / f"pairs-{wanted.first_seed}.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    known = {(each["tune"], each["way"], each["seed"]) for each in records}
    weights = pretrained(wanted.folder)
    for seed in range(wanted.first_seed, wanted.first_seed + wanted.pairs):
        for tune in wanted.tune.split(","):
            for way in WAYS:
                if (tune, way, seed) not in known and time.perf_counter() < until:
                    records.append(pair(tune, way, weights, seed))
                    with file.open("a") as out:
                        out.write(json.dumps(records[-1]) + "\n")
    print(json.dumps(records) if wanted.json else table(records))


if __name__ == "__main__":
    main()
