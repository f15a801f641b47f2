"""What trains bundles: the face of every engine, and the plainest of them.

An engine takes bundles, has each trained somewhere, and hands the trials on as they come. It decides nothing about
the search. ``InProcess`` is the twin that tests and debuggers use; ``processes`` and ``dask_engine`` do the same
elsewhere, and their results are the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol

from zonesearch.core.limits import time_limit
from zonesearch.core.objective import Bundle, Objective
from zonesearch.core.trials import Trial
from zonesearch.errors import StudyError
from zonesearch.run.engines.worker import train_bundle

__all__ = [
    "THREAD_VARIABLES",
    "Engine",
    "InProcess",
    "OnProgress",
    "OnTrials",
    "open_engine",
    "order_of_work",
    "run_bundles",
]

OnTrials = Callable[[list[Trial]], None]
"""Called, in the thread that called ``run``, with the trials that came back together; never with an empty list."""

OnProgress = Callable[[str, float], None]
"""Called, in the thread that called ``run``, with the key of a bundle under way and the share of it that is done."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""The environment variables by which numerical libraries are told how many threads to use."""


class Engine(Protocol):
    """Where bundles are trained. Used in a ``with`` statement, which ends its processes."""

    @property
    def n_workers(self) -> int:
        """How many bundles run at the same time (now, where that can change)."""
        ...

    def run(
        self,
        objective: Objective,
        bundles: Sequence[Bundle],
        on_trials: OnTrials,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Train all ``bundles``, the longest first; return when each training has been handed to ``on_trials``.

        A training that raises, or that takes its process with it again and again, comes back as a failed trial. What
        ``on_trials`` raises ends the run, as Ctrl-C does; trials handed on before stay.

        Raises:
            ObjectiveError: the objective cannot be brought to the workers.
            ZoneSearchError: whatever the objective itself raises for a person to mend.
        """
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End the workers."""
        ...


def open_engine(
    where: str = "local",
    *,
    workers: int = 1,
    threads: int = 1,
    gpus: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    apart: bool = False,
) -> Engine:
    """The engine that ``where`` names; enter it with ``with``.

    Args:
        where: ``local``; ``dask://HOST:PORT``, a scheduler that runs; or ``dask://local``, a cluster of ``workers``
            processes started for this run.
        workers: how many processes on this machine; with 1 everything runs in the calling process, unless there is a
            ``timeout``.
        threads: how many threads each of them uses for its numerical work.
        gpus: CUDA devices (as in ``CUDA_VISIBLE_DEVICES``) that the processes of this machine take turns in; empty
            leaves the choice to the objective.
        provenance: what is recorded with each trial beside the machine: the shard, ...
        timeout: the longest a training may take, in seconds; what takes longer is ended with its process, and comes
            back as a failed trial. A bundle of k trainings has k times as long.
        apart: train in a process of its own even with one worker.

    Raises:
        StudyError: no such engine, or a limit that is none.
        StoreError: the scheduler cannot be reached.
    """
    if workers < 1 or threads < 1:
        raise StudyError(f"an engine needs at least 1 worker and 1 thread, not {workers} and {threads}")
    timeout = time_limit(timeout, "the timeout of an engine")
    if where.startswith("dask://"):
        from zonesearch.run.engines.dask_engine import Dask

        return Dask(where.removeprefix("dask://"), workers, threads, provenance, timeout)
    if where != "local":
        raise StudyError(f'an engine is "local", "dask://HOST:PORT" or "dask://local", not "{where}"')
    if workers == 1 and len(gpus) <= 1 and timeout is None and not apart:
        return InProcess(threads, provenance)
    from zonesearch.run.engines.processes import Processes

    return Processes(workers, threads, gpus, provenance, timeout)


def run_bundles(
    objective: Objective,
    bundles: Sequence[Bundle],
    *,
    workers: int = 1,
    on_trials: OnTrials,
    on_progress: OnProgress | None = None,
    threads: int = 1,
) -> None:
    """Train ``bundles`` once on this machine; for several rounds keep an engine open instead."""
    with open_engine("local", workers=workers, threads=threads) as engine:
        engine.run(objective, bundles, on_trials, on_progress)


def order_of_work(bundles: Sequence[Bundle]) -> list[Bundle]:
    """The order in which bundles start.

    The shortest one says soonest whether anything works here; then the longest, so that none is left for the end, when
    the other workers idle.
    """
    ordered = sorted(bundles, key=lambda bundle: (-bundle.cost, bundle.key))
    return ordered[-1:] + ordered[:-1]


class InProcess:
    """Trains in the calling process, one bundle after the other."""

    n_workers = 1

    def __init__(self, threads: int = 1, provenance: Mapping[str, Any] | None = None) -> None:
        self._threads = threads
        self._provenance = dict(provenance or {})

    def run(
        self,
        objective: Objective,
        bundles: Sequence[Bundle],
        on_trials: OnTrials,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Train all ``bundles`` (see :class:`Engine`)."""
        with _threads(self._threads):
            for bundle in order_of_work(bundles):
                self._run_one(objective, bundle, on_trials, on_progress)

    def _run_one(
        self, objective: Objective, bundle: Bundle, on_trials: OnTrials, on_progress: OnProgress | None
    ) -> None:
        def report(share: float) -> None:
            if on_progress is not None:
                on_progress(bundle.key, share)

        # Handed on whole: a bundle that was cut short runs again as it was, so that it gives the same trials.
        on_trials(list(train_bundle(objective, bundle, report, self._provenance)))

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Nothing to end."""


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Hold the numerical libraries of this process to ``n`` threads: those loaded already, and those to come."""
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
