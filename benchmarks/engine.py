"""Trainings per hour, against the script that most people write. ``python -m benchmarks.engine [--json]``.

Five ways to train the same networks on one core: (a) the usual script: an Optuna objective with a torchvision data set,
ToTensor, a DataLoader and Adam; (b) tensors in memory and a plain loop; (c) the stack in float32; (d) the stack with
products in bfloat16, where the processor has those; (e) the stack as it is by default, with precision ``auto``. All
train on 8,000 and validate on 2,000 of the same 10,000 images, for equal epochs. They take turns, cell by cell and
round by round, so that a machine that slows down slows all of them; what is printed are medians of processor time, a
column for each precision, accuracies beside. Cells are networks of one
hidden layer, width x batch, on MNIST (from ``ZONESEARCH_DATA``); then the whole map of ``studies/digits.toml``. Each
time is held against what the processor can do: its rate in matrix products and its rate in moving memory.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
import torch
import torchvision
from scipy import stats
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from zonesearch.core.trials import Training, Trial
from zonesearch.study.files import read_study
from zonesearch.training.numerics import arithmetic
from zonesearch.training.recipe import Recipe

CELLS = ((128, 16), (512, 64), (1024, 256), (4096, 512), (8192, 1024))
N_TRAIN, N_VALIDATION, EPOCHS = 8000, 2000, 1
SEEDS = 8
"""Of the smallest cell, trained together."""
WAYS = ("script", "plain", "float32", "bf16", "auto")
CPU = torch.device("cpu")
DIGITS = Path(__file__).parents[1] / "studies" / "digits.toml"


# -- the ways to train


def script_epochs(
    train: Dataset[Any], validation: Dataset[Any], width: int, batch: int, epochs: int, device: torch.device = CPU
) -> Iterator[float]:
    """One training of (a): the validation accuracy after each epoch, as it comes."""
    loader = DataLoader(train, batch_size=batch, shuffle=True)
    judges = DataLoader(validation, batch_size=1000)
    n_inputs = train[0][0].numel()
    network = nn.Sequential(nn.Flatten(), nn.Linear(n_inputs, width), nn.ReLU(), nn.Linear(width, 10)).to(device)
    optimizer = torch.optim.Adam(network.parameters())
    for _ in range(epochs):
        network.train()
        for inputs, labels in loader:
            optimizer.zero_grad()
            functional.cross_entropy(network(inputs.to(device)), labels.to(device)).backward()
            optimizer.step()
        network.eval()
        right = 0
        with torch.no_grad():
            for inputs, labels in judges:
                right += int((network(inputs.to(device)).argmax(1) == labels.to(device)).sum())
        yield right / len(validation)  # type: ignore[arg-type]


def script(train: Dataset[Any], validation: Dataset[Any], cells: Sequence[tuple[int, int]], epochs: int) -> list[float]:
    """(a) One Optuna trial after the other, as in the libraries' own examples; their accuracies."""

    def objective(trial: optuna.Trial) -> float:
        width, batch = trial.suggest_int("width", 1, 10_000), trial.suggest_int("batch", 1, 10_000)
        return max(script_epochs(train, validation, width, batch, epochs))

    study = optuna.create_study(direction="maximize")
    for width, batch in cells:
        study.enqueue_trial({"width": width, "batch": batch})
    study.optimize(objective, n_trials=len(cells))
    return [float(trial.values[0]) for trial in study.trials]


