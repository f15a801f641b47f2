"""What a study contains before a pipeline starts: the points of trials that no stage requested."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from zonesearch.core.trials import Training, Trials
from zonesearch.search.stage import Forecast, Plan
from zonesearch.statistics.candidates import Candidate, Candidates

__all__ = ["Begun"]


@dataclass(frozen=True)
class Begun:
    """A stage that requests nothing and passes on the points of ``trainings``, so that a search knows them from the
    start.
    """

    heeds: ClassVar[frozenset[str]] = frozenset({"when", "constraints", "prior"})

    trainings: tuple[Training, ...]
    name: str = "begun"

    def plan(self, given: Any, trials: Trials) -> Plan:
        """The unique points as candidates of unknown value."""
        points = {training.identity[0]: training.params for training in self.trainings}
        return Plan((), Candidates(Candidate(params, math.nan, math.nan) for params in points.values()))

    def forecast(self, given: Sequence[Any] | int | None) -> Forecast:
        """No trainings."""
        return Forecast(0, 1, len(self.trainings))
