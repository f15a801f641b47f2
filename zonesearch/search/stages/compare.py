"""Stage compare: no search, but a comparison of all cells with the same fresh seeds on the test split.

For studies that ask whether one way to train is better than another: the arms are the values of an axis. Nothing is
selected, so there is no selection bias to correct; the verdict says which cells differ significantly from the best one,
and the claims which of two sides is better, and by how much.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from zonesearch.core.coarse import examples, listed
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.seeding import fresh_seeds
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trial, Trials, Value
from zonesearch.errors import StudyError
from zonesearch.search.stage import Forecast, Plan, require
from zonesearch.statistics.candidates import Finalist
from zonesearch.statistics.claims import Claim, ClaimOutcome, check_claim
from zonesearch.statistics.verdict import Repeats, judge

__all__ = ["Compare"]


@dataclass(frozen=True)
class Compare:
    """All cells of the space, each with ``repeats`` seeds on the test split; outputs a verdict.

    Args:
        space: its rows are the cells.
        epochs: the length of each training.
        repeats: number of seeds, the same ones for every cell.
        reading: of the curves, if there is no test split.
        level: of intervals and of "differs".
        claims: tables with ``says``, ``better``, ``than``, ``by`` and ``tuned``, as in
            :class:`zonesearch.statistics.claims.Claim`.
    """

    heeds: ClassVar[frozenset[str]] = frozenset({"when", "constraints"})
    gives: ClassVar[str] = "outcomes of claims"

    space: Space
    epochs: int
    repeats: int = 5
    reading: Reading = BEST
    level: float = 0.95
    claims: tuple[Mapping[str, Any], ...] = ()
    name: str = "compare"

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "training", "epochs", "at least 1", self.epochs)
        require(self.repeats >= 2, self.name, "repeats", "at least 2", self.repeats)
        require(0 < self.level < 1, self.name, "level", "between 0 and 1", self.level)
        for table in self.claims:
            require(isinstance(table, Mapping), self.name, "claims", "a list of tables", table)
            Claim.parse(table, f"[{self.name}]")

    def plan(self, given: Any, trials: Trials) -> Plan:
        """Every cell with every seed; the output is the verdict over the cells."""
        space = given if isinstance(given, Space) else self.space
        listed(space, self.name)
        trainings = tuple(training for point in space.grid() for training in self._repeats(point))
        if trials.missing(trainings):
            return Plan(trainings)
        outcomes = [self._outcome(point, trials) for point in space.grid()]
        return Plan(trainings, judge(outcomes, level=self.level, metric=trials.metric))

    @property
    def fewest(self) -> int:
        """Two repeats of every cell, of as many as an earlier stage can leave of the space."""
        return 2 * self.space.n_cells

    def check_size(self) -> None:
        """Check that the number of cells is small enough to list.

        Raises:
            StudyError: there are too many.
        """
        listed(self.space, self.name)

    def within(self, n: int, given: Any, paid: Container[Any]) -> Compare:
        """This comparison with fewer repeats of every cell.

        Raises:
            StudyError: two repeats of each cell are more than ``n``.
        """
        n_cells = (given if isinstance(given, Space) else self.space).n_cells
        if n_cells * self.repeats <= n:
            return self
        if 2 * n_cells > n:
            raise StudyError(
                f"[search] budget: stage {self.name} may get {n} trainings and needs {2 * n_cells}, two for every cell"
            )
        return replace(self, repeats=n // n_cells)

    def spending(self, n: int, given: Any, paid: Container[Any], trials: Trials) -> Compare:
        """This comparison with as many repeats of every cell as ``n`` trainings pay for."""
        n_cells = (given if isinstance(given, Space) else self.space).n_cells
        return replace(self, repeats=max(self.repeats, n // n_cells))

    def forecast(self, given: Any) -> Forecast:
        """The whole grid, every cell ``repeats`` times."""
        example = examples(self.space, self.epochs)
        return Forecast(self.space.n_cells * self.repeats, self.epochs, self.space.n_cells, example)

    def check_claims(self, trials: Trials) -> tuple[ClaimOutcome, ...]:
        """The replication result of each claim, given the trials so far."""
        validation, scores = {}, {}
        for point in self.space.grid():
            cell = tuple(sorted(point.items()))
            back = self._complete(point, trials)
            validation[cell] = {trial.seed: trial.value(self.reading) for trial in back}
            tested = {trial.seed: trial.test_accuracy for trial in back if trial.test_accuracy is not None}
            scores[cell] = tested or validation[cell]
        claims = [Claim.parse(table, f"[{self.name}]") for table in self.claims]
        return tuple(check_claim(claim, scores, self.level, validation, trials.metric) for claim in claims)

    def _repeats(self, point: Mapping[str, Value]) -> list[Training]:
        return [Training(point, seed, self.epochs, test=True) for seed in fresh_seeds(self.repeats)]

    def _complete(self, point: Params, trials: Trials) -> list[Trial]:
        back = [trials.get(training) for training in self._repeats(point)]
        return [trial for trial in back if trial is not None and trial.complete]

    def _outcome(self, point: Params, trials: Trials) -> Repeats:
        complete = self._complete(point, trials)
        validation = {trial.seed: trial.value(self.reading) for trial in complete}
        mean = math.fsum(validation.values()) / len(validation) if validation else math.nan
        return Repeats(
            finalist=Finalist(dict(point), str(point.get("schedule", "")), mean),
            validation=validation,
            test={trial.seed: trial.test_accuracy for trial in complete if trial.test_accuracy is not None},
            n_test=next((trial.n_test for trial in complete if trial.n_test), None),
            n_parameters=next((trial.n_parameters for trial in complete if trial.n_parameters is not None), None),
            seconds=math.fsum(trial.seconds for trial in complete) / len(complete) if complete else 0.0,
            n_lost=self.repeats - len(complete),
        )
