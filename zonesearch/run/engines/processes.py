"""Training in several processes on this machine.

Each worker is a loky pool with a single process. When a process dies (by the kernel's out-of-memory killer, say), only
its own pool breaks: the job to blame is known exactly, and the other workers continue. A single pool of many processes
would give up all running jobs without saying which one was to blame.

A job whose process dies is started again; if it dies again, the job is split into single trainings, and a training that
kills its process on its own is recorded as failed.

With a ``timeout``, the process of a job that takes longer is killed, whatever it is doing. The clock runs in the worker
from the first try on, so starting a process and loading torch do not count. The limit of a job is multiplied by its
number of trainings; a job over its limit is split, and each training that is too slow on its own is recorded as failed.
It is not tried again, since a second try would take as long.
"""

from __future__ import annotations

import contextlib
import faulthandler
import mmap
import multiprocessing
import os
import re
import signal
import struct
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import cloudpickle
from loky import BrokenProcessPool, ProcessPoolExecutor, process_executor
from loky.process_executor import ShutdownExecutorError

from zonesearch.core.objective import SHARED_DATA, Job, Objective, SharesData
from zonesearch.core.trials import Trial
from zonesearch.errors import ObjectiveError, ZoneSearchError
from zonesearch.run.engines.engine import THREAD_VARIABLES, OnProgress, OnTrials, order_of_work
from zonesearch.run.engines.scratch import PREFIX, mark_alive, remove_abandoned
from zonesearch.run.engines.worker import failed, train_job
from zonesearch.run.storage.provenance import machine

__all__ = ["Processes", "pickled"]

_LEAST_GROWTH = 1 << 30  # bytes
_LOOK_S = 0.25  # how often the progress of running jobs is polled
_SHARE = struct.Struct("dd")  # the completed fraction, and the deadline (time.monotonic(); 0: never)
_DIED = (
    "the process that trained this ended without a result{how}, {n} times (out of memory? the kernel log says so): "
    "a smaller network or batch, or fewer workers at a time, needs less"
)
_TIMED_OUT = "timed out after {limit:g} s: its process was ended ([run] timeout, --timeout)"


@dataclass(frozen=True)
class _Attempt:
    """A job to train, and how often it has killed a process."""

    job: Job
    n_deaths: int = 0

    def after_death(self) -> list[_Attempt]:
        """What to try next; nothing for a single training that died before."""
        if self.n_deaths == 0:
            return [_Attempt(self.job, 1)]
        if len(self.job.trainings) == 1:
            return []
        return self._apart()

    def after_timeout(self) -> list[_Attempt]:
        """What to try next; nothing for a single training."""
        return self._apart() if len(self.job.trainings) > 1 else []

    def _apart(self) -> list[_Attempt]:
        return [_Attempt(Job((training,), self.job.cost), self.n_deaths) for training in self.job.trainings]


