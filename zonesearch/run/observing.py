"""Observers of a run: their interface, and how to create one that needs the run's folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from zonesearch.core.objective import Job
from zonesearch.core.trials import Trial, Trials
from zonesearch.run.pipeline import Round
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.study.study import Study

__all__ = ["Observer", "Silent", "Watching"]


class Observer(Protocol):
    """An observer of a run: a progress bar, a log, a live view."""

    def round_begins(self, at: Round, jobs: Sequence[Job], n_stages: int) -> None:
        """A stage wants trainings; ``jobs`` are those that remain to be trained here."""
        ...

    def job_moves(self, key: str, share: float) -> None:
        """The completed fraction of a running job has changed, 0..1."""
        ...

    def trials_came(self, new: Sequence[Trial], trials: Trials) -> None:
        """The trials ``new`` are finished and recorded; ``trials`` are all known trials."""
        ...

    def ended(self) -> None:
        """The run is over, for whatever reason."""
        ...


class Silent:
    """An observer that does nothing."""

    def round_begins(self, at: Round, jobs: Sequence[Job], n_stages: int) -> None:
        """Say nothing."""

    def job_moves(self, key: str, share: float) -> None:
        """Say nothing."""

    def trials_came(self, new: Sequence[Trial], trials: Trials) -> None:
        """Say nothing."""

    def ended(self) -> None:
        """Say nothing."""


Watching = Callable[[Study, RunFolder, Callable[[], Trials], Observer], Observer]
"""Wraps an observer, given the study, its folder, and a function that returns the trials so far."""
