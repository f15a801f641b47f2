"""What a stage is: a pure function of what is already known.

Asked with the trials so far, a stage answers either "these trainings are wanted" or "this is my output". It trains
nothing and remembers nothing; all its knowledge is in its settings, what the stage before handed on, and the trials.
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


@dataclass(frozen=True)
class Plan:
    """A stage's answer.

    Args:
        trainings: everything the stage wants by what it knows now, whether it came back already or not, in a fixed
            order. More may be wanted once these are known.
        output: what it hands on; meaningful when none of ``trainings`` is missing. A plug-in's stage may hand on
            anything that the next one understands.
        notes: sentences about it that the user should read.
    """

    trainings: tuple[Training, ...]
    output: Output | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A plain sequence of zones or candidates, as plug-ins may give it, is handed on as what it is."""
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
    """The most a stage can want.

    Args:
        n_trainings: number of trainings.
        epochs: the length of each.
        n_output: number of zones, candidates or finalists that it hands on.
        example: parameters of trainings as they may be wanted, to probe how long they take.
    """

    n_trainings: int
    epochs: int
    n_output: int
    example: tuple[Training, ...] = ()


@runtime_checkable
class Stage(Protocol):
    """One method of one step of the search. Implementations are frozen dataclasses."""

    @property
    def name(self) -> str:
        """The name of the stage in reports and study files."""
        ...

    def plan(self, given: Any, trials: Trials) -> Plan:
        """What is wanted, or the output.

        Args:
            given: the output of the stage before; None for the first one.
            trials: all that is known.
        """
        ...

    def forecast(self, given: Sequence[Any] | int | None) -> Forecast:
        """The most that may be wanted when the stage before hands on so many things."""
        ...


@runtime_checkable
class Sizable(Protocol):
    """A stage that can be made smaller, so that a budget pays for it."""

    def within(self, n: int, given: Any, paid: Container[Any]) -> Stage:
        """This stage, wanting no more than ``n`` new trainings of its own length; itself when it does not anyway.

        Args:
            n: at least one more than the seeds of a point.
            given: the output of the stage before.
            paid: the identities of trainings that cost nothing any more.
        """
        ...


@runtime_checkable
class Growing(Protocol):
    """A stage that can use more trainings than it was made for, so that a budget is spent as long as it is of use."""

    def spending(self, n: int, given: Any, paid: Container[Any], trials: Trials) -> Stage:
        """This stage, wanting up to ``n`` new trainings as long as what it finds is not settled; itself when it would
        not know what for.

        Args:
            n, given, paid: as in :meth:`Sizable.within`.
            trials: all that is known.
        """
        ...


@runtime_checkable
class Lasting(Protocol):
    """A search that can go on where it ended, so that what others do not need of a budget goes back to it."""

    def further(self, n: int) -> Stage:
        """This stage with ``n`` trainings more, whose first trainings are those that it wants without them."""
        ...


@runtime_checkable
class Containing(Protocol):
    """A stage made smaller by a budget that can grow again, so that what the smaller one trained is part of it."""

    def containing(self, small: Stage) -> Stage:
        """This stage, whose trainings contain those of ``small``, which a smaller budget made of it."""
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
        StudyError: unless ``condition``; says what was expected and what came.
    """
    if not condition:
        raise StudyError(f"[{name}] {setting} must be {expected}, not {value!r}")


def checked_seeds(given: Any, name: str) -> Seeds | int:
    """The seeds of a point, for the stage ``name``: a number as it is, a table with ``first`` and ``zone`` as
    :class:`Seeds`.

    Raises:
        StudyError: anything else.
    """
    try:
        seeds = Seeds.parse(given)
    except StudyError as error:
        raise StudyError(f"[{name}] {error}") from None
    return seeds.first if seeds.everywhere else seeds
