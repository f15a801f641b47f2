"""The interface of engines, which take jobs, have each trained somewhere, and pass on the trials as they arrive.

An engine decides nothing about the search. Built in are ``in_process``, also used by tests and debuggers, ``processes``
and ``dask_engine``; plug-ins of the group ``zonesearch.engines`` add others. All give the same trials. An engine that
trains on this machine may declare this by an attribute ``trains_here = True``: jobs are then formed for its GPUs
(:class:`zonesearch.core.objective.Joining`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from zonesearch.core.objective import Job, Objective
from zonesearch.core.trials import Trial

__all__ = ["THREAD_VARIABLES", "Engine", "EngineOptions", "OnProgress", "OnTrials", "order_of_work"]

OnTrials = Callable[[list[Trial]], None]
"""Called in the thread of ``run`` with trials that arrived together; never with an empty list."""

OnProgress = Callable[[str, float], None]
"""Called in the thread of ``run`` with the key of a running job and its completed fraction."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""The environment variables that set the number of threads of numerical libraries."""


@dataclass(frozen=True)
class EngineOptions:
    """Options of an engine; an engine that does not support one of them refuses it with a StudyError.

    Args:
        workers: processes on this machine.
        threads: number of threads that each process uses for numerical work.
        gpus: CUDA devices (as in ``CUDA_VISIBLE_DEVICES``) that the processes of this machine take turns in; empty
            leaves the choice to the objective.
        provenance: recorded with each trial in addition to the machine: the shard, ...
        timeout: the longest a training may take, in seconds; None for no limit.
        apart: train in a process of its own even with one worker.
    """

    workers: int = 1
    threads: int = 1
    gpus: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    apart: bool = False


class Engine(Protocol):
    """Where jobs are trained. Used in a ``with`` statement, which ends its processes."""

    @property
    def n_workers(self) -> int:
        """Number of jobs that run at the same time; the present number if it can change."""
        ...

    def run(
        self,
        objective: Objective,
        jobs: Sequence[Job],
        on_trials: OnTrials,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Train all ``jobs``, the longest first; return when each training has been handed to ``on_trials``.

        A training that raises, or repeatedly kills its process, is returned as a failed trial. An exception from
        ``on_trials`` ends the run, as Ctrl-C does; trials passed on before are kept.

        Raises:
            ObjectiveError: the objective cannot be brought to the workers.
            ZoneSearchError: raised by the objective for the user to fix.
        """
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End the workers."""
        ...


def order_of_work(jobs: Sequence[Job]) -> list[Job]:
    """The order in which jobs start.

    The shortest comes first, to find out soon whether anything works; then the longest, so that no long job is left at
    the end while other workers idle.
    """
    ordered = sorted(jobs, key=lambda job: (-job.cost, job.key))
    return ordered[-1:] + ordered[:-1]
