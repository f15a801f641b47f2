"""Training on a Dask cluster: many machines, online.

Dask handles the difficult parts: workers that join, leave and die, the placement of tasks, and running them again
elsewhere. A job is one task; its trials are returned and recorded as soon as it is done.

When a worker dies, the scheduler runs its tasks again elsewhere, and gives up on a task after several such deaths
(``distributed.scheduler.allowed-failures``). It cannot know which of the tasks on a dead worker was to blame, so such
tasks are tried once more at the end, one training at a time, before they are recorded as failed.

With a ``timeout``, a worker runs each job in a separate process, which it can kill, since Dask cannot stop a running
task. A training that kills that process then affects neither other trainings nor the worker.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import queue
import threading
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any

import cloudpickle
from distributed import Client, Future, KilledWorker, LocalCluster, get_worker

from zonesearch.core.objective import Job, Objective, Report
from zonesearch.core.trials import Trial
from zonesearch.errors import ObjectiveError, StoreError, StudyError, ZoneSearchError
from zonesearch.run.engines.engine import THREAD_VARIABLES, EngineOptions, OnProgress, OnTrials, order_of_work
from zonesearch.run.engines.processes import Processes, pickled
from zonesearch.run.engines.worker import failed, train_job
from zonesearch.run.storage.provenance import machine

__all__ = ["Dask", "open_dask"]

_TOPIC = "zonesearch-progress"
_SILENT_S = 10.0  # after this long without news, check whether there are any workers
_LOST = (OSError, CancelledError, RuntimeError, AttributeError)
"""What fetching a result raises when the scheduler is gone: refused or closed connections, futures cancelled meanwhile,
and distributed's own error about objects that it has already dropped (``None.with_traceback``)."""
_SAY_S = 0.5  # a running job reports at most this often


