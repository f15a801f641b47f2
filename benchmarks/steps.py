"""What a step of a small stack costs, by the ways to compute it. ``python -m benchmarks.steps [numpy|bf16|onednn]``.

One epoch of networks of one hidden layer on the digits (64 inputs) and, where ``ZONESEARCH_DATA`` has it, MNIST (784),
in microseconds of processor time per step, validation and set-up included; the lowest of several rounds in which both
ways take turns. ``numpy``: passes through torch and through numpy; ``bf16``: products in float32 and in bfloat16;
``onednn``: all products by oneDNN, and by the library that the size of the stack decides.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

from zonesearch.core.objective import jobs_of
from zonesearch.core.trials import Training
from zonesearch.training.recipe import Recipe

_EXAMPLES = {"digits": 1024, "mnist": 8192}
CASES = (
    *(("digits", *case) for case in ((64, 4, 1), (256, 4, 3), (1024, 4, 1), (256, 16, 1), (64, 64, 1))),
    *(("mnist", *case) for case in ((128, 4, 8), (128, 16, 1), (512, 64, 1), (1024, 256, 1))),
)
"""Data, width, batch size, seeds in one stack."""

Way = tuple[str, Callable[[], AbstractContextManager[object]]]


@contextmanager
def _through_torch() -> Iterator[None]:
    quick = "zonesearch.training.stack.quick"
    with patch(f"{quick}._MOST", 0), patch(f"{quick}._MOST_NARROW", 0):
        yield


WAYS: dict[str, tuple[Way, Way]] = {
    "numpy": (("torch", _through_torch), ("numpy", nullcontext)),
    "bf16": (("float32", nullcontext), ("bf16", nullcontext)),
    "onednn": (("oneDNN", lambda: patch("zonesearch.training.numerics._WEIGHTS", 0)), ("by size", nullcontext)),
}


def step_us(data: str, width: int, batch: int, seeds: int, way: Way) -> float:
    """Microseconds of processor time per step of one epoch."""
    name, chosen = way
    precision = name if name == "bf16" else "float32"
    n = _EXAMPLES[data]
    recipe = Recipe.from_tables(
        {
            "data": {"name": data, "limit": n, "limit_validation": 256, "limit_test": 64},
            "training": {"device": "cpu", "precision": precision},
            "optimizer": {"name": "adam", "learning_rate": 1e-3},
        }
    )
    recipe.split()  # data are loaded before the clock starts
    jobs = jobs_of(recipe, [Training({"width": width, "batch": batch}, seed, 1) for seed in range(seeds)])
    with chosen():
        start = time.process_time()
        for job in jobs:
            for _ in recipe.train(job, lambda share: None):
                pass
        return 1e6 * (time.process_time() - start) / (n // batch)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", choices=WAYS, nargs="?", default="numpy")
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args(arguments)
    ways = WAYS[wanted.ways]
    has_mnist = Path(os.environ.get("ZONESEARCH_DATA", "."), "mnist").exists()
    print(f"| data, width | batch | seeds | {ways[0][0]} | {ways[1][0]} |\n" + "| --- " * 5 + "|")
    step_us(*CASES[0], ways[0])  # what is loaded on first use
    for case in CASES:
        if case[0] == "mnist" and not has_mnist:
            continue
        rounds = [[step_us(*case, way) for way in ways] for _ in range(wanted.rounds)]
        lowest = [min(found) for found in zip(*rounds, strict=True)]
        print(f"| {case[0]}, {case[1]} | {case[2]} | {case[3]} | {lowest[0]:.0f} | {lowest[1]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
