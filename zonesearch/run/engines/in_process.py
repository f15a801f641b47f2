"""Training in the calling process: the simplest engine, against which all others are tested."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from zonesearch.core.objective import Job, Objective
from zonesearch.run.engines.engine import THREAD_VARIABLES, OnProgress, OnTrials, order_of_work
from zonesearch.run.engines.worker import train_job

__all__ = ["InProcess", "threads"]


class InProcess:
    """Trains in the calling process, one job after the other."""

    n_workers = 1
    trains_here = True

    def __init__(self, threads: int = 1, provenance: Mapping[str, Any] | None = None) -> None:
        self._threads = threads
        self._provenance = dict(provenance or {})

    def run(
        self,
        objective: Objective,
        jobs: Sequence[Job],
        on_trials: OnTrials,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Train all ``jobs`` (see :class:`~zonesearch.run.engines.engine.Engine`)."""
        with threads(self._threads):
            for job in order_of_work(jobs):
                self._run_one(objective, job, on_trials, on_progress)

    def _run_one(self, objective: Objective, job: Job, on_trials: OnTrials, on_progress: OnProgress | None) -> None:
        def report(share: float) -> None:
            if on_progress is not None:
                on_progress(job.key, share)

        # Passed on as a whole: an interrupted job runs again unchanged, so it gives the same trials.
        on_trials(list(train_job(objective, job, report, self._provenance)))

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Nothing to end."""


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Limit the numerical libraries of this process to ``n`` threads, including libraries that are loaded later."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(n)))
    try:
        with threadpool_limits(n):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
