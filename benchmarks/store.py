"""What a large run costs to read, to add to and to run: ``python -m benchmarks.store [--trials N] [--epochs N]``.

Each line is measured in a process of its own, so that its memory is its own: seconds of processor time, and the most
memory that the process held.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from zonesearch import Study
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.run.storage.provenance import machine
from zonesearch.run.storage.record import heading_line, trial_line
from zonesearch.run.storage.run_folder import RunFolder

SIDE, SEEDS = 100, 10  # cells along each of two axes, seeds of each: 100,000 trainings


def accuracy(params: dict[str, Any], seed: int, epochs: int) -> float:
    """Something to be trained that costs nothing."""
    return 1 - 1e-5 * abs(params["x"] - 40) - 1e-5 * abs(params["y"] - 40) - 1e-4 * seed


def study(side: int = SIDE, seeds: int = SEEDS, epochs: int = 1) -> Study:
    """A grid of ``side`` x ``side`` cells."""
    space = {name: [float(value) for value in range(side)] for name in ("x", "y")}
    return Study.of(space, accuracy, name="large", stages=("grid",), seeds=seeds, epochs=epochs)


def write(into: Path, n: int, epochs: int) -> None:
    """A run of ``n`` trials with ``epochs`` epochs each, written as quickly as a file can be."""
    rng = np.random.default_rng(0)
    made = study(epochs=epochs)
    identity = {"objective": {"function": "large"}, "seed": 0}
    folder = RunFolder.create_or_open(into, identity, name="large", settings=made.settings())
    where = {**machine(), "device": "cpu", "precision": "float32"}
    with (folder.trials_folder / "main.jsonl").open("wb") as file:
        file.write(heading_line(folder.heading))
        for i in range(n):
            cell, seed = divmod(i, SEEDS)
            x, y = divmod(cell, SIDE)
            curve = (0.9 * rng.random(epochs)).tolist()
            loss = rng.random(epochs).tolist()
            training = Training({"x": float(x), "y": float(y)}, seed, epochs)
            curves = {"validation_accuracy": curve, "validation_loss": loss} if epochs > 1 else {}
            started = f"2026-01-01T00:{i // 60000 % 60:02d}:{i // 1000 % 60:02d}.{i % 1000:03d}+00:00"
            trial = Trial(
                training,
                accuracy=max(curve),
                curve=curves,
                seconds=float(rng.random()),
                n_parameters=1000,
                n_validation=360,
                provenance={**where, "started": started},
            )
            file.write(trial_line(trial, folder.study))


def measured(code: str, *arguments: str) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and megabytes of a process that runs ``code``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    report = f"{code}\nimport resource, sys\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", report, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, int(done.stderr.split()[-1]) / 1024


LOAD = (
    "import sys\nfrom zonesearch.run.storage.store import Store\n"
    "from zonesearch.run.storage.run_folder import RunFolder\n"
    "trials = Store(RunFolder.open(sys.argv[1]), writer=None).load().trials\nassert len(trials) == int(sys.argv[2])"
)
COMMAND = "import sys\nfrom zonesearch.cli.main import main\nassert main(sys.argv[1:]) == 0"
NOTHING = "import zonesearch.run.recorded"


def appending(n: int) -> float:
    """Seconds to add ``n`` trials one after the other."""
    made = [Trial(Training({"x": float(i)}), accuracy=0.5) for i in range(n)]
    for trial in made:
        _ = trial.training.identity
    began = time.perf_counter()
    trials = Trials()
    for trial in made:
        trials = trials | Trials([trial])
    assert len(trials) == n
    return time.perf_counter() - began


def running(side: int, scratch: Path) -> tuple[int, float]:
    """How many trainings a run of a quick function has, and the wall seconds of each in a run folder."""
    from zonesearch.run.running import run_study

    made = study(side, 1)
    began = time.perf_counter()
    result = run_study(made, into=scratch / f"run-{side}", workers=1)
    return len(result.trials), (time.perf_counter() - began) / len(result.trials)


def main() -> None:
    """Measure all of it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    n = options.trials
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        run = scratch / "large"
        write(run, n, options.epochs)
        size = (run / "trials" / "main.jsonl").stat().st_size / 2**20
        print(f"{n:,} trials of {options.epochs} epochs, {size:.0f} MB")
        lines = {
            "importing alone": (NOTHING,),
            "loading as trials": (LOAD, str(run), str(n)),
            "status": (COMMAND, "status", str(run)),
            "trials --csv": (COMMAND, "trials", str(run), "--csv"),
            "merge": (COMMAND, "merge", str(run), "--into", str(scratch / "merged")),
        }
        for what, (code, *arguments) in lines.items():
            wall, cpu, memory = measured(code, *arguments)
            print(
                f"{what:<20} {wall:6.2f} s of wall time, {cpu:6.2f} s of processor time, {memory:5.0f} MB", flush=True
            )
        for n_added in (1_000, 10_000, 100_000):
            print(f"adding {n_added:>7,} one by one: {appending(n_added) / n_added * 1e6:.1f} µs each")
        for side in (30, 100):
            n_run, seconds = running(side, scratch)
            print(f"running {n_run:>6,} quick trainings in a folder: {seconds * 1e3:.2f} ms each", flush=True)


if __name__ == "__main__":
    main()