class Dask:
    """Trains on the workers of a Dask cluster, one job per worker process at a time.

    Workers may come and go while it runs. If any worker offers the resource ``GPU`` (``dask worker ... --resources
    GPU=1``), each job takes one, so that a GPU has one job.

    Args:
        address: ``HOST:PORT`` of a running scheduler, or ``local`` for a cluster of processes on this machine.
        workers: number of processes that ``local`` starts; ignored otherwise.
        threads: how many threads a ``local`` process uses for numerical work.
        provenance: recorded with each trial in addition to the machine.
        timeout: the longest a training may take, in seconds; None for no limit.

    Raises:
        StoreError: the scheduler cannot be reached.
    """

    def __init__(
        self,
        address: str,
        workers: int = 1,
        threads: int = 1,
        provenance: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._provenance = {"engine": "dask", **(provenance or {})}
        self._cluster: LocalCluster | None = None
        self._sent: tuple[Objective, Future[Any]] | None = None
        self._heard: queue.SimpleQueue[Future[Any] | tuple[str, float]] = queue.SimpleQueue()
        self._alone = False
        self._silence = ExitStack()
        self._silence.enter_context(_quiet())
        try:
            if address == "local":
                self._cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",  # it listens in any case, by default at one port for all
                    env=dict.fromkeys(THREAD_VARIABLES, str(threads)),
                    silence_logs=logging.CRITICAL,
                )
            self._client = Client(self._cluster or f"tcp://{address}", set_as_default=False, name="zonesearch")
        except (OSError, ValueError) as error:
            self._silence.close()
            raise StoreError(
                f"no Dask scheduler answers at {address} ({error}). Start one there with `dask scheduler`, or fix "
                f"the address of --engine dask://HOST:PORT"
            ) from error

    @property
    def n_workers(self) -> int:
        """The number of worker processes connected now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def run(
        self,
        objective: Objective,
        jobs: Sequence[Job],
        on_trials: OnTrials,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Train all ``jobs`` (see :class:`zonesearch.run.engines.engine.Engine`).

        Raises:
            StoreError: the scheduler is lost; earlier trials are recorded.
        """
        if not jobs:
            return
        suspects = self._run_all(objective, order_of_work(jobs), on_trials, on_progress)
        for job in suspects:
            for training in job.trainings:
                # Twice, since a dying worker may also lose data that other tasks need.
                alone = [Job((training,), job.cost)]
                if all(self._run_all(objective, alone, on_trials, on_progress) for _ in range(2)):
                    error = "every worker that trained this died (out of memory? the worker's log says so)"
                    on_trials([failed(training, error, self._where())])

    def _run_all(
        self, objective: Objective, jobs: Sequence[Job], on_trials: OnTrials, on_progress: OnProgress | None
    ) -> list[Job]:
        """Train ``jobs``; returns those that the scheduler gave up on."""
        heard = self._heard = queue.SimpleQueue()
        if on_progress:
            self._client.subscribe_topic(_TOPIC, self._hear)
        suspects: list[Job] = []
        under_way = self._submit(objective, jobs, say=on_progress is not None)
        try:
            while under_way:
                done, shares = _drain(heard, self._say_who_is_missing)
                came: list[Trial] = []
                for future in done:
                    job = under_way.pop(future, None)
                    if job is None:
                        continue
                    trials = self._came(future, job)
                    if trials is None:
                        suspects.append(job)
                    else:
                        came.extend(trials)
                if came:
                    on_trials(came)
                if on_progress:
                    for key, share in shares.items():
                        on_progress(key, share)
        finally:
            if under_way:
                with suppress(Exception):  # the scheduler may be gone; whatever brought us here says more
                    self._client.cancel(list(under_way), force=True)
            if on_progress:
                with suppress(Exception):
                    self._client.unsubscribe_topic(_TOPIC)
        return suspects

    def _submit(self, objective: Objective, jobs: Sequence[Job], say: bool) -> dict[Future[Any], Job]:
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        resources = {"GPU": 1} if any(worker["resources"].get("GPU") for worker in workers) else None
        name = f"zonesearch-{uuid.uuid4().hex}"
        # One graph for all of them: the scheduler then keeps them in a queue, and hands one to each free worker.
        futures = self._client.map(
            _train,
            jobs,
            key=[(name, i) for i in range(len(jobs))],
            resources=resources,
            pure=False,
            sent=self._send(objective),
            provenance=self._provenance,
            say=say,
            timeout=self._timeout,
        )
        heard = self._heard
        under_way = dict(zip(futures, jobs, strict=True))
        for future in under_way:
            future.add_done_callback(heard.put)
        return under_way

    def _came(self, future: Future[Any], job: Job) -> list[Trial] | None:
        """The trials of a finished task; None if the scheduler gave up on it.

        Raises:
            StoreError: the scheduler is lost.
            ZoneSearchError: what the objective raised for a person to mend.
        """
        if future.status in ("cancelled", "lost"):
            raise self._lost()
        try:
            trials: list[Trial] = future.result()
        except KilledWorker:
            return None
        except ZoneSearchError:
            raise
        except ImportError as error:
            raise ObjectiveError(
                f"a Dask worker is missing code that the training needs ({error}). Install the same packages in the "
                f"environment of every worker"
            ) from error
        except Exception as error:  # the trials could not be brought back
            # Only "error" is the word of a worker about this task. A scheduler that dies while a result is being
            # fetched leaves the future "finished" for a while, and says nothing about the training.
            if (future.status != "error" and isinstance(error, _LOST)) or future.status in ("cancelled", "lost"):
                raise self._lost() from error
            text = "".join(traceback.format_exception(error))
            return [failed(training, text, self._where()) for training in job.trainings]
        return trials

    def _say_who_is_missing(self) -> None:
        """Warn, once per occurrence, that trainings are waiting and there is no worker."""
        alone = self.n_workers == 0
        if alone and not self._alone:
            warnings.warn(
                f"no worker is connected to the Dask scheduler at {self._address}: the trainings wait for one. Start "
                f"some with `dask worker {self._address}`",
                stacklevel=4,
            )
        self._alone = alone

    def _lost(self) -> StoreError:
        return StoreError(
            f"the connection to the Dask scheduler at {self._address} was lost. Finished trainings are recorded: start "
            f"the scheduler and its workers again, then run again to train the rest"
        )

    def _send(self, objective: Objective) -> Future[Any]:
        """The pickled objective as the result of a task: unlike scattered data it survives the death of its worker."""
        if (
            self._sent is None
            or self._sent[0] is not objective
            or self._sent[1].status in ("cancelled", "lost", "error")
        ):
            data = pickled(objective)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
                future = self._client.submit(_hold, data, key=f"zonesearch-objective-{uuid.uuid4().hex}", pure=False)
            self._sent = objective, future
        return self._sent[1]

    def _hear(self, event: tuple[float, Any]) -> None:
        _, (key, share) = event
        self._heard.put((key, share))

    def _where(self) -> dict[str, Any]:
        return {**machine(), **self._provenance}

    def __enter__(self) -> Dask:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._sent = None
        with suppress(Exception):
            self._client.close(timeout=5)
        if self._cluster is not None:
            with suppress(Exception):  # its processes end with this one, at the latest
                self._cluster.close(timeout=60)
        self._silence.close()


