"""Stage optuna: any Optuna sampler as one stage among the others.

A sampler is stateful (a random state, the kernel of the last fit, a generation), whereas a stage is a pure function of
the trials. So the sampler is replayed from its start: ask, look up the value in the trials, tell, and so on up to the
first point without a value, which is requested next. Replays are cached in memory, so a run pays for every suggestion
once, and a resumed run once more.
"""

from __future__ import annotations

import copy
import math
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from zonesearch.core.axes import AnyAxis, Axis
from zonesearch.core.calls import parse_call
from zonesearch.core.coarse import examples
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trials, Value
from zonesearch.errors import StudyError, did_you_mean
from zonesearch.search.stage import Forecast, Plan, require
from zonesearch.statistics.candidates import Candidate
from zonesearch.statistics.noise import Cell, map_cells, measure_noise, preferred
from zonesearch.statistics.scattered_zones import scattered_zones
from zonesearch.statistics.zones import Zone, Zones, level_inwards, peak_zone

if TYPE_CHECKING:
    import optuna

__all__ = ["SAMPLERS", "OptunaSampler"]

SAMPLERS = {
    "tpe": "TPESampler",
    "gp": "GPSampler",
    "cmaes": "CmaEsSampler",
    "qmc": "QMCSampler",
    "random": "RandomSampler",
}
"""Optuna's classes by the names that a study file may use."""

_ALWAYS: dict[str, dict[str, Any]] = {
    "qmc": {"scramble": True, "warn_independent_sampling": False, "warn_asynchronous_seeding": False},
    "cmaes": {"warn_independent_sampling": False},
}
_DIGITS = 6  # digits of a float: the last bit of a sum differs between machines and must not make another training

_REGIONS: deque[tuple[Any, tuple[Zone, ...]]] = deque(maxlen=4)

Told = tuple[float, ...]
"""The values of one batch, NaN for lost trainings."""

_Asked = dict[Any, list[Training]]
"""The trainings of each point."""


