"""Several small convolutional networks on two cores, by threads and by processes. ``python -m benchmarks.cores``.

Four trainings of each network (an epoch of 1,000 CIFAR-10 images, from ``ZONESEARCH_DATA``) one after the other on one
core; one after the other with two threads of the numerical library; by two threads of Python with one thread of the
library each; by two processes, as two workers are. Seconds of wall time, the lowest of turns: on a quiet machine, since
library threads wait for each other. (Threads of Python share torch's random state, so what they train is not
reproducible: it is only timed.)
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from multiprocessing import get_context

os.environ.setdefault("OMP_NUM_THREADS", "2")

import torch

from benchmarks.convolutions import recipe, train
from zonesearch.training.recipe import Recipe

CASES = ((8, 2, 16, "float32"), (16, 2, 64, "float32"), (16, 2, 64, "bf16"), (32, 3, 64, "bf16"))
"""(channels of the first block, blocks, batch, precision)."""
AT_ONCE, CORES = 4, 2
WAYS = ("one core", "threads of the library", "threads of Python", "processes")


@cache
def made(channels: int, blocks: int, batch: int, precision: str) -> Recipe:
    """A recipe with its data loaded, once in each process."""
    network = {"kind": "cnn", "channels": channels, "blocks": blocks, "batch_norm": blocks > 2}
    found = recipe(network, batch, precision)
    found.split()
    return found


def trained(case: tuple[int, int, int, str], seed: int, threads: int = 1) -> float:
    """Train one; returns its accuracy."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    return train(made(*case), 1, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", type=int, nargs="*", default=range(len(CASES)), help="places in the list of cases")
    options = parser.parse_args()
    print("| channels, blocks, batch, precision | " + " | ".join(WAYS) + " |")
    print("| --- " * (1 + len(WAYS)) + "|", flush=True)
    spawned = ProcessPoolExecutor(CORES, mp_context=get_context("spawn"))
    with spawned as processes, ThreadPoolExecutor(CORES) as threads:
        for case in (CASES[i] for i in options.only):
            seeds, cases = range(AT_ONCE), [case] * AT_ONCE
            calls = {
                "one core": lambda: [trained(case, seed) for seed in seeds],  # noqa: B023
                "threads of the library": lambda: [trained(case, seed, CORES) for seed in seeds],  # noqa: B023
                "threads of Python": lambda: list(threads.map(trained, cases, seeds)),  # noqa: B023
                "processes": lambda: list(processes.map(trained, cases, seeds)),  # noqa: B023
            }
            times: dict[str, list[float]] = {way: [] for way in WAYS}
            for round_ in range(options.rounds + 1):
                for way, call in calls.items():
                    start = time.perf_counter()
                    call()
                    if round_:  # the first loads data and warms up
                        times[way].append(time.perf_counter() - start)
            found = " | ".join(f"{min(times[way]):.2f}" for way in WAYS)
            print(f"| {', '.join(map(str, case))} | {found} |", flush=True)


if __name__ == "__main__":
    main()
