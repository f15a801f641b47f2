"""The interface of stages: pure functions of what is already known.

Asked with the trials so far, a stage answers either "these trainings are wanted" or "this is my output". It trains
nothing and remembers nothing; it depends only on its settings, the output of the previous stage, and the trials.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from zonesearch.core.seeds import Seeds
from zonesearch.core.trials import Training, Trials
from zonesearch.errors import StudyError
from zonesearch.statistics.candidates import Candidate, Candidates
from zonesearch.statistics.search_results import Output
from zonesearch.statistics.zones import Zone, Zones

__all__ = [
    "FEWER_CHOICES",
    "UNPAID",
    "Containing",
    "Forecast",
    "Growing",
    "Lasting",
    "Output",
    "Plan",
    "Reasoning",
    "Sizable",
    "Stage",
    "checked_seeds",
    "require",
]

UNPAID = "the budget does not cover it"
"""The error of a training that a budget refused: to the stage it has failed, although it was never tried."""

FEWER_CHOICES = "; give more, or leave out choices"
"""The end of a sentence on a budget that does not pay for all choices."""


@dataclass(frozen=True)
class Plan:
    """A stage's answer.

    Args:
        trainings: everything the stage wants given what is known now, finished or not, in a fixed order. More may be
            wanted once these are known.
        output: its output; meaningful if none of ``trainings`` is missing. A plug-in's stage may output anything that
            the next one understands.
        notes: sentences about it for the user.
    """

    trainings: tuple[Training, ...]
    output: Output | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Convert a plain sequence of zones or candidates, as from a plug-in, to its type."""
        if self.output is not None and not hasattr(self.output, "found"):
            object.__setattr__(self, "output", _typed(self.output))


def _typed(output: Any) -> Any:
    items = tuple(output) if isinstance(output, Sequence) else (output,)
    if all(isinstance(item, Zone) for item in items):
        return Zones(items)
    if all(isinstance(item, Candidate) for item in items):
        return Candidates(items)
    return output


@dataclass(frozen=True)
class Forecast:
    """An upper bound on what a stage wants.

    Args:
        n_trainings: number of trainings.
        epochs: the length of each training.
        n_output: number of zones, candidates or finalists in its output.
        example: trainings that may be wanted, for checks and for probing their time.
    """

    n_trainings: int
    epochs: int
    n_output: int
    example: tuple[Training, ...] = ()


@runtime_checkable
class Stage(Protocol):
    """A stage of the search. Implementations are frozen dataclasses."""

    @property
    def name(self) -> str:
        """The name of the stage in reports and study files."""
        ...

    def plan(self, given: Any, trials: Trials) -> Plan:
        """The trainings wanted, or the output.

        Args:
            given: the output of the previous stage; None for the first one.
            trials: all that is known.
        """
        ...

    def forecast(self, given: Sequence[Any] | int | None) -> Forecast:
        """The most that may be wanted if the previous stage outputs this many items."""
        ...


@runtime_checkable
class Sizable(Protocol):
    """A stage that can be made smaller, so that a budget pays for it."""

    def within(self, n: int, given: Any, paid: Container[Any]) -> Stage:
        """This stage, limited to ``n`` new trainings of its own length; unchanged if it wants no more anyway.

        Args:
            n: at least the seeds of a point plus one.
            given: the output of the stage before.
            paid: the identities of trainings that are already paid.
        """
        ...


@runtime_checkable
class Growing(Protocol):
    """A stage that can use more trainings than planned, so that a budget is spent as long as that is useful."""

    def spending(self, n: int, given: Any, paid: Container[Any], trials: Trials) -> Stage:
        """This stage, wanting up to ``n`` new trainings while its result is not settled; unchanged if it has no use for
        them.

        Args:
            n, given, paid: as in :meth:`Sizable.within`.
            trials: all that is known.
        """
        ...


@runtime_checkable
class Lasting(Protocol):
    """A search that can continue where it ended, so that it can use what other stages leave of a budget."""

    def further(self, n: int) -> Stage:
        """This stage with ``n`` additional trainings after those that it wants without them."""
        ...


@runtime_checkable
class Containing(Protocol):
    """A stage that can grow again after a budget made it smaller, keeping the trainings of the smaller one."""

    def containing(self, small: Stage) -> Stage:
        """This stage, with trainings that contain those of ``small``, its version under a smaller budget."""
        ...

    def enlarged(self, small: Stage, n: int, given: Any, paid: Container[Any]) -> Stage | None:
        """This stage with at most ``n`` trainings, which contain those of ``small``; None if that is no more.

        Args:
            small, n, given, paid: as in :meth:`containing` and :meth:`Sizable.within`.
        """
        ...


@runtime_checkable
class Reasoning(Protocol):
    """A stage that can say why it wanted each of its trainings."""

    def reasons(self, given: Any, trials: Trials) -> dict[Training, str]:
        """A sentence a training, in the order of the proposals; of those that came back.

        Args:
            given: what the stage before handed on.
            trials: all that is known.
        """
        ...


def require(condition: bool, name: str, setting: str, expected: str, value: object) -> None:
    """Check a setting of the stage ``name``.

    Raises:
        StudyError: ``condition`` is false; says what was expected and what was given.
    """
    if not condition:
        raise StudyError(f"[{name}] {setting} must be {expected}, not {value!r}")


def checked_seeds(given: Any, name: str) -> Seeds | int:
    """The seeds of a point, for the stage ``name``: a number unchanged, a table with ``first`` and ``zone`` as
    :class:`Seeds`.

    Raises:
        StudyError: anything else.
    """
    try:
        seeds = Seeds.parse(given)
    except StudyError as error:
        raise StudyError(f"[{name}] {error}") from None
    return seeds.first if seeds.everywhere else seeds
