"""An objective with a time limit outside of an engine: for probes of a plan, and range tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from zonesearch.core.objective import Job, Objective, Report, jobs_of
from zonesearch.core.trials import Training, Trial
from zonesearch.run.engines.engine import Engine
from zonesearch.run.engines.in_process import threads
from zonesearch.run.engines.runner import open_engine

__all__ = ["limited"]


@contextmanager
def limited(
    objective: Objective, timeout: float | None, apart: bool = False, n_threads: int = 1
) -> Iterator[Objective]:
    """``objective``, trained with as many threads as a run uses, in a process that is killed at the time limit; without
    a limit, in this one.

    Args:
        objective: to train.
        timeout: the longest a training may take, in seconds.
        apart: train in a process of its own without a limit too.
        n_threads: of the numerical libraries (``[run] threads``).
    """
    if timeout is None and not apart:
        with threads(n_threads):
            yield objective
        return
    with open_engine(timeout=timeout, apart=apart, threads=n_threads) as crew:
        yield _Limited(objective, crew)


class _Limited:
    def __init__(self, objective: Objective, crew: Engine) -> None:
        self._objective = objective
        self._crew = crew
        self.fingerprint = objective.fingerprint
        self.check = objective.check

    def jobs(self, trainings: Sequence[Training]) -> list[Job]:
        return jobs_of(self._objective, trainings)

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        came: list[Trial] = []
        self._crew.run(self._objective, [job], came.extend, lambda key, share: report(share))
        return iter(came)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objective, name)
