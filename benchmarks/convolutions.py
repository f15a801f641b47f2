"""Whether convolutional networks gain by training as one program. ``python -m benchmarks.convolutions [--json]``.

Several networks of one shape, other seeds: stepped one after the other, and as one program of grouped operations by
``torch.func`` (``stack_module_state``, ``vmap`` over ``grad``). Forward, backward and a step of plain gradient descent,
the same batches; the ways take turns, medians are printed. A ratio above 1 says that the stack is quicker.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
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
