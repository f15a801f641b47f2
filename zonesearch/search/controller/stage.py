"""Stage controller: a Bayesian search whose prior is a small network trained on thousands of real trainings.

The first training is where the prior expects networks of this kind to do best; later ones have the largest expected
improvement over the best posterior mean. After each round the prior is compared with uninformed processes
(:mod:`zonesearch.search.controller.model`); as long as those predict the values better, the surrogate proposes and
selects. In a space without roles that the prior knows, the stage is the surrogate.

Each round has its own seed index, as in the surrogate and for the same reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from zonesearch.core.coarse import examples
from zonesearch.core.metric import Metric
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.seeding import FRESH, stream_seed
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.search.controller.context import OPTIMIZERS
from zonesearch.search.controller.joined import Joined
from zonesearch.search.controller.lessons import MOST_LESSONS, Lesson
from zonesearch.search.controller.model import Beliefs, Informed, Values
from zonesearch.search.controller.prior import load_prior
from zonesearch.search.controller.view import JOINED, View
from zonesearch.search.stage import Forecast, Plan, require
from zonesearch.search.stages.surrogate.outcomes import Chance, Outcomes, level_notes, tried_points
from zonesearch.search.stages.surrogate.proposals import log_improvement, log_worth
from zonesearch.search.stages.surrogate.stage import FIRST_SEED, Surrogate, _at_points
from zonesearch.statistics.gp.cube import Cube, unique_rows
from zonesearch.statistics.gp.process import Posterior
from zonesearch.statistics.gp.regions import find_regions
from zonesearch.statistics.zones import Zone, Zones

__all__ = ["Controller"]

Array = npt.NDArray[np.float64]

_UNIFORM, _FIRST_UNIFORM = 500, 3000  # candidates in the whole cube; before anything is known
_AROUND, _LEADERS = 60, 5  # candidates around each of this many of the best points
_STEPS = (0.03, 0.1, 0.25)
# After this many trainings, one is placed far from where the prior suggests, so that its errors can be detected.
_PROBES = (5,)
# The same once the prior was found wrong: the surrogate needs points across the space, but the prior led to one region.
_SPREAD = (6, 8)
_CAUTION = 1.0  # standard deviations subtracted from the expected result of the first training
_BELIEVED = 0.5  # trust from which the prior proposes and selects


@dataclass(frozen=True)
class Controller:
    """``n_trainings`` trainings chosen by the learned prior and the results so far; outputs zones, the recommended one
    first.

    Args:
        space, epochs, reading: as in the grid.
        seeds: of the trainings at points from an earlier stage, which are known from the start.
        n_trainings: total number, without those at points from an earlier stage.
        batch: points of one round; they train together.
        optimizer: of the networks, such as ``sgd`` or ``adam``; by default that of the study; if it is not set, or
            searched, it is inferred.
        learn_from: run folders of earlier searches that update the prior; read when a run begins.
        cache: whether to use what `zonesearch learn` stores in the user's cache.
        learned: what was learned from both, as plain data (:class:`~zonesearch.search.controller.lessons.Lesson`);
            stored with the run, so that it continues as it began. None before anything was read.
        level, zones_max, first_seed, study_seed, planned: as in the surrogate.
    """

    heeds: ClassVar[frozenset[str]] = frozenset({"when", "constraints", "prior"})
    fewest: ClassVar[int] = 1  # the first training is already a recommendation

    space: Space
    epochs: int
    seeds: int = 1
    reading: Reading = BEST
    n_trainings: int = 25
    batch: int = 1
    optimizer: str = ""
    level: float = 0.95
    zones_max: int = 5
    first_seed: int = FIRST_SEED
    study_seed: int = 0
    learn_from: tuple[str, ...] = ()
    cache: bool = True
    learned: tuple[Mapping[str, Any], ...] | None = None
    planned: tuple[int, ...] = ()
    name: str = "controller"

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "training", "epochs", "at least 1", self.epochs)
        for setting in ("seeds", "n_trainings", "batch", "zones_max", "first_seed"):
            require(getattr(self, setting) >= 1, self.name, setting, "at least 1", getattr(self, setting))
        require(0 < self.level < 1, self.name, "level", "between 0 and 1", self.level)
        known = f"one of {', '.join(OPTIMIZERS)}, or empty"
        require(self.optimizer in ("", *OPTIMIZERS), self.name, "optimizer", known, self.optimizer)
        most = (FRESH - self.first_seed - 1) * self.batch
        expected = f"at most {most} with batch = {self.batch}"
        require(self.n_trainings <= most, self.name, "n_trainings", expected, self.n_trainings)
        ends = (*self.planned, self.n_trainings)
        fits = list(ends) == sorted(ends) and ends[0] >= 1
        require(fits, self.name, "planned", "rising whole numbers up to n_trainings", self.planned)
        named = self.learn_from
        texts = isinstance(named, Sequence) and not isinstance(named, str) and all(isinstance(n, str) for n in named)
        require(texts and all(named), self.name, "learn_from", "a list of run folders", named)
        object.__setattr__(self, "learn_from", tuple(named))
        n_learned = len(self.learned or ())
        require(n_learned <= MOST_LESSONS, self.name, "learned", f"at most {MOST_LESSONS} runs", n_learned)
        _ = self.lessons

    @cached_property
    def lessons(self) -> tuple[Lesson, ...]:
        """The lessons of earlier runs."""
        place = f"[{self.name}] learned, item"
        return tuple(Lesson.parse(each, f"{place} {i}") for i, each in enumerate(self.learned or (), start=1))

    def plan(self, given: Any, trials: Trials) -> Plan:
        """Known trainings and the next round; the output is a tuple of zones, and the first zone's peak is recommended.

        Args:
            given: as for the surrogate.
            trials: all that is known.
        """
        cube = Cube(given if isinstance(given, Space) else self.space)
        if self.learn_from and self.learned is None:
            raise StudyError(f"[{self.name}] learn_from is read when a run begins, and nothing has read it here")
        view = View.of(cube, load_prior(), self.epochs, self.optimizer, self.lessons)
        if not view.roles:
            plan = self._surrogate.plan(given, trials)
            return Plan(plan.trainings, plan.output, (_WITHOUT, *plan.notes)) if plan.output is not None else plan
        mine = self._surrogate._mine(cube.space, trials)[: self.n_trainings]
        at_first = _at_points(given, self.seeds, self.epochs, cube.space, trials)
        done = tuple(trial.training for trial in mine)
        seed = max((training.seed for training in done), default=self.first_seed)
        while len(done) < self.n_trainings and seed < FRESH:
            before = [trial for trial in mine if trial.seed < seed]
            end = next((end for end in self.planned if len(before) < end), self.n_trainings)
            size = min(self.batch, end - len(before))
            if len(mine) - len(before) < size:
                points = self._points(view, at_first, before, seed, size)
                round_ = [Training(cube.params(point), seed, self.epochs) for point in points]
                missing = trials.missing(round_)[: size - (len(mine) - len(before))]
                if missing:
                    return Plan((*done, *missing))
            seed += 1
        zones, notes = self._zones(view, at_first + mine, trials.metric)
        known = at_first + mine
        output = Zones.of(zones, tried_points(known, self.reading))
        return Plan(done, output, (*notes, *level_notes(known, zones, self.reading), *view.learned))

    def reasons(self, given: Any, trials: Trials) -> dict[Training, str]:
        """Why each training was proposed, as a sentence; empty in a space without roles.

        Args:
            given, trials: as in :meth:`plan`.
        """
        cube = Cube(given if isinstance(given, Space) else self.space)
        view = View.of(cube, load_prior(), self.epochs, self.optimizer, self.lessons)
        if not view.roles:
            return {}
        mine = self._surrogate._mine(cube.space, trials)[: self.n_trainings]
        at_first = _at_points(given, self.seeds, self.epochs, cube.space, trials)
        found = {}
        for seed, round_ in groupby(mine, key=lambda trial: trial.seed):
            known = at_first + [trial for trial in mine if trial.seed < seed]
            why = self._why(view, known)
            for trial in round_:
                alike = view.alike(trial.params)
                found[trial.training] = f"{why}; {alike}." if alike else f"{why}."
        return found

    def _why(self, view: View, known: Sequence[Trial]) -> str:
        """Why the round after ``known`` was proposed."""
        if view.n_values(known, self.reading) >= JOINED:
            return "Where a process fitted to this task expected most"
        n = len(known)
        far = "Far from what was trained"
        trust = view.beliefs(view.values(known, self.reading), known, self.reading).trust
        if trust < _BELIEVED:
            why, others = far, "where the surrogate expected most"
            n_far, because = (
                sum(n <= at < n + self.batch for at in _SPREAD),
                f"as the prior was believed to {trust:.0%}",
            )
        else:
            why, others = f"{far}, to find out whether the prior is wrong", "where the prior expected most"
            others = others if n else "where the prior expects the best"
            n_far, because = sum(n <= at < n + self.batch for at in _PROBES), f"believed to {trust:.0%}" if n else ""
        said = why if n_far == self.batch else f"{why}, or {others}" if n_far else others
        return ", ".join(filter(None, (said[0].upper() + said[1:], because)))

    def forecast(self, given: Any) -> Forecast:
        """The maximum number of trainings."""
        example = examples(self.space, self.epochs, self.first_seed)
        return Forecast(self.n_trainings, self.epochs, self.zones_max, example)

    def further(self, n: int) -> Controller:
        """The same search with ``n`` more trainings after those planned."""
        if not n:
            return self
        return replace(self, n_trainings=self.n_trainings + n, planned=(*self.planned, self.n_trainings))

    @cached_property
    def _surrogate(self) -> Surrogate:
        """The surrogate, used while the prior is not trusted."""
        own = ("space", "epochs", "seeds", "reading", "n_trainings", "batch", "level", "zones_max", "first_seed")
        others: dict[str, Any] = {"study_seed": self.study_seed, "planned": self.planned, "name": self.name}
        return Surrogate(**{name: getattr(self, name) for name in own}, **others)

    def _points(self, view: View, at_first: list[Trial], before: list[Trial], seed: int, size: int) -> Array:
        """The points of the round with this seed, given what was known before, shape (at most ``size``, n_axes)."""
        cube = view.cube
        known = at_first + before
        if (joined := view.joined(known, self.reading)) is not None:
            return self._joined_points(view, joined, known, seed, size)
        values = view.values(known, self.reading)
        beliefs = view.beliefs(values, known, self.reading)
        rng = np.random.default_rng([stream_seed(self.study_seed, "design", 2), seed])
        if beliefs.trust < _BELIEVED:
            found = self._doubting_points(view, values.points, at_first, before, seed, size, rng)
            if len(found):
                return found
        chosen: list[Array] = []
        for _ in range(size):
            points = _candidates(cube, beliefs.leading, values.points, rng)
            if not len(points):
                break
            probes = len(values) in _PROBES
            if probes:
                scores = _apart(points, values.points, Outcomes(cube, known, self.reading).chances())
            else:
                scores = _worth(cube, beliefs, values, points)
            ranked = points[np.argsort(-scores, kind="stable")]
            point = next((p for p in ranked if not any(np.array_equal(p, c) for c in chosen)), None)
            if point is None:
                break
            chosen.append(point)
            if len(chosen) < size:
                expected = float(beliefs.leading.at_points(point[None])[0][0])
                values = values.with_fixed(point, expected)
                beliefs = view.beliefs(values, known, self.reading)
        return np.array(chosen).reshape(-1, cube.n_axes)

    def _doubting_points(
        self,
        view: View,
        trained: Array,
        at_first: list[Trial],
        before: list[Trial],
        seed: int,
        size: int,
        rng: np.random.Generator,
    ) -> Array:
        """The points of a round when the prior is not trusted: those of the surrogate, preceded by points far from all
        trained ones, to compensate for where the prior has led.
        """
        cube = view.cube
        chosen: list[Array] = []
        chances = Outcomes(cube, [*at_first, *before], self.reading).chances()
        for _ in range(sum(len(trained) <= n < len(trained) + size for n in _SPREAD)):
            points = cube.allowed(cube.snap(rng.random((_UNIFORM, cube.n_axes))))
            if len(points):
                chosen.append(points[int(np.argmax(_apart(points, np.vstack([trained, *chosen]), chances)))])
        if len(chosen) < size:
            more = self._surrogate._points(cube, at_first, before, max(seed, self.first_seed + 1), size - len(chosen))
            chosen += [p for p in more if not any(np.array_equal(p, c) for c in chosen)]
        return np.array(chosen).reshape(-1, cube.n_axes)

    def _joined_points(self, view: View, joined: Joined, known: Sequence[Trial], seed: int, size: int) -> Array:
        """The points of a round once there are enough values to fit a process to."""
        cube = view.cube
        chances = Outcomes(cube, known, self.reading).chances()
        rng = np.random.default_rng([stream_seed(self.study_seed, "design", 3), seed])
        chosen: list[Array] = []
        for _ in range(size):
            believed = joined.believing(np.array(chosen).reshape(-1, cube.n_axes))
            points = _candidates(cube, believed, believed.data.points, rng)
            mean, sd, noise = believed.with_noise(points)
            scores = log_improvement(mean, sd, np.asarray(_incumbent(believed))) + log_worth(sd, noise)
            scores += cube.belief(points) * 10.0 / len(believed.data)
            for chance in chances:
                scores += chance.log_probability(points)
            ranked = points[np.argsort(-scores, kind="stable")]
            point = next((p for p in ranked if not any(np.array_equal(p, c) for c in chosen)), None)
            if point is None:
                break
            chosen.append(point)
        return np.array(chosen).reshape(-1, cube.n_axes)

    def _zones(self, view: View, known: Sequence[Trial], metric: Metric) -> tuple[tuple[Zone, ...], tuple[str, ...]]:
        if not any(trial.complete for trial in known):
            return (), ()
        if (joined := view.joined(known, self.reading)) is not None:
            said = f"The learned prior counted for {joined.share:.0%} of what it says." if joined.share < 1 else ""
            zones = self._regions(view, joined, known, metric)
            return zones, tuple(filter(None, (*view.explained(zones), said)))
        beliefs = view.beliefs(view.values(known, self.reading), known, self.reading)
        if beliefs.trust < _BELIEVED:
            said = "The values were foretold better without the learned prior, so the surrogate judged them."
            return self._surrogate._zones(view.cube, known, metric), (said,)
        zones = self._regions(view, beliefs.leading, known, metric)
        return zones, view.explained(zones)

    def _regions(
        self, view: View, judge: Informed | Joined, known: Sequence[Trial], metric: Metric
    ) -> tuple[Zone, ...]:
        if judge.data.barred is not None and judge.data.barred.all():
            return ()
        cube, names = view.cube, view.cube.space.names
        params = {tuple(cube.point(t.params).tolist()): {n: t.params[n] for n in names if n in t.params} for t in known}
        scale = (
            judge.scale if isinstance(judge, Informed) else Outcomes(cube, known, self.reading).known().data(cube)[1]
        )
        posterior = cast(Posterior, judge)  # all that zones need of it
        return find_regions(cube, posterior, scale, params, metric, level=self.level, zones_max=self.zones_max)


_WITHOUT = (
    "No axis has a role that the learned prior knows, so this was the surrogate; give roles in [space] "
    '(role = "learning_rate").'
)


def _candidates(cube: Cube, judge: Informed | Joined, trained: Array, rng: np.random.Generator) -> Array:
    """Allowed points, shape (n, n_axes), all different."""
    n = _UNIFORM if len(trained) else _FIRST_UNIFORM
    drawn = rng.random((n, cube.n_axes))
    centres = _best_of(cube.allowed(cube.snap(drawn)), judge)
    if len(trained):
        centres = np.vstack([centres, _best_of(trained, judge)])
    moved = np.repeat(centres, _AROUND, axis=0)
    size = rng.choice(_STEPS, size=(len(moved), 1))
    steps = rng.normal(size=moved.shape) * size
    stays = rng.random(moved.shape) > max(0.5, 2.0 / cube.n_axes)
    fresh = np.where(cube.choices, rng.random(moved.shape), moved + steps)
    around = np.where(stays, moved, fresh)
    return cube.allowed(unique_rows(cube.snap(np.vstack([drawn, centres, around]))))


def _best_of(points: Array, judge: Informed | Joined) -> Array:
    if not len(points):
        return points
    means = judge.means(points)
    return points[np.argsort(-means, kind="stable")[:_LEADERS]]


def _worth(cube: Cube, beliefs: Beliefs, values: Values, points: Array) -> Array:
    """The value of a training at each point: at first its expected result, less a share of what it varies by between
    tasks (among settings that are equally good on average, those that are good on most); then its expected improvement.
    """
    belief = cube.belief(points) * 10.0 / max(1, len(values))
    if not len(values):
        total = 0.1 * belief
        for weight, expert in zip(beliefs.weights, beliefs.experts, strict=True):
            mean, sd = expert.at_points(points)
            total += weight * (mean - _CAUTION * sd)
        return total
    total = np.zeros(len(points))
    for weight, expert in zip(beliefs.weights, beliefs.experts, strict=True):
        if weight < 0.02:
            continue
        mean, sd, noise = expert.with_noise(points)
        incumbent = _incumbent(expert)
        total += weight * np.exp(log_improvement(mean, sd, np.asarray(incumbent)) + log_worth(sd, noise))
    return np.log(np.maximum(total, 1e-300)) + belief


def _apart(points: Array, trained: Array, chances: Sequence[Chance] = ()) -> Array:
    """The distance of each point to the nearest trained one, shape (n,); edges count half, and points that are more
    likely to fail than not come after all others, the less likely first.
    """
    inner = 0.1 + 0.8 * points
    apart: Array = np.sqrt(((inner[:, None] - trained) ** 2).sum(2)).min(1) - 0.5 * np.abs(points - 0.5).max(1)
    if chances:
        succeeds = np.sum([chance.log_probability(points) for chance in chances], axis=0)
        apart = np.where(succeeds < math.log(0.5), succeeds - 1e3, apart)
    return apart


def _incumbent(judge: Informed | Joined) -> float:
    """The best posterior mean among trained points that may be the best."""
    data = judge.data
    points = judge.values.points if data is None and isinstance(judge, Informed) else data.points[data.eligible]
    return float(judge.means(points).max())