@dataclass(frozen=True)
class OptunaSampler:
    """Runs ``n_trainings`` chosen by an Optuna sampler, in batches; passes on the zones of all points, by a Gaussian
    process, or its best points as zones of one cell while these are too few for that.

    A point that the sampler suggests again is trained with the next seeds, so that it is not told the same number
    twice. The sampler is first told the zones and candidates of the previous stage, as far as their trainings are
    known.

    Args:
        space, epochs, seeds, reading: as in the grid; the sampler is told the mean over the seeds.
        sampler: ``tpe``, ``gp``, ``cmaes``, ``qmc`` or ``random``, also with settings (``tpe(multivariate=True)``); in
            Python, a sampler created with a seed.
        n_trainings: total number of trainings; each seed of a point counts.
        batch: points per round; they are trained together.
        keep: number of zones passed on.
        study_seed: seed of the sampler.
        planned: where a budget continued the search, the earlier values of ``n_trainings``, ascending: a batch ends at
            each of them, as it did then.
    """

    keeps_batch: ClassVar[bool] = True  # replayed with rounds of another size, a sampler suggests other points

    space: Space
    epochs: int
    seeds: int = 1
    reading: Reading = BEST
    sampler: Any = "tpe"
    n_trainings: int = 50
    batch: int = 4
    keep: int = 3
    study_seed: int = 0
    planned: tuple[int, ...] = ()
    name: str = "optuna"

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "training", "epochs", "at least 1", self.epochs)
        for setting in ("seeds", "n_trainings", "batch", "keep"):
            require(getattr(self, setting) >= 1, self.name, setting, "at least 1", getattr(self, setting))
        require(self.n_trainings >= self.seeds, self.name, "n_trainings", "at least the seeds", self.n_trainings)
        ends = (*self.planned, self.n_trainings)
        fits = list(ends) == sorted(ends) and ends[0] >= 1
        require(fits, self.name, "planned", "rising whole numbers up to n_trainings", self.planned)
        if isinstance(self.sampler, str):
            _sampler(self.sampler, self.study_seed, self.name)
        else:
            is_one = hasattr(self.sampler, "sample_relative")
            require(is_one, self.name, "sampler", "the name of a sampler, or an Optuna sampler", self.sampler)

    def plan(self, given: Any, trials: Trials) -> Plan:
        """All trainings the sampler has requested so far; the output is a tuple of zones around the best points, best
        first.
        """
        asked = self._known(given, trials)
        step = self._play(asked, trials)
        trainings: list[Training] = []
        while step is not None:
            batch = [self._trainings(point, asked) for point in step.points]
            trainings += [training for repeats in batch for training in repeats]
            if trials.missing(trainings[-sum(map(len, batch)) :]):
                return Plan(tuple(trainings))
            step = step.told(tuple(self._score(repeats, trials) for repeats in batch))
        return Plan(tuple(trainings), self._zones(list(asked.values()), trials))

    def forecast(self, given: Any) -> Forecast:
        """The maximum number of trainings."""
        example = examples(self.space, self.epochs)
        return Forecast(self.n_trainings, self.epochs, self.keep, example)

    def further(self, n: int) -> OptunaSampler:
        """The same stage with ``n`` more trainings."""
        if not n:
            return self
        return replace(self, n_trainings=self.n_trainings + n, planned=(*self.planned, self.n_trainings))

    def _known(self, given: Any, trials: Trials) -> _Asked:
        """The trainings of the points passed on by the previous stage, if any was complete."""
        asked: _Asked = {}
        for point in _points(given):
            repeats = [Training(point, seed, self.epochs) for seed in range(self.seeds)]
            if self.space.contains(point) and self._cell(repeats, trials).values:
                asked[repeats[0].identity[0]] = repeats
        return asked

    def _play(self, known: _Asked, trials: Trials) -> _Step | None:
        told = tuple(
            (tuple(repeats[0].params[name] for name in self.space.names), self._score(repeats, trials))
            for repeats in known.values()
        )
        sampler = self.sampler if isinstance(self.sampler, str) else _Instance(self.sampler)
        ends = tuple(n // self.seeds for n in (*self.planned, self.n_trainings))
        return _played(sampler, self.space, self.study_seed, told, ends, self.batch, self.name).first()

    def _trainings(self, point: Params, asked: _Asked) -> list[Training]:
        """The next seeds of ``point``, which are added to those already in ``asked``."""
        before = asked.setdefault(Training(point).identity[0], [])
        new = [Training(point, len(before) + seed, self.epochs) for seed in range(self.seeds)]
        before += new
        return new

    def _cell(self, trainings: Sequence[Training], trials: Trials) -> Cell:
        seeds = [training.seed for training in trainings]
        point = trainings[0].params
        return map_cells([point], trials, seeds=seeds, epochs=self.epochs, reading=self.reading)[0]

    def _score(self, trainings: Sequence[Training], trials: Trials) -> float:
        """The value for the sampler: larger is better, regardless of the metric's direction."""
        return trials.metric.score(self._cell(trainings, trials).mean)

    def _zones(self, asked: Sequence[Sequence[Training]], trials: Trials) -> Zones:
        """The zones of the points, or while they are too few for any, the best of them."""
        cells = [cell for repeats in asked if (cell := self._cell(repeats, trials)).values]
        cells.sort(key=preferred)
        others = [cell.params for cell in cells]
        cells = [cell for cell in cells if cell.feasible]
        zones = _regions(self.space, cells, self.keep)
        if zones:
            return Zones.of(zones, others)
        noise = measure_noise(cells)
        names = self.space.names
        best = (
            level_inwards(
                peak_zone(self.space, {n: cell.params[n] for n in names}, cell.mean, noise.se(cell), i, trials.metric),
                [other.params for other in cells if other.mean == cell.mean],
            )
            for i, cell in enumerate(cells[: self.keep], start=1)
        )
        return Zones.of(best, others)


def _regions(space: Space, cells: Sequence[Cell], zones_max: int) -> tuple[Zone, ...]:
    """The zones of scattered points. Remembered, since a stage is asked again in every round."""
    asked = (space, tuple(cells), zones_max)
    for earlier, zones in tuple(_REGIONS):
        if earlier == asked:
            return zones
    found = scattered_zones(space, cells, zones_max=zones_max).zones[:zones_max]
    _REGIONS.append((asked, found))
    return found


def _points(given: Any) -> Iterator[Params]:
    """The points of zones and candidates; empty for a space or None."""
    for item in given if isinstance(given, Sequence) else ():
        if isinstance(item, Zone):
            yield from item.cells
        elif isinstance(item, Candidate):
            yield item.params


@dataclass(frozen=True)
class _Instance:
    """A sampler given as an object: only copies of it are asked, and it equals only itself."""

    sampler: Any = field(hash=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Instance) and self.sampler is other.sampler

    def __hash__(self) -> int:
        return id(self.sampler)


@dataclass
class _Step:
    """A batch requested by the sampler, and the next batch for every possible answer; None after the last batch."""

    points: list[dict[str, Value]]
    play: _Play
    path: tuple[Told, ...]
    after: dict[tuple[float | None, ...], _Step | None] = field(default_factory=dict)

    def told(self, values: Told) -> _Step | None:
        """The next batch, given these values."""
        key = tuple(None if math.isnan(value) else value for value in values)
        if key not in self.after:
            self.after[key] = self.play.after((*self.path, values))
        return self.after[key]


class _Play:
    """A sampler replayed along a path of answers; it restarts when the path diverges."""

    def __init__(
        self, make: Callable[[], Any], space: Space, known: Sequence[Any], ends: Sequence[int], batch: int
    ) -> None:
        self._make = make
        self._space = space
        self._known = known
        self._ends = ends
        self._batch = batch
        with _quietly():
            self._distributions = {axis.name: _distribution(axis) for axis in space.axes}
        self._lock = threading.Lock()
        self._path: tuple[Told, ...] = ()
        self._study: optuna.Study | None = None
        self._asked: list[optuna.Trial] = []
        self._worst = math.nan
        self._first: _Step | None = None

    def first(self) -> _Step | None:
        """The first batch."""
        if self._first is None:
            self._first = self.after(())
        return self._first

    def after(self, path: tuple[Told, ...]) -> _Step | None:
        """The batch that follows ``path``; None once all points have been requested."""
        with self._lock, _quietly():
            if self._study is None or self._path != path[: len(self._path)]:
                self._start()
            for values in path[len(self._path) :]:
                self._tell(values)
                self._ask()
            return _Step([self._point(trial) for trial in self._asked], self, path) if self._asked else None

    def _start(self) -> None:
        import optuna

        self._study = optuna.create_study(direction="maximize", sampler=self._make())
        self._worst = min((value for _, value in self._known), default=math.nan)
        self._study.add_trials(
            [
                optuna.trial.create_trial(
                    params=dict(zip(self._space.names, point, strict=True)),
                    distributions=self._distributions,
                    value=value,
                )
                for point, value in self._known
            ]
        )
        self._path = ()
        self._ask()

    def _ask(self) -> None:
        assert self._study is not None
        n_asked = sum(map(len, self._path))
        n_left = next((end for end in self._ends if n_asked < end), n_asked) - n_asked
        self._asked = [self._study.ask(self._distributions) for _ in range(min(self._batch, n_left))]

    def _tell(self, values: Told) -> None:
        """A lost training counts as the worst value so far, or as a failed trial if there is no value yet."""
        import optuna

        assert self._study is not None
        finite = [value for value in (*values, self._worst) if not math.isnan(value)]
        self._worst = min(finite, default=math.nan)
        for trial, value in zip(self._asked, values, strict=True):
            shown = self._worst if math.isnan(value) else value
            if math.isnan(shown):
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(trial, shown)
        self._path = (*self._path, values)

    def _point(self, trial: optuna.Trial) -> dict[str, Value]:
        return {axis.name: _rounded(axis, trial.params[axis.name]) for axis in self._space.axes}


@lru_cache(maxsize=32)
def _played(
    sampler: str | _Instance,
    space: Space,
    seed: int,
    known: tuple[Any, ...],
    ends: tuple[int, ...],
    batch: int,
    where: str,
) -> _Play:
    def make() -> Any:
        return copy.deepcopy(sampler.sampler) if isinstance(sampler, _Instance) else _sampler(sampler, seed, where)

    return _Play(make, space, known, ends, batch)


def _sampler(text: str, seed: int, where: str) -> Any:
    """The sampler named by ``text``, with its seed.

    Raises:
        StudyError: there is none, its settings are wrong, or it needs a package that is not installed.
    """
    import optuna

    try:
        name, args, settings = parse_call(text)
    except ValueError as error:
        raise StudyError(f"[{where}] sampler: {error}") from None
    if name not in SAMPLERS:
        raise StudyError(f'[{where}] there is no sampler "{name}"; {did_you_mean(name, SAMPLERS)}')
    try:
        if name == "cmaes":
            import cmaes  # noqa: F401 - Optuna itself says so only when it is asked for the second point
        with _quietly():
            made = getattr(optuna.samplers, SAMPLERS[name])
            return made(*args, **{**_ALWAYS.get(name, {}), "seed": seed, **settings})
    except ImportError as error:
        raise StudyError(
            f"[{where}] sampler {name} needs a package that is not installed here ({error.name}): "
            f"pip install 'zonesearch[samplers]'"
        ) from error
    except (TypeError, ValueError) as error:
        raise StudyError(f"[{where}] sampler {text}: {error}") from None


def _distribution(axis: AnyAxis) -> Any:
    from zonesearch.optuna.space import distribution_of

    return distribution_of(replace(axis, limit_low=None, limit_high=None) if isinstance(axis, Axis) else axis)


def _rounded(axis: AnyAxis, value: Any) -> Value:
    if isinstance(axis, Axis) and axis.step is not None:
        return axis.nearest(value)
    if isinstance(axis, Axis) and not axis.integer:
        return min(max(float(f"{value:.{_DIGITS}g}"), float(axis.low)), float(axis.high))
    plain: Value = value
    return plain


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence Optuna's messages about studies and experimental samplers; zonesearch reports what users need to know."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", "Choices for a categorical", UserWarning)  # lists, in memory only
            yield
    finally:
        optuna.logging.set_verbosity(before)
