"""What a GPU brings, in ten minutes. ``scripts/gpu_check.sh`` runs all pieces; ``python -m benchmarks.gpu PIECE`` one.

``tests``: the tests that need a GPU. ``map``: 5 x 5 cells x 3 seeds of width x batch on MNIST, by jobs as a run forms
them here and by the usual script (one trial after the other, ToTensor, a DataLoader, Adam) on the same device, images
and epochs; where MNIST is not below ``ZONESEARCH_DATA``, on the digits. ``resnet``: ResNet-18 on CIFAR-10 against a
loop that somebody tuned (images on the device, channels last, TensorFloat-32 or bfloat16, fused Adam, cuDNN's own
choice of algorithms, nothing copied within an epoch); where CIFAR-10 is missing, on noise, whose accuracy says nothing.
``table``: what is known so far, as Markdown and as JSON.

Each measurement is a line of ``PIECE.jsonl`` in ``--into`` as soon as it is made. A piece that is called again goes on
where it was. Wall time; the ways take turns. ``--smoke`` takes tiny sizes, to see that everything runs, on a processor
too: its times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset, Subset, TensorDataset

from benchmarks.engine import N_TRAIN, N_VALIDATION, script_epochs
from zonesearch.core.objective import Job, joined
from zonesearch.core.trials import Training, Trial
from zonesearch.training.data.sources import TORCHVISION
from zonesearch.training.numerics import arithmetic
from zonesearch.training.recipe import Recipe

Record = Mapping[str, Any]

AIMS = {"map": 50.0, "resnet": 1.3}
"""How many times as quick we want to be."""
PRECISIONS = ("auto", "bf16")
TESTS = ("tests/training/test_on_gpu.py", "tests/training/test_replay.py")
UNFINISHED = 75
"""The exit status of a piece that has more to do."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Args:
        widths, batches, seeds, epochs: of the map.
        images, held, batch, resnet_epochs, rounds: of ResNet-18; images to train and to validate on.
        smoke: nothing is measured, it is only tried.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    batches: tuple[int, ...] = (16, 32, 64, 128, 256)
    seeds: int = 3
    epochs: int = 2
    images: int = 10_000
    held: int = 2_000
    batch: int = 128
    resnet_epochs: int = 3
    rounds: int = 3
    smoke: bool = False

    @classmethod
    def tiny(cls) -> Sizes:
        """For ``--smoke``."""
        return cls((4, 8), (64, 128), 2, 1, 16, 8, 8, 1, 1, smoke=True)

    @property
    def trainings(self) -> list[Training]:
        """Of the map, seed by seed."""
        cells = product(range(self.seeds), self.widths, self.batches)
        return [Training({"width": width, "batch": batch}, seed, self.epochs) for seed, width, batch in cells]


# -- records


def records(folder: Path, piece: str) -> list[Record]:
    """What was measured; a line that was cut short is left out."""
    path = folder / f"{piece}.jsonl"
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def note(folder: Path, piece: str, **record: Any) -> None:
    """Keep a measurement."""
    with (folder / f"{piece}.jsonl").open("a") as file:
        file.write("\n" + json.dumps(record) + "\n")  # a line before that was cut short ends here
    print(piece, record, file=sys.stderr, flush=True)


def _is_here(name: str) -> bool:
    """Whether a data set of torchvision lies below ``ZONESEARCH_DATA``; nothing is downloaded while a GPU waits."""
    _, folder, within = TORCHVISION[name]
    root = Path(os.environ.get("ZONESEARCH_DATA", "."), folder)
    archived = name == "cifar10" and any(root.glob("*.zip"))  # which recipes read; the script on MNIST does not
    return archived or (root / within).is_dir()


def facts(device: str, sizes: Sizes) -> dict[str, Any]:
    """Where, and how much: what all records of a folder have in common."""
    cuda = device == "cuda"
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "capability": list(torch.cuda.get_device_capability()) if cuda else None,
        "torch": torch.__version__,
        "data": [name for name in ("mnist", "cifar10") if _is_here(name)],
        "sizes": json.loads(json.dumps(asdict(sizes))),
    }


