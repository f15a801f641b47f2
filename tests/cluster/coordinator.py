"""A run as a process of its own: two rounds, the second chosen from the first."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.run.objectives import Sleeper
from zonesearch.core.objective import Job, Report
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import ZoneSearchError
from zonesearch.run.engines.runner import open_engine
from zonesearch.run.shards import Shard, deal, remaining
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store

N_FIRST, N_SECOND = 60, 8


@dataclass(frozen=True)
class Logged(Sleeper):
    """Sleeps, answers, and notes in a file each training that it begins."""

    log: str = ""

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        for training in job.trainings:
            descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, f"{training.key}\n".encode())
            os.close(descriptor)
        yield from super().train(job, report)

    def fingerprint(self) -> Mapping[str, Any]:
        return {"logged": 1}


def wanted(trials: Trials) -> Sequence[Training]:
    """What a round asks for, as a function of the trials: a row, then a finer one around its best."""
    first = [Training({"x": i}, epochs=2) for i in range(N_FIRST)]
    if trials.missing(first):
        return first
    best = max((trials.get(t) for t in first), key=lambda t: (t.accuracy if t else 0) or 0)
    assert best is not None
    return [Training({"x": best.params["x"], "y": j}) for j in range(N_SECOND)]


def run(folder: Path, objective: Sleeper, where: str, workers: int, shard: Shard | None) -> None:
    here = RunFolder.create_or_open(folder, objective.fingerprint(), name="test")
    provenance = {"shard": str(shard)} if shard else None
    with (
        open_engine(where, workers=workers, provenance=provenance) as engine,
        Store(here, shard.writer if shard else "main") as store,
    ):
        store.load()
        while True:
            jobs = objective.jobs(wanted(store.trials))
            mine = deal(jobs, shard.n)[shard.index - 1] if shard else jobs
            todo = remaining(mine, store.trials)
            if not todo:
                return
            engine.run(objective, todo, store.append)
            if shard:
                return


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shard", type=Shard.parse)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--per-job", type=int, default=2)
    parser.add_argument("--log", default=os.devnull)
    given = parser.parse_args()
    objective = Logged(given.seconds, given.per_job, given.log)
    try:
        run(given.folder, objective, given.engine, given.workers, given.shard)
    except ZoneSearchError as error:
        raise SystemExit(f"zonesearch: {error}") from None


if __name__ == "__main__":
    main()
