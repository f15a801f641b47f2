"""Stage lr-range: a learning-rate range test before the grid, which sets the learning rate or narrows its axis.

Its trainings are range tests: trainings whose schedule is a sweep, and whose curve holds the loss of every step
(``step_loss``). They are ordinary trials, so a range test is resumed, merged and shared like the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from zonesearch.core.axes import Axis
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trials
from zonesearch.errors import StudyError
from zonesearch.search.stage import Forecast, Plan, require
from zonesearch.statistics.lr_range import RateRange, read_sweep, sweep_rates

__all__ = ["LrRange"]


@dataclass(frozen=True)
class LrRange:
    """A range test in the middle of the space; outputs the space with a narrowed learning-rate axis.

    Args:
        space: must have the ``axis``; its other axes are tested at the middle of their rows.
        axis: the name of the learning rate.
        sets: ``axis`` keeps an axis from the lower to the upper bound, with the suggestion in its row; ``rate`` keeps
            only the suggestion.
        low, high: of the sweep; by default a factor of a hundred beyond the bounds of the axis in both directions.
        n_steps: of the sweep.
        seeds: number of sweeps, whose losses are averaged.
    """

    heeds: ClassVar[frozenset[str]] = frozenset({"when", "constraints"})
    gives: ClassVar[str] = "a narrower space"

    space: Space
    axis: str = "learning_rate"
    sets: str = "axis"
    low: float | None = None
    high: float | None = None
    n_steps: int = 150
    seeds: int = 5
    name: str = "lr-range"

    def __post_init__(self) -> None:
        require(self.seeds >= 1, self.name, "seeds", "at least 1", self.seeds)
        require(self.sets in ("axis", "rate"), self.name, "sets", '"axis" or "rate"', self.sets)
        if self.axis not in self.space.names or not isinstance(self.space[self.axis], Axis):
            raise StudyError(f'[{self.name}] the space needs a numeric axis "{self.axis}" that the test can narrow')
        self.rates()

    def rates(self) -> list[float]:
        """The rates of the sweep, shape (n_steps,)."""
        axis = self.space[self.axis]
        assert isinstance(axis, Axis)
        low = _plain(axis.low / 100 if self.low is None else self.low)
        high = _plain(axis.high * 100 if self.high is None else self.high)
        return sweep_rates(low, high, self.n_steps)

    def plan(self, given: Any, trials: Trials) -> Plan:
        """One sweep a seed; the output is the narrowed space."""
        trainings = self._trainings()
        if trials.missing(trainings):
            return Plan(trainings)
        return Plan(trainings, self.narrowed(self.read(trials)))

    def read(self, trials: Trials) -> RateRange:
        """The interpretation of the sweeps.

        Raises:
            StudyError: a sweep failed, or diverged too early.
        """
        losses = []
        for training in self._trainings():
            trial = trials.get(training)
            if trial is None or not trial.curve.get("step_loss"):
                reason = trial.error.strip().splitlines()[-1] if trial is not None and trial.error else "no losses came"
                raise StudyError(f"[{self.name}] the sweep with seed {training.seed} cannot be read: {reason}")
            losses.append(trial.curve["step_loss"])
        return read_sweep(self.rates(), losses)

    def narrowed(self, found: RateRange) -> Space:
        """The space with the axis between the bounds, clipped to its range and rounded to two digits, so that keys
        agree on all machines.
        """
        axis = self.space[self.axis]
        assert isinstance(axis, Axis)
        row = [found.suggestion] if self.sets == "rate" else [found.low, found.suggestion, found.high]
        row = sorted({min(max(_plain(rate), float(axis.low)), float(axis.high)) for rate in row})
        narrow = replace(axis, low=row[0], high=row[-1], integer=False, row_rule=tuple(row))
        axes = tuple(narrow if other.name == self.axis else other for other in self.space.axes)
        return replace(self.space, axes=axes)

    def forecast(self, given: Any) -> Forecast:
        """One sweep a seed, each about as long as an epoch; one space."""
        return Forecast(self.seeds, 1, 1, self._trainings())

    def _trainings(self) -> tuple[Training, ...]:
        rates = self.rates()
        params: Params = self.space.middle()
        sweep = f"sweep(low={rates[0]!r}, high={rates[-1]!r}, n_steps={self.n_steps})"
        return tuple(Training({**params, "schedule": sweep}, seed, 1) for seed in range(self.seeds))


def _plain(rate: float) -> float:
    """Two significant digits."""
    return float(f"{rate:.2g}")