def clocked(device: str, call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a call until the device has finished, and what it gives."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    found = call()
    wait()
    return time.perf_counter() - start, found


# -- the tests


def run_tests(folder: Path) -> int:
    """Run them and keep how they ended; a run without a GPU has skipped them, and says so."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "gpu", *TESTS]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr, file=sys.stderr)
    lines = done.stdout.strip().splitlines()
    note(folder, "tests", status=done.returncode, said=lines[-1] if lines else done.stderr[-200:])
    return int(done.returncode != 0)


# -- the map


def of_map(sizes: Sizes, device: str) -> tuple[Recipe, Dataset[Any], Dataset[Any], str]:
    """The recipe, what the script trains and validates on, and the name of the data."""
    root = Path(os.environ.get("ZONESEARCH_DATA", "."), "mnist")
    training = {"device": device, "precision": "auto"}
    optimizer = {"name": "adam", "learning_rate": 1e-3}
    if not sizes.smoke and _is_here("mnist"):
        share = N_VALIDATION / (N_TRAIN + N_VALIDATION)
        data: dict[str, Any] = {"name": "benchmarks.engine:images", "validation": share}
        made = Recipe.from_tables({"data": data, "optimizer": optimizer, "training": training})
        mnist = torchvision.datasets.MNIST(root, train=True, transform=torchvision.transforms.ToTensor())
        first, second = range(N_TRAIN), range(N_TRAIN, N_TRAIN + N_VALIDATION)
        return made, Subset(mnist, first), Subset(mnist, second), "MNIST"
    made = Recipe.from_tables({"data": {"name": "digits"}, "optimizer": optimizer, "training": training})
    plain = Recipe.from_tables({"data": {"name": "digits"}, "training": {"device": "cpu"}}).split()
    return made, TensorDataset(*plain.train), TensorDataset(*plain.validation), "the digits (MNIST is not here)"


def mapped(made: Recipe, trainings: Sequence[Training]) -> list[Trial]:
    """The trials of a map, by jobs as a run with one worker forms them here."""
    jobs = joined(made, made.jobs(trainings), 1)
    return [trial for job in jobs for trial in made.train(job, lambda share: None)]


def measure_map(folder: Path, sizes: Sizes, device: str) -> int:
    """Round by round the whole map here, then all cells with one seed by the script."""
    made, train, validation, name = of_map(sizes, device)
    done = records(folder, "map")
    where = torch.device(device)
    warm = Training({"width": sizes.widths[0], "batch": sizes.batches[-1]}, sizes.seeds, 1)
    mapped(made, [warm])
    max(script_epochs(train, validation, sizes.widths[0], sizes.batches[-1], 1, where))
    for i in range(sizes.seeds):
        if not any(record["way"] == "here" and record["round"] == i for record in done):
            seconds, trials = clocked(device, lambda: mapped(made, sizes.trainings))
            note(
                folder, "map", way="here", round=i, seconds=seconds, data=name,
                accuracies={trial.key: trial.accuracy for trial in trials},
                precisions=sorted({trial.provenance["precision"] for trial in trials}),
            )  # fmt: skip
        measured = {record["key"] for record in done if record["way"] == "script"}
        for training in (each for each in sizes.trainings if each.seed == i and each.key not in measured):
            torch.manual_seed(training.seed)
            width, batch = training.params["width"], training.params["batch"]

            def script(width: int = width, batch: int = batch, epochs: int = training.epochs) -> float:  # type: ignore[assignment]
                return max(script_epochs(train, validation, width, batch, epochs, where))

            seconds, accuracy = clocked(device, script)
            note(
                folder, "map", way="script", key=training.key, cell=[width, batch], seconds=seconds, accuracy=accuracy,
                data=name,
            )  # fmt: skip
    return 0


def map_summary(found: Sequence[Record], sizes: Sizes) -> dict[str, Any] | None:
    """Seconds and accuracies of both ways; None before every cell was measured once by the script.

    A seed of a cell that the script has not trained yet counts as the mean of the cell's others.
    """
    here = [record for record in found if record["way"] == "here"]
    script = [record for record in found if record["way"] == "script"]
    by_cell: dict[tuple[int, int], list[float]] = {}
    for record in script:
        by_cell.setdefault((record["cell"][0], record["cell"][1]), []).append(record["seconds"])
    if not here or len(by_cell) < len(sizes.widths) * len(sizes.batches):
        return None
    seconds = sizes.seeds * sum(statistics.fmean(each) for each in by_cell.values())
    ours = statistics.median(record["seconds"] for record in here)
    reached = here[0]["accuracies"]
    return {
        "data": here[0]["data"],
        "precisions": here[0]["precisions"],
        "n_trainings": len(sizes.trainings),
        "n_by_script": len(script),
        "n_rounds": len(here),
        "seconds": ours,
        "script_seconds": seconds,
        "times": seconds / ours,
        "aim": AIMS["map"],
        "accuracy": statistics.fmean(reached[record["key"]] or 0.0 for record in script),
        "script_accuracy": statistics.fmean(record["accuracy"] for record in script),
    }


# -- ResNet-18


def noise(n: int = 15_000) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Pictures of CIFAR-10's shape in which there is nothing to see, a data source: ``benchmarks.gpu:noise``."""
    pixels, labels = np.random.default_rng(0).random((n, 3, 32, 32), np.float32), np.arange(n) % 10
    return (pixels, labels), (pixels[:100], labels[:100])


def few() -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """As many as ``--smoke`` needs."""
    return noise(100)


def of_resnet(sizes: Sizes, device: str, precision: str) -> tuple[Recipe, str]:
    """The recipe, and the name of its data."""
    known = _is_here("cifar10") and not sizes.smoke
    limits = {"limit": sizes.images, "limit_validation": sizes.held, "limit_test": 100}
    made_up = "benchmarks.gpu:few" if sizes.smoke else "benchmarks.gpu:noise"
    made = Recipe.from_tables(
        {
            "data": {"name": "cifar10" if known else made_up, **limits},
            "network": {"kind": "backbone"},
            "optimizer": {"name": "adam", "learning_rate": 1e-3},
            "training": {"batch": sizes.batch, "precision": precision, "device": device},
        }
    )
    return made, "CIFAR-10" if known else "noise (CIFAR-10 is not here)"


def tuned(
    train: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], batch: int, epochs: int, precision: str
) -> Iterator[float]:
    """The validation accuracy after each epoch of a loop as somebody writes it who cares for speed."""
    (inputs, labels), (held, wanted) = train, validation
    device = inputs.device
    network = torchvision.models.resnet18(num_classes=10).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    low = precision == "bf16"
    for _ in range(epochs):
        network.train()
        for chosen in torch.randperm(len(labels), device=device).split(batch):
            x = inputs[chosen].contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=low):
                loss = functional.cross_entropy(network(x), labels[chosen])
            loss.backward()
            optimizer.step()
        network.eval()
        right = torch.zeros((), device=device)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=low):
            for x, y in zip(held.split(1000), wanted.split(1000), strict=True):
                right += (network(x.contiguous(memory_format=torch.channels_last)).argmax(1) == y).sum()
        yield float(right) / len(wanted)


