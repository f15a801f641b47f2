"""Convolutional networks: against the usual script, and together. ``python -m benchmarks.convolutions [PART]``.

``script`` (the default): seconds of an epoch on CIFAR-10 (from ``ZONESEARCH_DATA``) of the script that most people
write (torchvision's data set with ToTensor, a DataLoader, Adam, float32), and of a recipe here in float32 and bfloat16.
``frozen``: an epoch of a backbone tuned in its last stage or its head, with and without features computed once.
``accuracy``: float32 against bfloat16 on small networks, the same seeds; ``sizes``: a step of both, by size.
``together``: several networks of one shape stepped one after the other, and as one program of grouped operations by
``torch.func`` (``stack_module_state``, ``vmap`` over ``grad``); a ratio above 1 says that the stack is quicker.

One core, processor time; the ways take turns, medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import count, product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import torchvision
from PIL import Image
from scipy import stats
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training
from zonesearch.training import frozen, loop
from zonesearch.training.networks import build
from zonesearch.training.numerics import arithmetic, autocast
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import AugmentationSettings, NetworkSettings

RATE = 0.01
SIZES = ((8, 8), (8, 32), (8, 128), (32, 8), (32, 32))
"""(channels of the first block, batch); images of 32 x 32 pixels in three colours."""


def network(channels: int) -> nn.Module:
    """Two blocks of a convolution and a pooling, and a head."""
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * channels * 64, 10),
    )


def one_by_one(networks: list[nn.Module], inputs: Tensor, labels: Tensor) -> None:
    """A step of each network, one after the other."""
    for each in networks:
        parameters = list(each.parameters())
        loss = functional.cross_entropy(each(inputs), labels)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            torch._foreach_add_(parameters, gradients, alpha=-RATE)


def together(networks: list[nn.Module]) -> Callable[[Tensor, Tensor], None]:
    """The same step of all networks as one program."""
    state, _ = stack_module_state(networks)
    template = networks[0]

    def loss(parameters: dict[str, Tensor], inputs: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(template, parameters, (inputs,)), labels)

    gradient = vmap(grad(loss), in_dims=(0, None, None))

    def step(inputs: Tensor, labels: Tensor) -> None:
        found = gradient(state, inputs, labels)
        with torch.no_grad():
            torch._foreach_add_(list(state.values()), [found[name] for name in state], alpha=-RATE)

    return step


def median_seconds(calls: dict[str, Callable[[], None]], rounds: int, repeats: int) -> dict[str, float]:
    """Of each call, which take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            if round_:  # the first is for warming up
                times[name].append((time.perf_counter() - start) / repeats)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


NETWORKS: dict[str, tuple[dict[str, Any], int]] = {
    "cnn, 2 blocks from 16 channels": ({"kind": "cnn"}, 64),
    "cnn, 3 blocks from 32, batch norm": ({"kind": "cnn", "channels": 32, "blocks": 3, "batch_norm": True}, 64),
    "resnet18": ({"kind": "backbone"}, 64),
}
"""[network] and batch."""
N_TRAIN, N_VALIDATION = 1000, 200


def recipe(
    network: dict[str, Any],
    batch: int,
    precision: str,
    n: int = N_TRAIN,
    held: int = N_VALIDATION,
    data: str = "cifar10",
    rate: float = 1e-3,
    every: int = 1,
) -> Recipe:
    """CIFAR-10, or other data, as the script has it: as many images for each part."""
    return Recipe.from_tables(
        {
            "data": {"name": data, "limit": n, "limit_validation": held, "limit_test": held},
            "network": network,
            "optimizer": {"name": "adam", "learning_rate": rate},
            "training": {"batch": batch, "precision": precision, "device": "cpu", "evaluate_every": every},
        }
    )


def train(made: Recipe, epochs: int, seed: int = 0) -> float:
    """The accuracy of a training."""
    (trial,) = made.train(Job((Training({}, seed, epochs),)), lambda share: None)
    return trial.accuracy or 0.0


class Pictures(Dataset[Any]):
    """Images as torchvision's CIFAR10 hands them out: a picture of PIL each, through ToTensor."""

    def __init__(self, pixels: Any, labels: Any) -> None:
        self._pixels, self._labels = pixels, labels
        self._transform = torchvision.transforms.ToTensor()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._pixels[i])), int(self._labels[i])


