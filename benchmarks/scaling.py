"""How well engines keep many workers busy, and what merging costs. ``python -m benchmarks.scaling [--json]``.

Trainings sleep, so that one machine can play many: what is measured is the engine, not the processor. The ideal time is
that of the sleeps alone, perfectly packed; efficiency is the ideal over the measured time; overhead is what an empty
training costs. Workers are started, and have trained one job each, before the clock runs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zonesearch.core.objective import Job, Report
from zonesearch.core.trials import Training, Trial
from zonesearch.run.engines.engine import Engine
from zonesearch.run.engines.runner import open_engine
from zonesearch.run.storage.merge import merge
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store

EPOCHS = 40


@dataclass(frozen=True)
class Sleeper:
    """Sleeps for each job, then gives every training a curve as long as a real one."""

    seconds: float
    per_job: int = 1

    def fingerprint(self) -> Mapping[str, Any]:
        return {"sleeper": self.seconds}

    def check(self, params: Mapping[str, Any]) -> None:
        pass

    def jobs(self, trainings: Sequence[Training]) -> list[Job]:
        step = self.per_job
        return [Job(tuple(trainings[i : i + step])) for i in range(0, len(trainings), step)]

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        time.sleep(self.seconds)
        report(1.0)
        for training in job.trainings:
            yield trial(training)


def trial(training: Training) -> Trial:
    value = int(training.key, 16) / 16**16
    accuracies = [value * (1 - 0.5**epoch) for epoch in range(1, EPOCHS)] + [value]
    losses = [-math.log(max(accuracy, 1e-9)) for accuracy in accuracies]
    curve = {"validation_accuracy": accuracies, "validation_loss": losses, "train_loss": losses}
    return Trial(training, accuracy=max(accuracies), curve=curve, provenance={"host": "benchmark", "shard": "1/1"})


def seconds_for(engine: Engine, objective: Sleeper, n_jobs: int, folder: Path, seed: int) -> float:
    """Wall time to train and record ``n_jobs`` jobs."""
    trainings = [Training({"x": i}, seed, EPOCHS) for i in range(n_jobs * objective.per_job)]
    with Store(RunFolder.create_or_open(folder / f"run-{seed}", objective.fingerprint())) as store:
        jobs = objective.jobs(trainings)
        begun = time.perf_counter()
        engine.run(objective, jobs, store.append)
        return time.perf_counter() - begun


def measure(where: str, workers: int, sleep_s: float, folder: Path) -> dict[str, Any]:
    """Efficiency with ``workers`` and overhead per training, alone and in jobs of ten."""
    with open_engine(where, workers=workers) as engine:
        seconds_for(engine, Sleeper(0.2), 2 * workers, folder, 0)  # every worker is up and has the objective
        n = 8 * workers
        took = seconds_for(engine, Sleeper(sleep_s), n, folder, 1)
        single = seconds_for(engine, Sleeper(0.0), 500, folder, 2) / 500
        bundled = seconds_for(engine, Sleeper(0.0, per_job=10), 50, folder, 3) / 500
    return {
        "engine": where,
        "workers": workers,
        "sleep_s": sleep_s,
        "jobs": n,
        "efficiency": 8 * sleep_s / took,
        "overhead_ms_per_training": 1000 * single,
        "overhead_ms_per_training_in_jobs_of_10": 1000 * bundled,
    }


def measure_merge(n: int, folder: Path) -> dict[str, Any]:
    """Seconds and peak memory of a process that merges ``n`` trials from four runs, and of one that loads them."""
    for part in range(4):
        here = RunFolder.create_or_open(folder / f"part-{part}", {"merge": 1}, name="merge")
        with Store(here, f"shard-{part + 1}-of-4") as store:
            for start in range(part, n, 4000):
                store.append(trial(Training({"x": i}, 0, EPOCHS)) for i in range(start, min(start + 4000, n), 4))
    size = sum(file.stat().st_size for file in folder.rglob("*.jsonl"))
    found: dict[str, Any] = {"trials": n, "megabytes": size / 1e6}
    for what in ("merge", "load"):
        call = [sys.executable, "-m", "benchmarks.scaling", f"--only-{what}", str(folder)]
        found |= json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
    return found


def only(what: str, folder: Path) -> dict[str, float]:
    begun = time.perf_counter()
    if what == "merge":
        merged = merge([folder / f"part-{part}" for part in range(4)], folder / "into")
        assert merged.n_new == merged.n_trainings
    else:
        Store(RunFolder.open(folder / "into"), writer=None).load()
    took = time.perf_counter() - begun
    return {f"{what}_s": took, f"{what}_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64])
    parser.add_argument("--engines", nargs="+", default=["local", "dask://local"])
    parser.add_argument("--sleep", type=float, default=1.0, help="seconds that a training sleeps")
    parser.add_argument("--trials", type=int, default=100_000, help="trials to merge; 0 leaves that out")
    parser.add_argument("--only-merge", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only-load", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    for what in ("merge", "load"):
        if folder := getattr(given, f"only_{what}"):
            print(json.dumps(only(what, folder)))
            return
    found: dict[str, Any] = {"cores": os.cpu_count(), "engines": []}
    for where in given.engines:
        for workers in given.workers:
            with tempfile.TemporaryDirectory() as folder:
                row = measure(where, workers, given.sleep, Path(folder))
            found["engines"].append(row)
            if not given.json:
                print(
                    f"{where:14} {workers:3} workers: efficiency {row['efficiency']:6.1%}, overhead "
                    f"{row['overhead_ms_per_training']:.2f} ms a training, "
                    f"{row['overhead_ms_per_training_in_jobs_of_10']:.2f} ms in jobs of 10",
                    flush=True,
                )
    if given.trials:
        with tempfile.TemporaryDirectory() as folder:
            found["merge"] = row = measure_merge(given.trials, Path(folder))
        if not given.json:
            print(
                f"{row['trials']} trials ({row['megabytes']:.0f} MB): merged in {row['merge_s']:.1f} s with "
                f"{row['merge_peak_mb']:.0f} MB, loaded in {row['load_s']:.1f} s with {row['load_peak_mb']:.0f} MB"
            )
    if given.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