def open_dask(address: str, options: EngineOptions) -> Dask:
    """The engine of ``dask://ADDRESS``; raises as :class:`Dask` does.

    Raises:
        StudyError: there is no address.
    """
    if not address:
        raise StudyError('an engine is "local", "dask://HOST:PORT" or "dask://local", not "dask"')
    return Dask(address, options.workers, options.threads, options.provenance, options.timeout)


def _drain(
    heard: queue.SimpleQueue[Any], while_silent: Callable[[], None]
) -> tuple[list[Future[Any]], dict[str, float]]:
    """Wait for news, then take all of it: finished tasks, and the latest progress of each job."""
    done: list[Future[Any]] = []
    shares: dict[str, float] = {}
    while True:
        try:
            item = heard.get(timeout=_SILENT_S)
            break
        except queue.Empty:
            while_silent()
    while True:
        if isinstance(item, tuple):
            shares[item[0]] = item[1]
        else:
            done.append(item)
        try:
            item = heard.get_nowait()
        except queue.Empty:
            return done, shares


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's log off the screen; users see our own messages."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]  # those with own levels
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


# What follows runs on the worker.

_one_at_a_time = threading.Lock()
"""Trainings use global random state and all their threads, so Dask threads of one process take turns."""

_loaded: tuple[bytes, Objective] | None = None


def _hold(data: bytes) -> bytes:
    return data


def _train(job: Job, sent: bytes, provenance: Mapping[str, Any], say: bool, timeout: float | None) -> list[Trial]:
    global _loaded
    worker = get_worker()
    said = time.monotonic()
    provenance = {"worker": worker.address, **provenance}

    def report(share: float) -> None:
        nonlocal said
        if say and time.monotonic() - said > _SAY_S:
            said = time.monotonic()
            worker.log_event(_TOPIC, (job.key, float(share)))

    # Dask's workers are daemons, which may start no process; an objective may want to, for a DataLoader say.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    with _one_at_a_time:
        if timeout is not None:
            return _train_apart(job, sent, provenance, report, timeout)
        if _loaded is None or _loaded[0] != sent:
            _loaded = sent, cloudpickle.loads(sent)
        return list(train_job(_loaded[1], job, report, provenance))


_crew: tuple[Any, Processes] | None = None
"""The process that trains for this worker, and the options that it was created for."""


def _train_apart(job: Job, sent: bytes, provenance: Mapping[str, Any], report: Report, timeout: float) -> list[Trial]:
    """Train in a process of this worker, which lives as long as what is asked of it stays the same."""
    global _crew
    wanted = timeout, provenance
    if _crew is None or _crew[0] != wanted:
        if _crew is not None:
            _end_crew()
        # Dask starts its workers as daemons, which Python forbids children; ours end by themselves with this process.
        multiprocessing.current_process()._config.pop("daemon", None)  # type: ignore[attr-defined]
        threads = os.environ.get(THREAD_VARIABLES[0], "1")
        _crew = wanted, Processes(1, int(threads) if threads.isdecimal() else 1, (), provenance, timeout)
        atexit.register(_end_crew)
    came: list[Trial] = []
    _crew[1].run(sent, [job], came.extend, lambda key, share: report(share))
    return came


def _end_crew() -> None:
    global _crew
    crew, _crew = _crew, None
    atexit.unregister(_end_crew)
    if crew is not None:
        crew[1].__exit__(None, None, None)