def pictures(made: Recipe) -> tuple[Pictures, Pictures]:
    """The training and the validation images of a recipe."""
    split = made.split()
    steps = split.preprocessing
    mean, deviation = (torch.tensor(each).view(1, -1, 1, 1) for each in (steps.mean, steps.deviation))
    found = []
    for inputs, labels in (split.train, split.validation):
        assert isinstance(inputs, Tensor)
        pixels = ((inputs * deviation + mean) * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
        found.append(Pictures(pixels.contiguous().numpy(), labels.numpy()))
    return found[0], found[1]


def script(network: dict[str, Any], batch: int, images: tuple[Pictures, Pictures]) -> None:
    """One epoch of the usual script."""
    if network["kind"] == "backbone":
        model: nn.Module = torchvision.models.resnet18(num_classes=10)
    else:
        model = plain(build(NetworkSettings(**network), (3, 32, 32), 10))
    optimizer = torch.optim.Adam(model.parameters())
    model.train()
    for inputs, labels in DataLoader(images[0], batch_size=batch, shuffle=True):
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.eval()
    with torch.no_grad():
        for inputs, _ in DataLoader(images[1], batch_size=1000):
            model(inputs)


def plain(network: nn.Module) -> nn.Module:
    """The network as a script has it: torch's own convolutions, images as they come."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.__class__ = nn.Conv2d
    assert isinstance(network, nn.Sequential)
    return nn.Sequential(*network)


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of processor time of each call, which take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def against_script(rounds: int) -> None:
    """Print the table."""
    print("| network, batch 64 | script | here, float32 | x script | here, bf16 | x script |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (network, batch) in NETWORKS.items():
        made = {precision: recipe(network, batch, precision) for precision in ("float32", "bf16")}
        images = pictures(made["float32"])
        calls: dict[str, Callable[[], object]] = {"script": partial(script, network, batch, images)}
        for precision, each in made.items():
            calls[precision] = partial(train, each, 1)
        found = medians(calls, rounds)
        first = found["script"]
        here = " | ".join(f"{found[p]:.2f} | {first / found[p]:.1f}" for p in made)
        print(f"| {name} | {first:.2f} | {here} |", flush=True)


def with_features(rounds: int) -> None:
    """Print the table. Each training has another network from scratch, so no features are kept from before."""
    print("| tuned | without, an epoch | with, an epoch | gain | 20 epochs without | with | gain |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    computed, seeds = frozen.once, count()

    def trained(made: Recipe, epochs: int, features: bool) -> None:
        loop.once = computed if features else _images  # type: ignore[attr-defined, assignment]
        train(made, epochs, next(seeds))

    for tune in ("last", "head"):
        made = recipe({"kind": "backbone", "tune": tune}, 64, "float32", 400)
        made.split()
        cases = product((2, 6), (False, True))
        found = medians({f"{n} {kept}": partial(trained, made, n, kept) for n, kept in cases}, rounds)
        epoch = [(found[f"6 {kept}"] - found[f"2 {kept}"]) / 4 for kept in (False, True)]
        whole = [found[f"2 {kept}"] + 18 * epoch[kept] for kept in (False, True)]
        print(f"| {tune} | {epoch[0]:.3f} | {epoch[1]:.3f} | {epoch[0] / epoch[1]:.1f} | {whole[0]:.2f} | "
              f"{whole[1]:.2f} | {whole[0] / whole[1]:.1f} |", flush=True)  # fmt: skip
    loop.once = computed  # type: ignore[attr-defined]


def _images(network: nn.Module, parts: frozen.Parts, *_: Any) -> frozen.Parts:
    return parts


@dataclass(frozen=True, eq=False)  # hashed by identity
class Compared:
    """A network of :func:`accuracy_of_bf16`.

    Args:
        data: MNIST or CIFAR-10.
        network: the table ``[network]``; with ``weights``, those of :func:`pretrained`.
        batch, rate: of Adam.
        n, held: training and validation images. With 2,000 of these, which happen to be held out would be most of a
            difference.
        epochs, every: evaluated are the first, every fourth, say, and the last.
        flip: with augmentation: padded by 2 pixels, and flipped.
    """

    data: str
    network: dict[str, Any]
    batch: int
    rate: float
    n: int = 2000
    held: int = 8000
    epochs: int = 12
    every: int = 4
    flip: bool = False


WEIGHTS = "weights"
SMALL: dict[str, Compared] = {
    "MNIST, 2 blocks from 16, batch 64, rate 0.01": Compared("mnist", {"kind": "cnn"}, 64, 0.01),
    "MNIST, 2 blocks from 16, batch norm, batch 128, rate 0.003": Compared(
        "mnist", {"kind": "cnn", "batch_norm": True}, 128, 0.003
    ),
    "CIFAR-10, 2 blocks from 16, batch 32, pad and flip, rate 0.003": Compared(
        "cifar10", {"kind": "cnn"}, 32, 0.003, flip=True
    ),
    "MNIST, 2 blocks from 32, batch norm, batch 32, rate 0.001": Compared(
        "mnist", {"kind": "cnn", "channels": 32, "batch_norm": True}, 32, 0.001
    ),
    "CIFAR-10, 3 blocks from 32, batch norm, batch 64, rate 0.001": Compared(
        "cifar10", {"kind": "cnn", "channels": 32, "blocks": 3, "batch_norm": True}, 64, 0.001
    ),
    "CIFAR-10, resnet18, batch 64, rate 0.001": Compared("cifar10", {"kind": "backbone"}, 64, 0.001, 1000, 4000, 6, 6),
    "CIFAR-10, resnet18 from weights, all tuned, batch 64, rate 0.0003": Compared(
        "cifar10", {"kind": "backbone", "weights": WEIGHTS}, 64, 0.0003, 1000, 4000, 6, 6
    ),
    "CIFAR-10, resnet18 from weights, last stage tuned, batch 64, rate 0.001": Compared(
        "cifar10", {"kind": "backbone", "weights": WEIGHTS, "tune": "last"}, 64, 0.001, 1000, 4000, 12, 12
    ),
}
"""By name."""


def pretrained(folder: Path) -> str:
    """A file of weights of ResNet-18 after 5 epochs of 4,000 other CIFAR-10 images in float32; trained when first asked
    for.
    """
    file = folder / "zonesearch-resnet18-5-epochs.pt"
    if not file.exists():
        other = replace(recipe({"kind": "backbone"}, 64, "float32", 4000, 500), seed=77)
        kept: list[nn.Module] = []
        (trial,) = other.train(
            Job((Training({}, 0, 5, test=True),)), lambda share: None, lambda training, network: kept.append(network)
        )
        torch.save(kept[0].body.state_dict(), file)
        print(f"pretrained weights: {trial.accuracy}", flush=True)
    return str(file)


def accuracy_of_bf16(first: int, seeds: int, only: str = "", file: Path | None = None) -> None:
    """A row for each network: the difference in points over pairs of seeds at the best and at the last evaluated epoch,
    its standard error, and the processor time of both.

    With ``file``, a line of JSON for each pair too, which is then not measured again.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in SMALL if only in name}
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file is not None and file.exists() else []
    for seed in range(first, first + seeds):
        for name, pairs in found.items():
            case = SMALL[name]
            if not Path(os.environ.get("ZONESEARCH_DATA", "."), case.data).exists():
                continue
            pair = next((line for line in lines if (line["name"], line["seed"]) == (name, seed)), None)
            if pair is None:
                pair = {"name": name, "seed": seed, **_pair(case, seed)}
                if file is not None:
                    with file.open("a") as out:
                        out.write(json.dumps(pair) + "\n")
            pairs.append(pair)
    print("| data and network | pairs | float32 | bf16 minus float32, best epoch | last epoch | gain in time |")
    print("| --- " * 6 + "|")
    for name, pairs in found.items():
        if not pairs:
            print(f"| {name} | its data are not there | | | | |")
            continue
        apart = []
        for which in ("best", "last"):
            differences = [pair[which]["bf16"] - pair[which]["float32"] for pair in pairs]
            apart.append(f"{np.mean(differences):+.3f} ± {stats.sem(differences):.3f}")
        exact, low = (statistics.median(pair["seconds"][p] for pair in pairs) for p in ("float32", "bf16"))
        accuracy = np.mean([pair["best"]["float32"] for pair in pairs])
        print(f"| {name} | {len(pairs)} | {accuracy:.2f} | {apart[0]} | {apart[1]} | {exact / low:.2f} |")


