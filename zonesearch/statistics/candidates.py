"""What stages pass on besides zones: candidates and finalists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.trials import Params
from zonesearch.statistics.zones import Zone

__all__ = [
    "AS_THEY_ARE",
    "CHEAPEST",
    "RIVAL",
    "Candidate",
    "Candidates",
    "Finalist",
    "as_candidates",
    "cheapest_of",
    "others_of",
]

CHEAPEST = "cheapest"
"""Origin of a candidate that was included for its cost rather than its value."""

RIVAL = "rival"
"""Origin of a cell of a zone that may be as good as its peak."""

AS_THEY_ARE = (CHEAPEST, RIVAL)
"""Origins of candidates that become finalists without being trained under other schedules."""


@dataclass(frozen=True)
class Candidate:
    """A point that may be optimal.

    Args:
        params: the point.
        value: the mean so far, in the metric's own sign; ``se`` is its standard error.
        zone: the number of its zone, 0 for none.
        origin: how it was found: ``peak``, ``interval``, ``cheapest`` (of the cells of a zone that cannot be told apart
            from its peak), ``rival`` (the next best of these), or the name of another method.
        metric: of the value.
        expected: the value that is expected of it given all other points (see :mod:`zonesearch.statistics.expected`),
            in the metric's own sign; NaN if that was not asked.
    """

    params: Params
    value: float
    se: float
    zone: int = 0
    origin: str = "peak"
    metric: Metric = ACCURACY
    expected: float = math.nan

    @property
    def score(self) -> float:
        """The value as a score, for which larger is better."""
        return self.metric.score(self.value)

    @property
    def expected_score(self) -> float:
        """What is expected of it as a score; NaN if that was not asked."""
        return self.metric.score(self.expected)

    def describe(self) -> dict[str, Any]:
        """The candidate as plain data."""
        return {
            "params": dict(self.params),
            "value": self.value,
            "se": self.se,
            "zone": self.zone,
            "origin": self.origin,
            **({"expected": self.expected} if math.isfinite(self.expected) else {}),
        }


class Candidates(tuple[Candidate, ...]):
    """The candidates in a stage's output, in the order of their zones.

    Attributes:
        others: trained points, as in :class:`zonesearch.statistics.zones.Zones`.
    """

    others: tuple[Params, ...] = ()

    @classmethod
    def of(cls, candidates: Iterable[Candidate], others: Iterable[Params]) -> Candidates:
        """The candidates with these other points."""
        found = cls(candidates)
        found.others = tuple(others)
        return found

    def found(self) -> dict[str, Any]:
        """What the results of a search have from it."""
        return {"candidates": self} if self else {}


@dataclass(frozen=True)
class Finalist:
    """A candidate with a schedule that is repeated with fresh seeds.

    Args:
        params: the point, with ``schedule`` among the parameters unless it is the study's own.
        schedule: the name of the learning-rate schedule; empty when the objective has none.
        selected: the value by which it was chosen (validation, seeds that took part in the choice); of the cheapest
            cell of a zone that of the map, under the study's own schedule.
        zone: the number of the zone it comes from.
        number: 1 for the one with the best value when choosing.
    """

    params: Params
    schedule: str
    selected: float
    zone: int = 0
    number: int = 0


def as_candidates(given: Sequence[Zone | Candidate]) -> tuple[Candidate, ...]:
    """Candidates unchanged; a zone gives its peak and its cheapest cell. So a stage that takes candidates can follow
    either.
    """
    found: list[Candidate] = []
    for item in given:
        if isinstance(item, Candidate):
            found.append(item)
        else:
            found += [Candidate(item.peak, item.value, item.se, item.number, metric=item.metric), *cheapest_of(item)]
    return tuple(found)


def others_of(given: Any) -> tuple[Params, ...]:
    """Trained points that may take the place of candidates that violate a constraint: the cells of zones, then all
    others that the stage before names.
    """
    items = given if isinstance(given, Sequence) else ()
    cells = (params for item in items if isinstance(item, Zone) for params in item.cells)
    return (*cells, *getattr(given, "others", ()))


def cheapest_of(zone: Zone) -> tuple[Candidate, ...]:
    """The cheapest cell of a zone; empty if costs are not known or the peak is the cheapest."""
    if zone.cheapest is None:
        return ()
    return (Candidate(zone.cheapest, zone.cheapest_value, zone.cheapest_se, zone.number, CHEAPEST, zone.metric),)