def plain(
    train: Sequence[torch.Tensor], validation: Sequence[torch.Tensor], cell: tuple[int, int], epochs: int
) -> list[float]:
    """(b) The data are tensors in memory; otherwise the loop of (a)."""
    width, batch = cell
    inputs, labels = train
    network = nn.Sequential(nn.Flatten(), nn.Linear(inputs[0].numel(), width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = torch.optim.Adam(network.parameters())
    best = 0.0
    for _ in range(epochs):
        for chosen in torch.randperm(len(inputs)).split(batch):
            optimizer.zero_grad()
            functional.cross_entropy(network(inputs[chosen]), labels[chosen]).backward()
            optimizer.step()
        with torch.no_grad():
            best = max(best, (network(validation[0]).argmax(1) == validation[1]).double().mean().item())
    return [best]


def accuracies(recipe: Recipe, trainings: Sequence[Training]) -> list[float]:
    """Of the trainings that :func:`stacked` gives."""
    return [trial.accuracy or 0.0 for trial in stacked(recipe, trainings)]


def stacked(recipe: Recipe, trainings: Sequence[Training]) -> list[Trial]:
    """(c), (d), (e) What an engine does with the jobs of these trainings."""
    return [trial for job in recipe.jobs(trainings) for trial in recipe.train(job, lambda share: None)]


def images() -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """The images of all ways as a data source, ``benchmarks.engine:images``; nothing here looks at a test part."""
    root = Path(os.environ.get("ZONESEARCH_DATA", "."), "mnist")
    mnist = torchvision.datasets.MNIST(root, train=True)
    pixels, labels = mnist.data.numpy()[:, None].astype(np.float32) / 255, mnist.targets.numpy()
    n = N_TRAIN + N_VALIDATION
    return (pixels[:n], labels[:n]), (pixels[n : n + 100], labels[n : n + 100])


def recipe(precision: str) -> Recipe:
    """MNIST as the script has it: as many images for each part."""
    made = Recipe.from_tables(
        {
            "data": {"name": "benchmarks.engine:images", "validation": N_VALIDATION / (N_TRAIN + N_VALIDATION)},
            "optimizer": {"name": "adam", "learning_rate": 1e-3},
            "training": {"precision": precision, "device": "cpu"},
        }
    )
    split = made.split()
    assert (len(split.train[1]), len(split.validation[1])) == (N_TRAIN, N_VALIDATION)
    return made


def of_cell(cell: tuple[int, int], seeds: int = 1, epochs: int = EPOCHS) -> list[Training]:
    """The trainings of a cell."""
    return [Training({"width": cell[0], "batch": cell[1]}, seed, epochs) for seed in range(seeds)]


# -- what the machine can do


@dataclass(frozen=True)
class Machine:
    """Rates of one core: products in GFLOP/s, memory in GB/s (read and written)."""

    float32: float
    bf16: float
    float32_of_torch: float
    memory: float

    @property
    def has_bf16(self) -> bool:
        """Whether products in bfloat16 are worth trying; without instructions of their own they are played."""
        return self.bf16 > self.float32

    @classmethod
    def measured(cls, seconds: float = 0.3) -> Machine:
        a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
        low, lower = a.bfloat16(), b.bfloat16()
        flops = 2 * 1024**3 / 1e9
        with arithmetic("float32", CPU):
            quick = flops / timed(lambda: a @ b, seconds)
        with arithmetic("bf16", CPU):
            bf16 = flops / timed(lambda: low @ lower, seconds)
        large = torch.ones(64_000_000)
        return cls(
            quick, bf16, flops / timed(lambda: a @ b, seconds), 2 * 0.256 / timed(lambda: large.add_(1), seconds)
        )


def timed(call: Callable[[], object], seconds: float) -> float:
    """Processor seconds of a call, the least of as many as fit into ``seconds``."""
    call()
    least, until = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.process_time()
        call()
        least = min(least, time.process_time() - start)
    return least


@dataclass(frozen=True)
class Cell:
    """One row of the table: medians in seconds of a training, and what they come to.

    Args:
        name: width x batch.
        script, plain, stack, stack_bf16, stack_auto: seconds a training; in bfloat16 NaN on a processor without such
            products.
        accuracies: means, one a way to train.
        products, memory: share of the time of the stack (float32) that the products, the optimizer's pass over weights
            that no cache holds, would take at the machine's own rates.
    """

    name: str
    script: float
    plain: float
    stack: float
    stack_bf16: float
    stack_auto: float
    products: float
    memory: float
    accuracies: tuple[float, ...] = ()

    @property
    def limit(self) -> str:
        """What takes the time."""
        if self.products > 0.5:
            return "matrix products"
        if self.products + self.memory > 0.5:
            return "matrix products and memory"
        return "many small operations a step"


def shares(machine: Machine, cell: tuple[int, int], seconds: float) -> tuple[float, float]:
    """Time that products and memory take at the machine's rates, as shares of ``seconds``."""
    width, batch = cell
    first, second = 784 * width, 10 * width
    flops = N_TRAIN * (4 * first + 6 * second) + N_VALIDATION * 2 * (first + second)  # data need no gradient
    n_bytes = 7 * 4 * (first + second) * math.ceil(N_TRAIN / batch)  # weights and two moments to and fro, gradients
    cached = first + second < 2_000_000  # four arrays of this size
    return (
        EPOCHS * flops / 1e9 / machine.float32 / seconds,
        0.0 if cached else EPOCHS * n_bytes / 1e9 / machine.memory / seconds,
    )


# -- the measurements


def cells(machine: Machine, rounds: int) -> list[Cell]:
    """The five cells, and eight seeds of the smallest together."""
    root = Path(os.environ.get("ZONESEARCH_DATA", "."), "mnist")
    images = torchvision.datasets.MNIST(root, train=True, transform=torchvision.transforms.ToTensor())
    train = Subset(images, range(N_TRAIN))
    validation = Subset(images, range(N_TRAIN, N_TRAIN + N_VALIDATION))
    known = ("float32", "bf16", "auto") if machine.has_bf16 else ("float32", "auto")
    recipes = {precision: recipe(precision) for precision in known}
    split = recipes["float32"].split()
    times: dict[tuple[str, str], list[float]] = {}
    reached: dict[tuple[str, str], list[float]] = {}

    def clock(name: str, way: str, call: Callable[[], Sequence[float]], n: int = 1) -> None:
        start = time.process_time()
        reached.setdefault((name, way), []).extend(call())
        seconds = time.process_time() - start
        times.setdefault((name, way), []).append(seconds / n)
        say(f"{name}, {way}: {seconds:.2f} s")

    for cell in CELLS[:2]:
        for each in recipes.values():
            stacked(each, of_cell(cell, epochs=1))  # warm
    for _ in range(rounds):
        for cell in CELLS:
            name = f"{cell[0]} x {cell[1]}"
            clock(name, "script", lambda: script(train, validation, [cell], EPOCHS))  # noqa: B023
            clock(name, "plain", lambda: plain(split.train, split.validation, cell, EPOCHS))  # noqa: B023
            for precision, each in recipes.items():
                clock(name, precision, lambda: accuracies(each, of_cell(cell)))  # noqa: B023
        for precision, each in recipes.items():
            clock("seeds", precision, lambda: accuracies(each, of_cell(CELLS[0], SEEDS)), SEEDS)  # noqa: B023
    mean = {key: statistics.fmean(values) for key, values in reached.items()}
    median = {key: statistics.median(seconds) for key, seconds in times.items()}
    rows = []
    for cell in CELLS:
        mine = [median.get((f"{cell[0]} x {cell[1]}", way), math.nan) for way in WAYS]
        good = tuple(mean.get((f"{cell[0]} x {cell[1]}", way), math.nan) for way in WAYS)
        rows.append(Cell(f"{cell[0]} x {cell[1]}", *mine, *shares(machine, cell, mine[2]), good))
    first = f"{CELLS[0][0]} x {CELLS[0][1]}"
    seeds = [median.get((first if way in WAYS[:2] else "seeds", way), math.nan) for way in WAYS]
    good = tuple(mean.get((first if way in WAYS[:2] else "seeds", way), math.nan) for way in WAYS)
    rows.append(Cell(f"{first}, {SEEDS} seeds", *seeds, *shares(machine, CELLS[0], seeds[2]), good))
    return rows


def accuracy_of_bf16(seeds: int = 4, epochs: int = 4) -> tuple[float, float, float]:
    """Accuracy with bfloat16 minus that with float32 in per cent, same seeds, three cells: mean and 95 % interval."""
    trainings = [training for cell in CELLS[:3] for training in of_cell(cell, seeds, epochs)]
    found = {
        precision: {trial.training.key: trial.accuracy or 0.0 for trial in stacked(recipe(precision), trainings)}
        for precision in ("float32", "bf16")
    }
    differences = [100 * (found["bf16"][key] - accuracy) for key, accuracy in found["float32"].items()]
    low, high = stats.t.interval(0.95, len(differences) - 1, loc=np.mean(differences), scale=stats.sem(differences))
    return float(np.mean(differences)), float(low), float(high)


def whole_map(rounds: int) -> dict[str, float]:
    """Seconds of the digits map: every cell with every seed, 20 epochs."""
    study = read_study(DIGITS, ["training.device=cpu"])
    made = study.objective()
    assert isinstance(made, Recipe)
    trainings = tuple(
        Training(point, seed, study.epochs) for point in study.space.grid() for seed in range(study.seeds.zone)
    )
    split = made.split()
    train, validation = TensorDataset(*split.train), TensorDataset(*split.validation)
    points = [(int(t.params["width"]), int(t.params["batch"])) for t in trainings]
    times: dict[str, list[float]] = {"script": [], "plain": [], "stack": []}
    for _ in range(rounds):
        for way, call in {
            "script": lambda: script(train, validation, points, study.epochs),
            "plain": lambda: [plain(split.train, split.validation, point, study.epochs) for point in points],
            "stack": lambda: stacked(made, trainings),
        }.items():
            start = time.process_time()
            call()
            times[way].append(time.process_time() - start)
            say(f"digits map, {way}: {times[way][-1]:.1f} s")
    return {way: statistics.median(seconds) for way, seconds in times.items()} | {"n_trainings": len(trainings)}


def say(text: str) -> None:
    """On stderr, since this takes minutes."""
    print(text, file=sys.stderr, flush=True)


def geomean(values: Sequence[float]) -> float:
    """Of positive numbers."""
    return math.exp(statistics.fmean(map(math.log, values)))


def figures(rounds: int, map_rounds: int) -> dict[str, Any]:
    """Everything, as plain data."""
    machine = Machine.measured()
    rows = cells(machine, rounds)
    mean, low, high = accuracy_of_bf16() if machine.has_bf16 else (math.nan,) * 3
    gains = {"float32": [row.script / row.stack for row in rows]}
    if machine.has_bf16:
        gains["bf16"] = [row.script / row.stack_bf16 for row in rows]
    gains["auto"] = [row.script / row.stack_auto for row in rows]
    mapped = whole_map(map_rounds) if map_rounds else {}
    return {
        **{f"geomean_vs_script_{name}": geomean(gain[: len(CELLS)]) for name, gain in gains.items()},
        **{f"small_cells_vs_script_{name}": geomean([gain[0], gain[-1]]) for name, gain in gains.items()},
        **({"map_vs_script": mapped["script"] / mapped["stack"]} if mapped else {}),
        "machine": asdict(machine),
        "bf16_accuracy_percent": {"mean": mean, "low": low, "high": high},
        "cells": [
            asdict(row) | {"vs_script": row.script / row.stack, "vs_script_bf16": row.script / row.stack_bf16,
                           "vs_script_auto": row.script / row.stack_auto, "limit": row.limit}
            for row in rows
        ],
        "map": mapped,
    }  # fmt: skip


def text(found: dict[str, Any]) -> str:
    """The tables in words and Markdown."""
    machine, mapped, bf16 = found["machine"], found["map"], found["bf16_accuracy_percent"]
    per_hour = 3600 * EPOCHS / 40
    lines = [
        f"One core: {machine['float32']:.0f} GFLOP/s in float32 products ({machine['float32_of_torch']:.0f} by torch's "
        f"default road), {machine['bf16']:.0f} in bfloat16, {machine['memory']:.0f} GB/s of memory.",
        "",
        f"Trainings per hour, 40 epochs of {N_TRAIN} images:",
        "",
        "| width x batch | script | plain loop | stack, float32 | bf16 | auto | x script, float32 | bf16 | auto "
        "| accuracies | products | memory | limit |",
        "| --- " * 13 + "|",
    ]
    for row in found["cells"]:
        ways = ("script", "plain", "stack", "stack_bf16", "stack_auto")
        rates = " | ".join(f"{per_hour / row[way]:,.0f}" if math.isfinite(row[way]) else "" for way in ways)
        good = " / ".join(f"{100 * value:.1f}" for value in row["accuracies"] if math.isfinite(value))
        low = f"{row['vs_script_bf16']:.1f}" if math.isfinite(row["stack_bf16"]) else ""
        lines.append(
            f"| {row['name']} | {rates} | {row['vs_script']:.1f} | {low} | {row['vs_script_auto']:.1f} | {good} "
            f"| {row['products']:.0%} | {row['memory']:.0%} | {row['limit']} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"The digits map, {mapped['n_trainings']} trainings: {mapped['script']:.1f} s by the script, "
            f"{mapped['plain']:.1f} s by the plain loop, {mapped['stack']:.1f} s stacked."
            if mapped
            else "The digits map was left out.",
            f"bfloat16 changes the accuracy by {bf16['mean']:+.2f} % ({bf16['low']:+.2f} to {bf16['high']:+.2f})."
            if math.isfinite(bf16["mean"])
            else "This processor has no products in bfloat16.",
            *(f"{name}: {found[name]:.2f}" for name in found if "_vs_script" in name),
        ]
    )


def without_nan(found: Any) -> Any:
    """Plain data with null for what was not measured, as JSON wants it."""
    if isinstance(found, dict):
        return {key: without_nan(value) for key, value in found.items()}
    if isinstance(found, list):
        return [without_nan(value) for value in found]
    return None if isinstance(found, float) and math.isnan(found) else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--map-rounds", type=int, default=3, help="of the digits map; with 0 it is left out")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = figures(options.rounds, options.map_rounds)
    print(json.dumps(without_nan(found)) if options.json else text(found))


if __name__ == "__main__":
    main()