def _pair(case: Compared, seed: int) -> dict[str, dict[str, float]]:
    """Accuracies in percent and seconds of processor time, by precision."""
    found: dict[str, dict[str, float]] = {"best": {}, "last": {}, "seconds": {}}
    for precision in ("float32", "bf16"):
        made = _made(case, precision)
        made.split()  # data are loaded before the clock starts
        start = time.process_time()
        (trial,) = made.train(Job((Training({}, seed, case.epochs),)), lambda share: None)
        found["seconds"][precision] = time.process_time() - start
        found["best"][precision] = 100 * (trial.accuracy or 0.0)
        found["last"][precision] = 100 * (trial.curve["validation_accuracy"][-1] if trial.complete else 0.0)
    return found


@cache
def _made(case: Compared, precision: str) -> Recipe:
    network = {**case.network}
    if WEIGHTS in network:
        network[WEIGHTS] = pretrained(Path(tempfile.gettempdir()))
    made = recipe(network, case.batch, precision, case.n, case.held, case.data, case.rate, case.every)
    return replace(made, augmentation=AugmentationSettings(pad=2, flip=True)) if case.flip else made


def sizes(rounds: int) -> None:
    """Milliseconds of a step in float32 and bfloat16, by channels, pixels and batch; medians of turns."""
    print("| channels | pixels | batch | multiplications, million | float32 | bf16 | gain |")
    print("| --- " * 7 + "|", flush=True)
    criterion = functional.cross_entropy
    for channels, pixels, batch in product((8, 16, 32), (8, 16, 28), (8, 32, 128)):
        settings = NetworkSettings(kind="cnn", channels=channels)
        net = build(settings, (3, pixels, pixels), 10)
        optimizer = torch.optim.Adam(net.parameters())
        inputs, labels = torch.randn(batch, 3, pixels, pixels), torch.randint(10, (batch,))

        def step(precision: str) -> None:
            optimizer.zero_grad()  # noqa: B023
            with autocast(precision, inputs.device):  # noqa: B023
                loss = criterion(net(inputs), labels)  # noqa: B023
            loss.backward()
            optimizer.step()  # noqa: B023

        repeats = max(2, 4096 // (channels * pixels * batch // 32))
        found = {"float32": [], "bf16": []}  # type: dict[str, list[float]]
        for _ in range(rounds + 1):
            for precision, times in found.items():
                with arithmetic(precision, inputs.device):
                    start = time.process_time()
                    for _ in range(repeats):
                        step(precision)
                    times.append(1000 * (time.process_time() - start) / repeats)
        exact, low = (statistics.median(times[1:]) for times in found.values())
        products = batch * largest_product(settings, (3, pixels, pixels))
        print(f"| {channels} | {pixels} | {batch} | {products / 1e6:.1f} | {exact:.2f} | {low:.2f} "
              f"| {exact / low:.2f} |", flush=True)  # fmt: skip


def largest_product(settings: NetworkSettings, shape: tuple[int, int, int]) -> int:
    """Multiplications of the largest convolution for one image."""
    channels, pixels, before, most = settings.channels, shape[1] * shape[2], shape[0], 0
    for _ in range(settings.blocks):
        most = max(most, 9 * before * channels * pixels)
        before, channels, pixels = channels, 2 * channels, pixels // 4
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "part", nargs="?", default="script", choices=("script", "frozen", "accuracy", "sizes", "together")
    )
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--file", type=Path, help="of accuracy: where a line of JSON for each pair is added")
    parser.add_argument("--only", default="", help="of accuracy: networks whose name has this in it")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if options.part == "script":
        against_script(options.rounds)
        return
    if options.part == "frozen":
        with_features(options.rounds)
        return
    if options.part == "accuracy":
        accuracy_of_bf16(options.first_seed, options.seeds, options.only, options.file)
        return
    if options.part == "sizes":
        sizes(options.rounds)
        return
    rows = []
    for channels, batch in SIZES:
        networks = [network(channels).to(options.device) for _ in range(options.networks)]
        inputs = torch.randn(batch, 3, 32, 32, device=options.device)
        labels = torch.randint(10, (batch,), device=options.device)
        step = together(networks)
        seconds = median_seconds(
            {
                "one_by_one": lambda: one_by_one(networks, inputs, labels),  # noqa: B023
                "together": lambda: step(inputs, labels),  # noqa: B023
            },
            options.rounds,
            repeats=3,
        )
        rows.append({"channels": channels, "batch": batch, "ratio": seconds["one_by_one"] / seconds["together"]})
    if options.json:
        print(json.dumps({"networks": options.networks, "device": options.device, "sizes": rows}))
        return
    print(f"{options.networks} networks on {options.device}, one by one against together:\n")
    print("| channels | batch | gain |\n| --- | --- | --- |")
    for row in rows:
        print(f"| {row['channels']} | {row['batch']} | {row['ratio']:.2f} |")


if __name__ == "__main__":
    main()
