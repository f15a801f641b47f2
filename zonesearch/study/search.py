"""The tables ``[search]`` and ``[run]`` of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from zonesearch.core import tables
from zonesearch.core.limits import time_limit
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.seeds import Seeds
from zonesearch.errors import StudyError
from zonesearch.search.budget import Budget
from zonesearch.study.auto import MAPPED
from zonesearch.study.building import READERS

__all__ = ["DEFAULT_STAGES", "Constraints", "Run", "Search", "read_table"]

DEFAULT_STAGES = MAPPED
"""The stages of ``stages = "auto"`` with one or two axes."""

T = TypeVar("T")


@dataclass(frozen=True)
class Search:
    """``[search]``.

    Args:
        stages: in order; the settings of each are in a table of its name. ``"auto"``, the default, selects them by the
            space and the budget (see :mod:`zonesearch.study.auto`).
        seeds: trainings per cell: a number for all cells, or ``first`` and ``zone``.
        reading: of the learning curves.
        level: confidence level at which two results count as different; None leaves it to the stages.
        budget: of all stages together.
    """

    stages: tuple[str, ...] = DEFAULT_STAGES
    seeds: Seeds = Seeds()
    reading: Reading = BEST
    level: float | None = None
    budget: Budget | None = None

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("stages must be a list of names, not []")


@dataclass(frozen=True)
class Constraints:
    """``[constraints]``.

    Args:
        expressions: each is true at allowed points (see :mod:`zonesearch.core.constraints`).
    """

    expressions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """``[run]``: how the study runs, without effect on its results.

    Args:
        workers, threads: processes on this machine, and threads in each.
        engine: ``local`` or ``dask://HOST:PORT``.
        timeout: the longest a training may take, in seconds; None for no limit.
    """

    workers: int = 1
    threads: int = 1
    engine: str = "local"
    timeout: float | None = None

    def __post_init__(self) -> None:
        for name in ("workers", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number, at least 1, not {getattr(self, name)}")
        try:
            time_limit(self.timeout, "timeout")
        except StudyError as error:
            raise ValueError(str(error)) from None


def _budget(given: Any, place: str) -> Budget:
    try:
        return Budget.parse(given)
    except StudyError as error:
        raise StudyError(f"{place.removesuffix('budget').strip()} {error}") from None


_READERS: Mapping[Any, Any] = {**READERS, Budget: _budget}


def read_table(cls: type[T], table: Any, place: str) -> T:
    """A table as the dataclass ``cls``.

    Raises:
        StudyError: naming the place, the key, its value and what was expected.
    """
    settings = tables.read(cls, tables.as_table(table, place), place, readers=_READERS)
    try:
        return cls(**settings)
    except ValueError as error:
        raise error if isinstance(error, StudyError) else StudyError(f"{place} {error}") from None
