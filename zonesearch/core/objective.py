"""The interface between search and training.

An objective turns trainings into trials. It decides which trainings may run as one program (a job) and trains a job;
it knows nothing of zones. Built in are PyTorch recipes, a Python function and a recorded table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.trials import Params, Training, Trial

__all__ = [
    "SHARED_DATA",
    "ChecksLength",
    "Configured",
    "Continuing",
    "Job",
    "Joining",
    "LooksAtLength",
    "Measured",
    "Objective",
    "Report",
    "SharesData",
    "Trying",
    "jobs_of",
    "joined",
    "makes_jobs",
    "whole",
]

SHARED_DATA = "ZONESEARCH_SHARED_DATA"
"""The environment variable with the folder in which a run shares its data with worker processes."""

Report = Callable[[float], None]
"""Called from time to time by a running job with its completed fraction, 0 to 1."""


@dataclass(frozen=True)
class Job:
    """Trainings that run as one program on one worker and finish together.

    Args:
        trainings: at least one.
        cost: its duration relative to other jobs of this objective, in any unit.
    """

    trainings: tuple[Training, ...]
    cost: float = 1.0

    def __post_init__(self) -> None:
        if not self.trainings:
            raise ValueError("a job needs at least one training")

    @property
    def key(self) -> str:
        """The smallest key of its trainings, by which jobs are sorted."""
        return min(training.key for training in self.trainings)


class Objective(Protocol):
    """The controlled network as seen by the search. Implementations must be picklable.

    An objective may declare its metric in an attribute ``metric`` and in each of its trials; otherwise the study does
    (:class:`Measured`).
    """

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything that affects a result apart from params and seed, as plain JSON values: data, network, fixed
        settings, version of the training code.
        """
        ...

    def check(self, params: Mapping[str, Any]) -> None:
        """Refuse parameters that cannot work, before anything is trained.

        Raises:
            ObjectiveError: naming the parameter, its value and the mend (unknown parameter, batch larger than the
                training split, ...).
        """
        ...

    def jobs(self, trainings: Sequence[Training]) -> list[Job]:
        """Group ``trainings`` into jobs, each training in exactly one; a function of the set alone."""
        ...

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        """Train, and yield one trial per training as they finish. A training that diverges or raises is a trial too."""
        ...


def makes_jobs(made: object) -> bool:
    """Whether ``made`` is an objective rather than a function; version 0.1 called the method ``bundles``."""
    return callable(getattr(made, "jobs", None)) or callable(getattr(made, "bundles", None))


def jobs_of(objective: Objective, trainings: Sequence[Training]) -> list[Job]:
    """The jobs of ``trainings``, under either name of the method."""
    jobs: list[Job] = getattr(objective, "jobs" if hasattr(objective, "jobs") else "bundles")(trainings)
    return jobs


@runtime_checkable
class Continuing(Protocol):
    """An objective whose longer trainings can continue from shorter ones instead of starting again."""

    def continuing(self, points: Sequence[Params]) -> Objective:
        """The same objective, with states kept for continuing; it has the same fingerprint.

        Raises:
            ObjectiveError: a shorter training at one of ``points`` is not the beginning of a longer one.
        """
        ...


@runtime_checkable
class Configured(Protocol):
    """An objective with known settings, so that settings without effect can be found beforehand."""

    def settings_tables(self) -> Mapping[str, Mapping[str, Any]]:
        """All its settings, as tables of a study file; under ``arms``, the complete settings of each arm."""
        ...


@runtime_checkable
class Trying(Protocol):
    """An objective whose trainings may use plug-ins that only an axis or a stage of the search names."""

    def trying(self, points: Sequence[Params]) -> Objective:
        """The same objective for a search with these parameters; its fingerprint also covers the code of plug-ins that
        they name.
        """
        ...


@runtime_checkable
class ChecksLength(Protocol):
    """An objective that can refuse lengths of trainings beforehand."""

    def check_length(self, training: Training) -> None:
        """Say so.

        Raises:
            ObjectiveError: naming what does not fit into the training's epochs, and the fix.
        """
        ...


@runtime_checkable
class LooksAtLength(Protocol):
    """An objective with trainings that may depend on their length."""

    def looks_at_length(self, params: Params) -> bool:
        """Whether a training with these parameters does, so that its beginning does not equal a shorter training."""
        ...


@runtime_checkable
class SharesData(Protocol):
    """An objective that can share one copy of its data with all worker processes of this machine."""

    def share_data(self, folder: Path) -> None:
        """Put the data into ``folder``, which is deleted after the run; workers find it through ``SHARED_DATA``."""
        ...


@runtime_checkable
class Joining(Protocol):
    """An objective that can form larger jobs if the machine has space."""

    def joined(self, jobs: Sequence[Job], n_workers: int) -> list[Job]:
        """The trainings of ``jobs``, regrouped so that ``n_workers`` processes of this machine train them fastest. Work
        is assigned to shards before, by jobs that are the same on every machine.
        """
        ...


def joined(objective: Objective, jobs: Sequence[Job], n_workers: int) -> list[Job]:
    """Jobs regrouped by an objective that is :class:`Joining`; unchanged for others."""
    return objective.joined(jobs, n_workers) if jobs and isinstance(objective, Joining) else list(jobs)


def whole(trial: Trial, objective: Objective) -> Trial:
    """``trial``, marked if it depends on its length (see :attr:`Trial.whole`)."""
    if trial.whole or not isinstance(objective, LooksAtLength) or not objective.looks_at_length(trial.params):
        return trial
    return replace(trial, whole=True)


@dataclass(frozen=True)
class Measured:
    """An objective that does not declare its metric, with the study's metric.

    Args:
        objective: the objective; its trials may lack a metric.
        metric: of the trials.
    """

    objective: Objective
    metric: Metric

    def fingerprint(self) -> Mapping[str, Any]:
        """That of the objective, and the metric."""
        return {**self.objective.fingerprint(), **self.metric.identity()}

    def check(self, params: Mapping[str, Any]) -> None:
        """As the objective does."""
        self.objective.check(params)

    def jobs(self, trainings: Sequence[Training]) -> list[Job]:
        """Those of the objective."""
        return jobs_of(self.objective, trainings)

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        """The objective's trials, each with its metric."""
        for trial in self.objective.train(job, report):
            yield replace(trial, metric=self.metric) if trial.metric == ACCURACY else trial


Bundle = Job
"""The name of a job in version 0.1."""
