"""The face of every engine: what takes jobs, has each trained somewhere, and hands the trials on as they come.

An engine decides nothing about the search. Those that ship are ``in_process``, the twin that tests and debuggers use,
``processes`` and ``dask_engine``; a plug-in of the group ``zonesearch.engines`` is another. All give the same trials.
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
"""Called, in the thread that called ``run``, with the trials that came back together; never with an empty list."""

OnProgress = Callable[[str, float], None]
"""Called, in the thread that called ``run``, with the key of a job under way and the share of it that is done."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""The environment variables by which numerical libraries are told how many threads to use."""


@dataclass(frozen=True)
class EngineOptions:
    """What is asked of an engine beside where it is; one that cannot do what is asked refuses it with a StudyError.

    Args:
        workers: processes on this machine.
        threads: how many threads each of them uses for its numerical work.
        gpus: CUDA devices (as in ``CUDA_VISIBLE_DEVICES``) that the processes of this machine take turns in; empty
            leaves the choice to the objective.
        provenance: what is recorded with each trial beside the machine: the shard, ...
        timeout: the longest a training may take, in seconds; None for as long as it likes.
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
        """How many jobs run at the same time (now, where that can change)."""
        ...

    def run(
        self,
        objective: Objective,
        jobs: Sequence[Job],
        on_trials: OnTrials,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Train all ``jobs``, the longest first; return when each training has been handed to ``on_trials``.

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


def order_of_work(jobs: Sequence[Job]) -> list[Job]:
    """The order in which jobs start.

    The shortest one says soonest whether anything works here; then the longest, so that none is left for the end, when
    the other workers idle.
    """
    ordered = sorted(jobs, key=lambda job: (-job.cost, job.key))
    return ordered[-1:] + ordered[:-1]
