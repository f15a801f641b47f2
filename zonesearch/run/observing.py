"""Who may watch a run: what an observer is told, and how one is made that needs to know the run's folder."""

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
    """Who watches a run: a progress bar, a log, a live view."""

    def round_begins(self, at: Round, jobs: Sequence[Job], n_stages: int) -> None:
        """A stage wants trainings; ``jobs`` are those that are still to be trained here."""
        ...

    def job_moves(self, key: str, share: float) -> None:
        """A job under way is done to this share, 0..1."""
        ...

    def trials_came(self, new: Sequence[Trial], trials: Trials) -> None:
        """``new`` finished and are recorded; ``trials`` is all that is known."""
        ...

    def ended(self) -> None:
        """The run is over, for whatever reason."""
        ...


class Silent:
    """An observer that says nothing."""

    def round_begins(self, at: Round, jobs: Sequence[Job], n_stages: int) -> None:
        """Say nothing."""

    def job_moves(self, key: str, share: float) -> None:
        """Say nothing."""

    def trials_came(self, new: Sequence[Trial], trials: Trials) -> None:
        """Say nothing."""

    def ended(self) -> None:
        """Say nothing."""


Watching = Callable[[Study, RunFolder, Callable[[], Trials], Observer], Observer]
"""Makes an observer around another one, given the study, its folder, and a function that gives the trials so far."""