@contextmanager
def as_tuned() -> Iterator[None]:
    """What such a loop sets for its process: TensorFloat-32, and that cuDNN tries its algorithms."""
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark
    with arithmetic("tf32", torch.device("cuda")):  # its settings are there without a GPU, too
        cudnn.benchmark = True
        try:
            yield
        finally:
            cudnn.benchmark = before


def measure_resnet(folder: Path, sizes: Sizes, device: str) -> int:
    """Round by round each precision here and by the loop; the first round of all is for warming up."""
    done = {(record["way"], record["precision"], record["round"]) for record in records(folder, "resnet")}
    for precision in PRECISIONS:
        made, name = of_resnet(sizes, device, precision)
        split = made.split()
        epochs = sizes.resnet_epochs

        def ours(made: Recipe = made, epochs: int = epochs) -> tuple[float, str]:
            (trial,) = made.train(Job((Training({}, 0, epochs),)), lambda share: None)
            return trial.accuracy or 0.0, trial.provenance["precision"]

        def loop(split: Any = split, epochs: int = epochs, precision: str = precision) -> tuple[float, str]:
            with as_tuned():
                best = max(tuned(split.train, split.validation, sizes.batch, epochs, precision))
            return best, "bf16" if precision == "bf16" else "tf32" if device == "cuda" else "float32"

        for i in range(0 if sizes.smoke else -1, sizes.rounds):
            for way, call in (("here", ours), ("tuned", loop)):
                missing = [j for j in range(sizes.rounds) if (way, precision, j) not in done]
                if not missing or (i >= 0 and i not in missing):
                    continue
                torch.manual_seed(0)
                seconds, (accuracy, used) = clocked(device, call)
                if i >= 0:
                    note(
                        folder, "resnet", way=way, precision=precision, used=used, round=i, seconds=seconds,
                        accuracy=accuracy, data=name,
                    )  # fmt: skip
    return 0