class Processes:
    """Trains in ``workers`` processes, which run until the ``with`` statement ends.

    Args:
        workers: number of processes.
        threads: number of threads of each for numerical work.
        gpus: CUDA devices that the workers take turns in; empty leaves the choice to the objective.
        provenance: recorded with each trial in addition to the machine.
        timeout: the longest a training may take, in seconds; None for no limit.
    """

    trains_here = True

    def __init__(
        self,
        workers: int,
        threads: int = 1,
        gpus: Sequence[str] = (),
        provenance: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> None:
        self.n_workers = workers
        self._threads = threads
        self._gpus = tuple(gpus)
        self._provenance = dict(provenance or {})
        self._timeout = timeout
        self._pools: dict[int, ProcessPoolExecutor] = {}
        remove_abandoned()
        self._scratch = tempfile.TemporaryDirectory(prefix=PREFIX)
        self._alive = mark_alive(Path(self._scratch.name))
        self._data = Path(self._scratch.name) / "data"
        shares = Path(self._scratch.name) / "shares"
        shares.write_bytes(bytes(_SHARE.size * workers))
        with shares.open("r+b") as file:
            self._shares = mmap.mmap(file.fileno(), 0)
        self._sent: tuple[Objective | bytes, Path] | None = None
        self._preparing: dict[int, Future[None]] = {}
        self._modules: tuple[str, ...] = ()

    def prepare(self, modules: Sequence[str]) -> None:
        """Start workers and have them load ``modules`` in the background; returns at once.

        At most as many as there are cores beside that of this process, which loads them too: the first of them trains
        sooner if the others do not load at the same time, and these start before their first job. Modules that cannot
        be imported are skipped; the code that needs them gives a better error.
        """
        self._modules = tuple(modules)
        at_once = max(1, _n_cores() - 1)
        for worker in sorted(set(range(self.n_workers)) - self._pools.keys())[:at_once]:
            self._begin(worker)

    def run(
        self,
        objective: Objective | bytes,
        jobs: Sequence[Job],
        on_trials: OnTrials,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Train all ``jobs`` (see :class:`.engine.Engine`); bytes are an objective, pickled."""
        waiting = deque(_Attempt(job) for job in order_of_work(jobs))
        if not waiting:
            return
        sent = self._send(objective)
        under_way: dict[Future[list[Trial]], tuple[int, _Attempt]] = {}
        idle = sorted(range(self.n_workers), key=lambda worker: (worker in self._pools, -worker))  # the last begins
        try:
            while waiting or under_way:
                while waiting and idle:
                    worker, attempt = idle.pop(), waiting.popleft()
                    under_way[self._start(worker, attempt, sent)] = worker, attempt
                looks = on_progress is not None or self._timeout is not None
                done, _ = wait(under_way, timeout=_LOOK_S if looks else None, return_when=FIRST_COMPLETED)
                late = [future for future, (worker, _) in under_way.items() if self._is_late(worker)]
                came: list[Trial] = []
                for future in dict.fromkeys([*done, *late]):
                    worker, attempt = under_way.pop(future)
                    idle.append(worker)
                    trials, again = self._finished(future, worker, attempt)
                    came.extend(trials)
                    waiting.extendleft(reversed(again))
                if came:
                    on_trials(came)
                if on_progress:
                    for worker, attempt in under_way.values():
                        on_progress(attempt.job.key, self._share(worker))
        except BaseException:
            for pool in self._pools.values():
                _settle(pool)
            self._end()  # running jobs must neither continue nor be mistaken for those of a later run
            raise

    def _start(self, worker: int, attempt: _Attempt, sent: Path) -> Future[list[Trial]]:
        self._shares[worker * _SHARE.size : (worker + 1) * _SHARE.size] = _SHARE.pack(0.0, 0.0)
        for _ in range(2):  # an idle process may have been killed since it finished its last job
            pool = self._pools.get(worker)
            if pool is None:
                pool = self._begin(worker)
            try:
                return pool.submit(  # type: ignore[no-any-return]
                    _train, sent, attempt.job, worker, self._provenance, self._timeout
                )
            except BrokenProcessPool:
                self._pools.pop(worker).shutdown(wait=True, kill_workers=True)
        raise ObjectiveError("worker processes exit as soon as they start: see the messages above")

    def _finished(
        self, future: Future[list[Trial]], worker: int, attempt: _Attempt
    ) -> tuple[list[Trial], list[_Attempt]]:
        """The outcome of an attempt: trials to record, and attempts to try again.

        Raises:
            ZoneSearchError: what the objective raised for a person to mend.
        """
        seconds = 0.0
        try:
            if future.done():
                return future.result(), []
            assert self._timeout is not None
            self._pools.pop(worker).shutdown(wait=True, kill_workers=True)
            again = attempt.after_timeout()
            seconds = self._timeout
            error = _TIMED_OUT.format(limit=seconds)
        except ZoneSearchError:
            raise
        except BrokenProcessPool as death:
            self._pools.pop(worker).shutdown(wait=True, kill_workers=True)
            again = attempt.after_death()
            error = self._last_words(worker) + _DIED.format(n=attempt.n_deaths + 1, how=_how_it_died(death))
        except Exception as problem:  # the trials could not be returned: a result that cannot be pickled
            again, error = [], f"the trials could not be returned from the worker process: {problem}"
        if again:
            return [], again
        began = datetime.now(UTC) - timedelta(seconds=seconds)
        where = {**machine(), **self._provenance, "started": began.isoformat(timespec="milliseconds")}
        return [failed(training, error, where, seconds) for training in attempt.job.trainings], []

    def _share(self, worker: int) -> float:
        return float(_SHARE.unpack_from(self._shares, worker * _SHARE.size)[0])

    def _is_late(self, worker: int) -> bool:
        """Whether the worker's job is over its time limit."""
        end = float(_SHARE.unpack_from(self._shares, worker * _SHARE.size)[1])
        return 0 < end < time.monotonic()  # a clock of the whole machine, not of one process

    def _send(self, objective: Objective | bytes) -> Path:
        """The file from which workers read the objective; written once per objective."""
        if self._sent is None or self._sent[0] is not objective:
            if isinstance(objective, SharesData):
                objective.share_data(self._data)
            path = Path(self._scratch.name) / f"objective-{time.monotonic_ns()}"
            path.write_bytes(objective if isinstance(objective, bytes) else pickled(objective))
            self._sent = objective, path
        return self._sent[1]

    def _begin(self, worker: int) -> ProcessPoolExecutor:
        """Start a worker, which first loads the modules that are known to take long."""
        pool = self._pools[worker] = self._new_pool(worker)
        if self._modules:
            self._preparing[worker] = pool.submit(_load, self._modules)
        return pool

    def _new_pool(self, worker: int) -> ProcessPoolExecutor:
        environment = {**dict.fromkeys(THREAD_VARIABLES, str(self._threads)), SHARED_DATA: str(self._data)}
        if self._gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[worker % len(self._gpus)]
        return ProcessPoolExecutor(
            1,
            env=environment,
            initializer=_enter_worker,
            initargs=(
                os.getpid(),
                str(Path(self._scratch.name) / "shares"),
                str(self._words(worker)),
                _start_method(),
                _growth(self.n_workers),
            ),
        )

    def _words(self, worker: int) -> Path:
        """The file to which Python writes the traceback of a worker that crashes."""
        return Path(self._scratch.name) / f"crash-{worker}"

    def _last_words(self, worker: int) -> str:
        """A dead worker's last output, indented, with a newline; empty if it was killed from outside."""
        try:
            text = self._words(worker).read_text(errors="replace")
            os.truncate(self._words(worker), 0)
        except OSError:
            return ""
        lines = (line for line in text.splitlines() if line.strip() and not line.startswith("Extension modules"))
        return "".join(f"  {line}\n" for line in lines)

    def _end(self) -> None:
        for worker, loaded in self._preparing.items():
            if not loaded.done() and worker in self._pools:
                _settle(self._pools[worker])
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.shutdown(wait=False, kill_workers=True)
        for pool in pools:
            pool.shutdown(wait=True, kill_workers=True)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._end()
        self._shares.close()
        self._scratch.cleanup()
        self._alive.close()


def _how_it_died(death: BrokenProcessPool) -> str:
    """The signal or the exit status, if loky knows it."""
    found = re.search(r"exit codes of the workers are \{(.+?)\((-?\d+)\)", str(death))
    if found is None:
        return ""
    name, code = found[1], int(found[2])
    return f" (killed by {name})" if code < 0 else f" (it exited with status {code})"


def _settle(pool: ProcessPoolExecutor, within_s: float = 5.0) -> None:
    """Wait until ``pool`` has started everything that was submitted, even by a call that Ctrl-C interrupted.

    Its manager thread prints a traceback if the pool is shut down between the submission of an attempt and its start.
    Jobs start in order, so once one more attempt has started, all earlier ones have.
    """
    try:
        last = pool.submit(os.getpid)
    except (BrokenProcessPool, ShutdownExecutorError):
        return
    end = time.monotonic() + within_s
    while time.monotonic() < end and not (last.running() or last.done()):
        time.sleep(0.005)


def _growth(workers: int) -> float:
    """How many bytes a worker may grow by before loky takes that for a leak and starts another in its place.

    loky's own limit is 300 MB beyond what it held after its first call, which here only loads modules: a data set, the
    context of a GPU or a large network alone are more, and every new process loads torch anew. So it is an equal share
    of half of the machine's memory.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        memory = 4 << 30
    return max(float(_LEAST_GROWTH), memory / (2 * workers))


def _n_cores() -> int:
    """Of those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_method() -> str:
    """How this process starts, or would start, others, found without fixing the start method as Python's own getter
    would.
    """
    return multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]


def pickled(objective: Objective) -> bytes:
    """``objective`` as bytes from which another process can recreate it; functions without a module are pickled by
    value.

    Raises:
        ObjectiveError: it holds something that cannot be sent.
    """
    try:
        return bytes(cloudpickle.dumps(objective))
    except Exception as error:
        raise ObjectiveError(
            f"the objective cannot be sent to a worker process ({type(error).__name__}: {error}). Remove "
            f"anything that holds open "
            f"files, connections or locks, or train in this process (workers = 1, and no timeout)"
        ) from error


# What follows runs in the worker process.

_shares = -1
_words: IO[str] | None = None
_loaded: tuple[Path, Objective] | None = None


def _enter_worker(parent: int, shares: str, words: str, start_method: str, growth: float) -> None:
    global _shares, _words
    process_executor._MAX_MEMORY_LEAK_SIZE = growth  # older versions have no environment variable for it
    # A loky process would start others through loky, which a DataLoader cannot use.
    multiprocessing.set_start_method(start_method, force=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent handles it
    _shares = os.open(shares, os.O_WRONLY)
    _words = open(words, "a")  # noqa: SIM115
    faulthandler.enable(_words)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Exit soon after the parent process, which may have been killed without notice."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _load(modules: Sequence[str]) -> None:
    for module in modules:
        with contextlib.suppress(Exception):
            import_module(module)


def _train(sent: Path, job: Job, worker: int, provenance: Mapping[str, Any], timeout: float | None) -> list[Trial]:
    global _loaded
    if _loaded is None or _loaded[0] != sent:
        try:
            _loaded = sent, cloudpickle.loads(sent.read_bytes())
        except Exception as error:
            raise ObjectiveError(
                f"the objective cannot be made in a worker process ({type(error).__name__}: {error}). Put its code in "
                f"a module that Python finds, or train in the calling process (workers = 1, and no timeout)"
            ) from error

    share, end = 0.0, 0.0

    def say() -> None:
        os.pwrite(_shares, _SHARE.pack(share, end), worker * _SHARE.size)

    def report(done: float) -> None:
        nonlocal share
        share = done
        say()

    def begin(n_trainings: int) -> None:
        nonlocal end
        if timeout is not None:
            end = time.monotonic() + n_trainings * timeout
            say()

    trials = list(train_job(_loaded[1], job, report, provenance, begin))
    end = 0.0
    say()
    return trials
