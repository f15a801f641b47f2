"""Stage surrogate: the surface approximated by a Gaussian process, and the zones where it may be highest.

The first of the two alternatives to a full grid: each training is placed where the approximation predicts the highest
value of a measurement. It starts with a space-filling design; then, round by round, the points of highest expected
improvement over the best *posterior mean* (the best observation is a lucky one), weighted by the probability that a
training succeeds there; finally, repeats of the incumbent or of its most probable challenger with fresh seeds.

Each round has its own seed index, shared by all its trainings. So the set of trials itself shows what was known when a
round was planned (the trainings with lower seeds), an interrupted round is completed as planned, and later trainings of
other stages change nothing here.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from zonesearch.core.coarse import examples
from zonesearch.core.metric import Metric
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.seeding import FRESH, stream_seed
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trial, Trials
from zonesearch.search.stage import Forecast, Plan, require
from zonesearch.search.stages.surrogate.outcomes import Outcomes, expected, level_notes, tried_points
from zonesearch.search.stages.surrogate.proposals import Search, challenger
from zonesearch.statistics.candidates import Candidate
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.process import Prior, fit
from zonesearch.statistics.gp.regions import find_regions
from zonesearch.statistics.gp.stack import Stack
from zonesearch.statistics.zones import Zone, Zones

__all__ = ["FIRST_SEED", "Surrogate"]

FIRST_SEED = 500
"""The seed index of the first round; lower ones belong to maps, those from ``FRESH`` on to the judging of finalists."""

_FIRST = 0.2
"""Default fraction of the trainings for the first design, if they are enough to look for other peaks too."""

_OUTSIDE = (0, 0, 1, 0, 0, 2)
"""In turn: the number of best zones outside which the next point is searched, so that other peaks are found too."""

_SPARE = 4
"""Other peaks are searched only from this many trainings (times the squared number of axes) on; earlier, this would
harm the best one.
"""

_TRUST = 10.0
"""Prior beliefs are worth this many points: their power is this divided by the number of known points."""

_ZONES: deque[tuple[tuple[Any, ...], tuple[Zone, ...]]] = deque(maxlen=4)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Surrogate:
    """Places ``n_trainings`` by a Gaussian process; passes on zones, best first by posterior mean.

    Args:
        space, epochs, reading: as in the grid.
        seeds: seeds of the trainings at points from an earlier stage, which are known from the start.
        n_trainings: total number, without those at points from an earlier stage.
        batch: points of one round; they are trained together. A batch of one finds slightly more with the same
            trainings.
        first: fraction of the trainings used for the first design; five plus one per axis if that is more, or if there
            are too few trainings to look for other peaks (fewer than four times the squared number of axes) and the
            fraction is not above a fifth.
        repeats: fraction of the trainings, at the end, that repeat the incumbent or its challenger.
        level: two points count as different if the posterior of their difference excludes zero at this level.
        zones_max: maximum number of zones passed on.
        first_seed: the seed index of the first round; choose another one for a second such stage in the same study.
        study_seed: seed of the design and of the proposals.
        planned: if the search is extended, the earlier values of ``n_trainings``, ascending; the first one determines
            the first design and the repeats. Set when a budget is increased.
        begun: whether the points from an earlier stage are part of the first design, which then gets that many fewer.
    """

    heeds: ClassVar[frozenset[str]] = frozenset({"when", "constraints", "prior"})

    space: Space
    epochs: int
    seeds: int = 1
    reading: Reading = BEST
    n_trainings: int = 50
    batch: int = 4
    first: float = _FIRST
    repeats: float = 0.05
    level: float = 0.95
    zones_max: int = 5
    first_seed: int = FIRST_SEED
    study_seed: int = 0
    planned: tuple[int, ...] = ()
    begun: bool = False
    name: str = "surrogate"

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "training", "epochs", "at least 1", self.epochs)
        for setting in ("seeds", "n_trainings", "batch", "zones_max", "first_seed"):
            require(getattr(self, setting) >= 1, self.name, setting, "at least 1", getattr(self, setting))
        require(0 < self.first <= 1, self.name, "first", "above 0 and at most 1", self.first)
        require(0 <= self.repeats < 1, self.name, "repeats", "at least 0 and below 1", self.repeats)
        require(0 < self.level < 1, self.name, "level", "between 0 and 1", self.level)
        most = (FRESH - self.first_seed - 1) * self.batch
        expected = f"at most {most} with batch = {self.batch}"
        require(self.n_trainings <= most, self.name, "n_trainings", expected, self.n_trainings)
        ends = (*self.planned, self.n_trainings)
        fits = list(ends) == sorted(ends) and ends[0] >= 1
        require(fits, self.name, "planned", "rising whole numbers up to n_trainings", self.planned)

    def plan(self, given: Any, trials: Trials) -> Plan:
        """Known trainings and the next round; the output is a tuple of zones.

        Args:
            given: zones or candidates, whose trainings are known from the start, or a space narrowed by an earlier
                stage.
            trials: all that is known.
        """
        cube = Cube(given if isinstance(given, Space) else self.space)
        mine = self._mine(cube.space, trials)[: self.n_trainings]
        at_first = _at_points(given, self.seeds, self.epochs, cube.space, trials)
        done = tuple(trial.training for trial in mine)
        seed = max((training.seed for training in done), default=self.first_seed)
        while len(done) < self.n_trainings:
            if seed >= FRESH:
                break
            before = [trial for trial in mine if trial.seed < seed]
            size = self._size(seed, len(before), len(at_first))
            if len(mine) - len(before) < size:
                points = self._points(cube, at_first, before, seed, size)
                round_ = [Training(cube.params(point), seed, self.epochs) for point in points]
                missing = trials.missing(round_)[: size - (len(mine) - len(before))]
                if missing:
                    return Plan((*done, *missing))
            seed += 1
        known = at_first + mine
        zones = self._zones(cube, known, trials.metric)
        output = Zones.of(zones, tried_points(known, self.reading))
        return Plan(done, output, level_notes(known, zones, self.reading))

    def has_all(self, trials: Trials) -> bool:
        """Whether all of its trainings are in ``trials``."""
        return len(self._mine(self.space, trials)) >= self.n_trainings

    def forecast(self, given: Any) -> Forecast:
        """The maximum number of trainings."""
        example = examples(self.space, self.epochs, self.first_seed)
        return Forecast(self.n_trainings, self.epochs, self.zones_max, example)

    def further(self, n: int) -> Surrogate:
        """The same search with ``n`` more trainings after those planned."""
        if not n:
            return self
        return replace(self, n_trainings=self.n_trainings + n, planned=(*self.planned, self.n_trainings))

    @property
    def _planned(self) -> int:
        return (*self.planned, self.n_trainings)[0]

    def _mine(self, space: Space, trials: Trials) -> list[Trial]:
        """The full-length trials of this stage's rounds, in a fixed order."""
        found = []
        for trial in trials:
            if self.first_seed <= trial.seed < FRESH and set(trial.params) == set(space.branch(trial.params)):
                same = trial.epochs == self.epochs
                back = trial if same else trials.get(Training(trial.params, trial.seed, self.epochs))
                if back is not None and space.contains(trial.params):
                    found.append(back)
        return sorted(found, key=lambda trial: (trial.seed, trial.training.key))

    def _n_first(self, n_axes: int) -> int:
        n = self._planned
        least = min(n_axes + 5, n // 2)  # for a small budget a fifth is not enough
        share = math.ceil(self.first * n)
        if self.first <= _FIRST and not self._spare:
            share = least
        return min(n, max(share, least, 3))

    @property
    def _spare(self) -> bool:
        """Whether there are enough trainings to look for other peaks too."""
        return self._planned >= _SPARE * len(self.space.axes) ** 2

    def _size(self, seed: int, n_before: int, n_at_first: int) -> int:
        """The number of trainings in the round."""
        if seed == self.first_seed:
            return max(0, self._n_first(len(self.space.axes)) - (n_at_first if self.begun else 0))
        end = next((end for end in self.planned if n_before < end), self.n_trainings)
        return min(self.batch, end - n_before)

    def _points(self, cube: Cube, at_first: list[Trial], before: list[Trial], seed: int, size: int) -> Array:
        """The points of the round with this seed, given what was known before, shape (at most ``size``, n_axes).

        Running trainings, whose values are only predicted, do not inform the surface; they only show that the point is
        taken.
        """
        came = [trial for trial in at_first + before if not expected(trial)]
        ahead = _places(cube, [trial for trial in at_first + before if expected(trial)])
        if seed == self.first_seed:
            beside = _places(cube, at_first) if self.begun else None
            return cube.design(size + (0 if beside is None else len(beside)), self._design_seed(), beside)[:size]
        outcomes = Outcomes(cube, came, self.reading)
        values = outcomes.known()
        rng = np.random.default_rng([self._design_seed(1), seed])
        if not values.n_complete:
            drawn = cube.allowed(cube.snap(rng.random((64 + 16 * size, cube.n_axes))))
            return cube.farthest(drawn, np.vstack([ahead, _places(cube, came)]), size)
        posterior = fit(values.data(cube)[0], Prior()).believing(ahead)
        chances = outcomes.chances()
        n_repeats = math.floor(self.repeats * self._planned)
        chosen: list[Array] = []
        for i in range(size):
            under_way = np.array(chosen).reshape(-1, cube.n_axes)
            believed = posterior.believing(under_way)
            if self._planned - n_repeats <= len(before) + i < self._planned:
                ranked = challenger(believed)
            else:
                trust = _TRUST / max(1, len(values)) if any(getattr(a, "prior", None) for a in cube.space.axes) else 0.0
                n_known = _OUTSIDE[(len(before) + i) % len(_OUTSIDE)] if self._spare else 0
                ranked = Search().ranked(
                    cube, believed, Stack([believed]), rng, n_known=n_known, chances=chances, trust=trust
                )
            point = next((p for p in ranked if not any(np.array_equal(p, c) for c in chosen)), None)
            if point is None:
                break
            chosen.append(point)
        return np.array(chosen)

    def _design_seed(self, *of: int) -> int:
        return stream_seed(self.study_seed, "design", *of)

    def _zones(self, cube: Cube, known: Sequence[Trial], metric: Metric) -> tuple[Zone, ...]:
        values = Outcomes(cube, known, self.reading).known()
        if not values.n_complete:
            return ()
        data, scale = values.data(cube)
        if not data.eligible.any() or (data.barred is not None and data.barred.all()):
            return ()
        posterior = fit(data, Prior())
        names = cube.space.names
        params = {tuple(cube.point(t.params).tolist()): {n: t.params[n] for n in names if n in t.params} for t in known}
        # a sampler asks for the same zones again with every suggestion that follows the search
        asked = (posterior, cube.space, scale, params, metric, self.level, self.zones_max)
        for earlier, zones in tuple(_ZONES):
            if earlier[0] is posterior and earlier[1:] == asked[1:]:
                return zones
        zones = find_regions(cube, posterior, scale, params, metric, level=self.level, zones_max=self.zones_max)
        _ZONES.append((asked, zones))
        return zones


def _places(cube: Cube, trials: Sequence[Trial]) -> Array:
    return np.array([cube.point(trial.params) for trial in trials]).reshape(-1, cube.n_axes)


def _at_points(given: Any, seeds: int, epochs: int, space: Space, trials: Trials) -> list[Trial]:
    """The trials at the points of zones and candidates."""
    points: list[Params] = []
    for item in given if isinstance(given, Sequence) else ():
        points += item.cells if isinstance(item, Zone) else [item.params] if isinstance(item, Candidate) else []
    trainings = dict.fromkeys(Training(p, seed, epochs) for p in points if space.contains(p) for seed in range(seeds))
    return [trial for training in trainings if (trial := trials.get(training)) is not None]