def resnet_summary(found: Sequence[Record]) -> list[dict[str, Any]]:
    """A row for each precision that was measured both ways."""
    rows = []
    for precision in PRECISIONS:
        here, loop = (
            [record for record in found if (record["way"], record["precision"]) == (way, precision)]
            for way in ("here", "tuned")
        )
        if here and loop:
            ours, theirs = (statistics.median(record["seconds"] for record in each) for each in (here, loop))
            rows.append(
                {
                    "data": here[0]["data"],
                    "precision": precision,
                    "used": [here[0]["used"], loop[0]["used"]],
                    "n_rounds": min(len(here), len(loop)),
                    "seconds": ours,
                    "tuned_seconds": theirs,
                    "times": theirs / ours,
                    "aim": AIMS["resnet"],
                    "accuracy": statistics.fmean(record["accuracy"] for record in here),
                    "tuned_accuracy": statistics.fmean(record["accuracy"] for record in loop),
                }
            )
    return rows


# -- what is known


def summary(folder: Path, sizes: Sizes) -> dict[str, Any]:
    """All of it, as plain data; what is missing is null or empty."""
    tests = records(folder, "tests")
    return {
        **json.loads((folder / "facts.json").read_text()),
        "tests": tests[-1] if tests else None,
        "map": map_summary(records(folder, "map"), sizes),
        "resnet": resnet_summary(records(folder, "resnet")),
    }


def text(found: Mapping[str, Any]) -> str:
    """For ``docs/performance.md``."""
    lines = [f"**{found['device']}**, torch {found['torch']}" + (", tiny sizes" if found["sizes"]["smoke"] else ""), ""]
    tests, here = found["tests"], found["map"]
    lines += [f"Tests: {tests['said'] if tests else 'not run'}.", ""]
    lines += ["| | seconds | here | times | aim | accuracy | here |", "| --- | --- | --- | --- | --- | --- | --- |"]
    if here:
        lines.append(
            f"| map of {here['data']}, {here['n_trainings']} trainings ({here['n_by_script']} by the script), "
            f"{', '.join(here['precisions'])} | {here['script_seconds']:.1f} | {here['seconds']:.2f} | "
            f"{here['times']:.1f} | {here['aim']:g} | {here['script_accuracy']:.2%} | {here['accuracy']:.2%} |"
        )
    else:
        lines.append("| map | not measured | | | | | |")
    for row in found["resnet"]:
        lines.append(
            f"| resnet18 on {row['data']}, precision {row['precision']} (here {row['used'][0]}, the loop "
            f"{row['used'][1]}) | {row['tuned_seconds']:.2f} | {row['seconds']:.2f} | {row['times']:.2f} | "
            f"{row['aim']:g} | {row['tuned_accuracy']:.2%} | {row['accuracy']:.2%} |"
        )
    if not found["resnet"]:
        lines.append("| resnet18 | not measured | | | | | |")
    return "\n".join(lines)


def is_finished(folder: Path, piece: str, sizes: Sizes) -> bool:
    """Whether a piece has nothing left to measure."""
    found = records(folder, piece)
    if piece == "tests":
        return any(record["status"] == 0 for record in found)
    if piece == "map":
        return len(found) == len(sizes.trainings) + sizes.seeds
    return len(found) == 2 * len(PRECISIONS) * sizes.rounds


def begin(folder: Path, device: str, sizes: Sizes) -> None:
    """Make the folder, or see that it holds the same measurements.

    Raises:
        SystemExit: it holds others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, now = folder / "facts.json", facts(device, sizes)
    if path.exists() and json.loads(path.read_text()) != now:
        print(
            f"{folder} holds measurements of another device, torch, size or data; take another --into", file=sys.stderr
        )
        raise SystemExit(2)
    path.write_text(json.dumps(now))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 1 when tests fail, or 2 for a folder that holds other measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("piece", choices=("tests", "map", "resnet", "table"))
    parser.add_argument("--into", type=Path, default=Path("gpu-check"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args(arguments)
    sizes = Sizes.tiny() if options.smoke else Sizes()
    begin(options.into, options.device, sizes)
    if options.piece == "table":
        found = summary(options.into, sizes)
        (options.into / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")
        (options.into / "gpu.md").write_text(text(found) + "\n")
        print(text(found))
        finished = all(is_finished(options.into, piece, sizes) for piece in ("tests", "map", "resnet"))
        return 0 if finished else UNFINISHED
    if is_finished(options.into, options.piece, sizes):
        return 0
    if options.piece == "tests":
        return run_tests(options.into)
    return {"map": measure_map, "resnet": measure_resnet}[options.piece](options.into, sizes, options.device)


if __name__ == "__main__":
    raise SystemExit(main())
