"""The seam between what is searched and what is trained.

An objective turns trainings into trials. It decides which trainings may run as one program (a job) and trains a
job; it knows nothing of zones. Built in are PyTorch recipes, a Python function and a recorded table.
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
    "Job",
    "ChecksLength",
    "Continuing",
    "LooksAtLength",
    "Measured",
    "Objective",
    "Report",
    "SharesData",
    "Trying",
    "whole",
]

SHARED_DATA = "ZONESEARCH_SHARED_DATA"
"""The environment variable that tells a worker process in which folder the data of its run are shared."""

Report = Callable[[float], None]
"""Called now and then by a job under way with the share of it that is done, 0 to 1."""


@dataclass(frozen=True)
class Job:
    """Trainings that run as one program on one worker, and come back together.

    Args:
        trainings: at least one.
        cost: how long it takes compared with other jobs of this objective (any unit).
    """

    trainings: tuple[Training, ...]
    cost: float = 1.0

    def __post_init__(self) -> None:
        if not self.trainings:
            raise ValueError("a job needs at least one training")

    @property
    def key(self) -> str:
        """The smallest key of its trainings: what jobs are sorted by."""
        return min(training.key for training in self.trainings)


class Objective(Protocol):
    """The controlled network, as the search sees it. Implementations must be picklable.

    One that knows what it measures may say so in an attribute ``metric``, and in each of its trials; of any other the
    study says it (:class:`Measured`).
    """

    def fingerprint(self) -> Mapping[str, Any]:
        """All that changes a result apart from params and seed, as plain JSON values: data, network, fixed settings,
        the version of the code that trains.
        """
        ...

    def check(self, params: Mapping[str, Any]) -> None:
        """Say before anything is trained that these parameters cannot work.

        Raises:
            ObjectiveError: naming the parameter, its value and the mend (unknown parameter, batch larger than the
                training split, ...).
        """
        ...

    def jobs(self, trainings: Sequence[Training]) -> list[Job]:
        """Which of ``trainings`` run together: each in exactly one job; a function of the set alone."""
        ...

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        """Train; yield one trial per training, as they finish. A training that diverges or raises is a trial too."""
        ...


@runtime_checkable
class Continuing(Protocol):
    """An objective whose longer trainings can go on where shorter ones ended, instead of from the start."""

    def continuing(self, points: Sequence[Params]) -> Objective:
        """The same objective, keeping what is needed to go on; it has the same fingerprint.

        Raises:
            ObjectiveError: a shorter training at one of ``points`` is not the beginning of a longer one.
        """
        ...


@runtime_checkable
class Trying(Protocol):
    """An objective whose trainings may use parts of plug-ins that only the search names: an axis, or a stage."""

    def trying(self, points: Sequence[Params]) -> Objective:
        """The same objective for a search in which these parameters occur; its fingerprint covers the code of plug-ins
        that they name, and is otherwise the same.
        """
        ...


@runtime_checkable
class ChecksLength(Protocol):
    """An objective that knows before it trains that a training of some length cannot be what it is meant for."""

    def check_length(self, training: Training) -> None:
        """Say so.

        Raises:
            ObjectiveError: naming what does not fit into the training's epochs, and the fix.
        """
        ...


@runtime_checkable
class LooksAtLength(Protocol):
    """An objective some of whose trainings look at how long they will be."""

    def looks_at_length(self, params: Params) -> bool:
        """Whether a training with these parameters does, so that its beginning is not a shorter training."""
        ...


@runtime_checkable
class SharesData(Protocol):
    """An objective that can put its data where worker processes of this machine find them, one copy for all."""

    def share_data(self, folder: Path) -> None:
        """Put the data into ``folder``, which is deleted after the run; workers are told it by ``SHARED_DATA``."""
        ...


def whole(trial: Trial, objective: Objective) -> Trial:
    """``trial``, marked where its length is a part of what it is (see :attr:`Trial.whole`)."""
    if trial.whole or not isinstance(objective, LooksAtLength) or not objective.looks_at_length(trial.params):
        return trial
    return replace(trial, whole=True)


@dataclass(frozen=True)
class Measured:
    """An objective that does not say what its values are, and what the study calls them.

    Args:
        objective: trains; its trials may leave out their metric.
        metric: what they are values of.
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
        return self.objective.jobs(trainings)

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        """The objective's trials, each with its metric."""
        for trial in self.objective.train(job, report):
            yield replace(trial, metric=self.metric) if trial.metric == ACCURACY else trial
