"""What the stages hand to each other besides zones: candidates and finalists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zonesearch.domain.trials import Params
from zonesearch.domain.zones import Zone

__all__ = ["Candidate", "Finalist", "as_candidates"]


@dataclass(frozen=True)
class Candidate:
    """A point handed on as potentially optimal.

    Args:
        params: the point.
        value: mean accuracy there, as far as it is known; ``se`` its standard error.
        zone: the number of the zone it comes from, 0 when from none.
        origin: how it was found: ``peak``, ``interval``, or the name of another method.
    """

    params: Params
    value: float
    se: float
    zone: int = 0
    origin: str = "peak"

    def describe(self) -> dict[str, Any]:
        """The candidate as plain data."""
        return {**vars(self), "params": dict(self.params)}


@dataclass(frozen=True)
class Finalist:
    """A candidate with a schedule that is repeated with fresh seeds.

    Args:
        params: the point, with ``schedule`` among the parameters unless it is the study's own.
        schedule: the name of the learning-rate schedule; empty when the objective has none.
        selected: the accuracy by which it was chosen (validation, seeds that took part in the choice).
        zone: the number of the zone it comes from.
        number: 1 for the one with the highest accuracy when choosing.
    """

    params: Params
    schedule: str
    selected: float
    zone: int = 0
    number: int = 0


def as_candidates(given: Sequence[Zone | Candidate]) -> tuple[Candidate, ...]:
    """Candidates as they are; a zone gives its peak. So a stage that wants candidates can follow either."""
    return tuple(
        item if isinstance(item, Candidate) else Candidate(item.peak, item.value, item.se, item.number)
        for item in given
    )
