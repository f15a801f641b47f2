"""A space as seen by the learned prior: roles, kinds of optimizer, and posteriors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from zonesearch.core.reading import Reading
from zonesearch.core.roles import canonical, roles_among
from zonesearch.core.trials import Params, Trial
from zonesearch.search.controller.context import Context, features, optimizer_odds
from zonesearch.search.controller.home import HomePrior, at_home
from zonesearch.search.controller.joined import Joined, join
from zonesearch.search.controller.lessons import Lesson
from zonesearch.search.controller.model import LOST, RESIDUAL, Beliefs, Values, believe, matern
from zonesearch.search.controller.prior import LearnedPrior, Seen
from zonesearch.search.stages.surrogate.outcomes import Outcomes
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.zones import Zone

__all__ = ["JOINED", "View"]

Array = npt.NDArray[np.float64]

JOINED = 26
"""Number of points with a value from which a process is fitted to this task."""


@dataclass(frozen=True)
class View:
    """A space as the learned prior sees it.

    Args:
        cube: of the space.
        prior: updated by ``lessons``.
        shipped: before that.
        epochs: the length of the trainings.
        optimizer: of all trainings; empty if unknown.
        lessons: of earlier runs.
    """

    cube: Cube
    prior: LearnedPrior
    shipped: LearnedPrior
    epochs: int
    optimizer: str = ""
    lessons: tuple[Lesson, ...] = ()

    @classmethod
    def of(cls, cube: Cube, prior: LearnedPrior, epochs: int, optimizer: str, lessons: tuple[Lesson, ...]) -> View:
        """The view with the prior updated by ``lessons``."""
        return cls(cube, at_home(prior, lessons), prior, epochs, optimizer, lessons)

    @cached_property
    def roles(self) -> dict[str, str]:
        """By axis, of those that the prior knows."""
        return {name: role for name, role in roles_among(self.cube.space.axes).items() if role in self.prior.roles}

    @cached_property
    def odds(self) -> list[tuple[float, float]]:
        """The possible kinds of optimizer, each with its probability."""
        axes = {axis.name: axis for axis in self.cube.space.axes}
        return optimizer_odds(axes, self.roles, self.optimizer)

    @cached_property
    def learned(self) -> tuple[str, ...]:
        """A sentence on the influence of earlier runs; empty if there are none."""
        lessons = self.lessons
        if not lessons:
            return ()
        names = ", ".join(lesson.run for lesson in lessons[:3]) + (", ..." if len(lessons) > 3 else "")
        n, s = len(lessons), "s" if len(lessons) > 1 else ""
        if isinstance(self.prior, HomePrior):
            return (f"The prior was shifted by what {n} earlier run{s} came to ({names}).",)
        return (f"What {n} earlier run{s} came to ({names}) fits the prior as it is, so it was not shifted.",)

    @cached_property
    def sights(self) -> list[tuple[LearnedPrior, Callable[[Array], Seen], float, float]]:
        """All hypotheses about the task: the prior with or without earlier runs, and the kind of optimizer. Each is the
        prior, its function of points, the kind, and the probability.
        """

        def of(prior: LearnedPrior, optimizer: float) -> Callable[[Array], Seen]:
            return lambda points: self.see(points, optimizer, prior)

        priors: list[tuple[LearnedPrior, float]] = [(self.prior, 1.0)]
        if isinstance(self.prior, HomePrior):
            priors = [(self.prior, self.prior.chance), (self.shipped, 1 - self.prior.chance)]
        return [
            (prior, of(prior, optimizer), optimizer, chance * share)
            for prior, share in priors
            for optimizer, chance in self.odds
        ]

    def see(self, points: Array, optimizer: float, prior: LearnedPrior | None = None) -> Seen:
        """The network's predictions at points of the cube, shape (n, n_axes)."""
        return (prior or self.prior).see(self._features(points, optimizer))

    def _features(self, points: Array, optimizer: float) -> Array:
        places = {name: i for i, name in enumerate(self.cube.space.names)}
        by_role: dict[str, list[Array]] = {}
        for name, role in self.roles.items():
            axis: Any = self.cube.space[name]
            u = points[:, places[name]]
            log = axis.scale == "log" and axis.low < axis.high
            values = axis.low * (axis.high / axis.low) ** u if log else axis.low + (axis.high - axis.low) * u
            by_role.setdefault(role, []).append(np.asarray(values, dtype=np.float64))
        values = {
            role: found[0] if len(found) == 1 else np.exp(np.mean(np.log(np.maximum(found, 1e-12)), axis=0))
            for role, found in by_role.items()
        }
        return features(values, Context(epochs=self.epochs), optimizer, len(points))

    @property
    def is_shifted(self) -> bool:
        """Whether earlier runs changed the prior."""
        return isinstance(self.prior, HomePrior)

    def drawn(
        self,
        points: Array,
        sight: tuple[LearnedPrior, Callable[[Array], Seen], float, float],
        n: int,
        rng: np.random.Generator,
    ) -> tuple[Array, Array]:
        """``n`` surfaces of tasks as one of ``sights`` expects them, shape (n, n_points), and the noise between seeds,
        (n_points,).
        """
        prior, see, _, _ = sight
        seen = see(points)
        K = prior.kernel(seen, seen) + RESIDUAL * matern(points, points, 0.4, self.cube.choices)
        K[np.diag_indices(len(K))] += 1e-5
        return seen.mean + rng.normal(size=(n, len(points))) @ np.linalg.cholesky(K).T, seen.noise

    def values(self, known: Sequence[Trial], reading: Reading) -> Values:
        """Trials as the model takes them; a pruned one counts with its last value."""
        cube = self.cube
        points, scores, fixed = [], [], []
        for trial in known:
            curve = trial.counted_curve if trial.state == "pruned" else ()
            score = math.nan
            if trial.complete:
                score = trial.metric.score(trial.value(reading))
            elif curve:
                score = trial.metric.score(reading(curve, trial.metric))
            points.append(cube.point(trial.params))
            scores.append(score)
            fixed.append(math.nan if math.isfinite(score) else LOST)
        shape = np.array(points).reshape(-1, cube.n_axes)
        return Values(shape, np.array(scores), np.array(fixed), cube.choices)

    def beliefs(self, values: Values, known: Sequence[Trial], reading: Reading) -> Beliefs:
        """What is known, under the prior."""
        outcome = Outcomes(self.cube, known, reading).known()
        data: Any = outcome.data(self.cube)[0] if outcome.n_complete else None
        return believe(self.sights, values, data)

    def n_values(self, known: Sequence[Trial], reading: Reading) -> int:
        """How many points have a value."""
        return Outcomes(self.cube, known, reading).known().n_complete

    def joined(self, known: Sequence[Trial], reading: Reading) -> Joined | None:
        """The process fitted to this task; None while there are too few values."""
        outcome = Outcomes(self.cube, known, reading).known()
        if outcome.n_complete < JOINED:
            return None

        def mean(prior: LearnedPrior, optimizer: float) -> Callable[[Array], Array]:
            return lambda points: prior.means(self._features(points, optimizer))

        return join(outcome.data(self.cube)[0], [mean(prior, optimizer) for prior, _, optimizer, _ in self.sights])

    def explained(self, zones: Sequence[Zone]) -> tuple[str, ...]:
        """A sentence on why the prior favours the peak of the first zone."""
        said = self.alike(zones[0].peak) if zones else ""
        return (f"The recommended setting: {said}.",) if said else ()

    def alike(self, params: Params) -> str:
        """On how many similar tasks each value was among the best; empty where nothing is known of them."""
        optimizer = max(self.odds, key=lambda each: each[1])[0]
        said = []
        for name, role in self.roles.items():  # one clause for each axis, also where several have one role
            if name in params:
                value = float(canonical(role, cast(float, params[name])))
                for n, of in self.prior.n_alike({role: value}, optimizer).values():
                    said.append(f"{name} {_short(params[name])}: among the best on {n} of {of} similar tasks")
        return "; ".join(said)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
