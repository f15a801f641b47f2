"""Training in this process, in a room of its own that is noted with each trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zonesearch import Job, Objective, StudyError
from zonesearch.run.engines.engine import EngineOptions, OnProgress, OnTrials
from zonesearch.run.engines.worker import train_job


class Room:
    n_workers = 1

    def __init__(self, address: str, options: EngineOptions) -> None:
        if options.timeout is not None:
            raise StudyError("the engine room ends no training: leave out timeout")
        self.provenance = {**options.provenance, "room": address}

    def run(
        self,
        objective: Objective,
        jobs: Sequence[Job],
        on_trials: OnTrials,
        on_progress: OnProgress | None = None,
    ) -> None:
        for job in jobs:
            on_trials(list(train_job(objective, job, lambda share: None, self.provenance)))

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *of: Any) -> None:
        pass
