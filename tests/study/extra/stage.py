"""A stage that trains the first cell of the space, and hands it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zonesearch import Plan, Space, Training, Trials
from zonesearch.search.stage import Forecast


@dataclass(frozen=True)
class FirstCell:
    space: Space
    epochs: int
    name: str = "first-cell"

    def plan(self, given: Any, trials: Trials) -> Plan:
        training = Training({axis.name: axis.row()[0] for axis in self.space.axes}, 0, self.epochs)
        return Plan((training,), given)

    def forecast(self, given: Any) -> Forecast:
        return Forecast(1, self.epochs, 1, self.plan(None, Trials()).trainings)
