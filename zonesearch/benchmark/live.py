"""A study as a problem: networks are trained, recorded and never trained again.

Every repeat of the contest has its own seeds and therefore its own noise; the true mean of a recommended point is taken
over further seeds, which no search has seen. Methods that request the same training share it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from zonesearch.benchmark.problem import Truths
from zonesearch.core.metric import Metric
from zonesearch.core.objective import Objective, jobs_of, whole
from zonesearch.core.seeding import FRESH
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.run.engines.engine import Engine, order_of_work
from zonesearch.run.pipeline import metric_of
from zonesearch.run.running import check_metric, stop_when_hopeless
from zonesearch.run.shards import remaining
from zonesearch.statistics.noise import map_cells, measure_noise
from zonesearch.study.study import Study

__all__ = ["Kept", "LiveProblem"]

_OWN = 2 * FRESH
"""Number of seed indices per repeat; the first block is reserved for the true means."""


class Kept(Protocol):
    """Where trials are stored."""

    @property
    def trials(self) -> Trials: ...

    def append(self, trials: Sequence[Trial]) -> None: ...


@dataclass(frozen=True)
class LiveProblem:
    """A :class:`zonesearch.benchmark.problem.Problem` that trains.

    Args:
        study: provides space, epochs and reading.
        objective: the objective to train.
        store: stores trainings and provides earlier ones.
        crew: an engine whose context has been entered.
        truth_seeds: fresh seeds for each recommended point, at least 2.
        came: called with the number of trainings whenever some have finished.
    """

    study: Study
    objective: Objective
    store: Kept
    crew: Engine
    truth_seeds: int = 5
    came: Callable[[int], None] = lambda n: None

    def __post_init__(self) -> None:
        if not 2 <= self.truth_seeds <= FRESH:
            raise StudyError(f"the truth of a point needs 2 to {FRESH} fresh seeds, not {self.truth_seeds}")

    @property
    def name(self) -> str:
        """That of the study."""
        return self.study.name

    @property
    def space(self) -> Space:
        """That of the study."""
        return self.study.space

    @property
    def metric(self) -> Metric:
        """The metric of the study."""
        return metric_of(self.study, self.store.trials)

    @property
    def epochs(self) -> int:
        """Those of the study."""
        return self.study.epochs

    def answer(self, trainings: Sequence[Training], repeat: int) -> list[Trial]:
        """The trials, relabelled with the requested seeds instead of this repeat's own.

        Raises:
            ObjectiveError: all trainings failed so far. StoreError: they cannot be recorded.
        """
        if any(training.seed >= _OWN for training in trainings):
            raise StudyError(f"a search method may only use seeds below {_OWN}")
        own = [replace(training, seed=training.seed + _OWN * (repeat + 1)) for training in trainings]
        self._train(own)
        found = [self.store.trials.get(training) for training in own]
        return [
            replace(trial, training=training)
            for trial, training in zip(found, trainings, strict=True)
            if trial is not None
        ]

    def truths(self, points: Sequence[Params]) -> Truths:
        """Means over fresh seeds; ``best`` is the best of these points, and a point without a complete seed counts as
        the worst.

        The best of several means is slightly too high, by the same amount for all methods, so their differences are
        unaffected.
        """
        seeds = range(self.truth_seeds)
        self._train([Training(point, seed, self.epochs) for point in points for seed in seeds])
        cells = map_cells(points, self.store.trials, seeds=seeds, epochs=self.epochs, reading=self.study.reading)
        known = [cell.mean for cell in cells if cell.values]
        metric = self.metric
        worst = min(known, key=metric.score, default=math.nan)
        noise = measure_noise(cells)
        return Truths(
            tuple(cell.mean if cell.values else worst for cell in cells),
            metric.best(known) if known else math.nan,
            math.sqrt(noise.seed_variance) if noise.degrees else math.nan,
            source=f"The true mean of a point is that of {self.truth_seeds} fresh seeds, trained for this "
            f"purpose only; "
            f"the best point is the best one that any method recommended.",
        )

    def _train(self, trainings: Sequence[Training]) -> None:
        """Train and record what is missing."""
        todo = remaining(sorted(jobs_of(self.objective, trainings), key=lambda b: b.key), self.store.trials)

        def came(new: list[Trial]) -> None:
            new = [whole(trial, self.objective) for trial in new]
            check_metric(new, self.study.metric, self.store.trials)
            self.store.append(new)
            if all(trial.state == "failed" for trial in new):
                stop_when_hopeless(self.store.trials, order_of_work(todo)[0])
            self.came(len(new))

        if todo:
            self.crew.run(self.objective, todo, came, lambda key, share: None)
