"""Zone search as an Optuna sampler: ``create_study(sampler=ZoneSampler())``.

A pipeline of stages is a function from trials to the trainings wanted next, which is all a sampler needs to be: it
takes the study's trials and returns the first missing training that no worker is running. So it keeps no state, and a
study that is loaded again, in another process or on another machine, continues.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from zonesearch.core.seeding import FRESH
from zonesearch.core.seeds import Seeds
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trials
from zonesearch.errors import StudyError
from zonesearch.optuna.begun import Begun
from zonesearch.optuna.claims import Wish, claim
from zonesearch.optuna.known import Known, read_study_trials
from zonesearch.optuna.space import OptunaSpace, distribution_of, indistinct, least_used, narrowed, searched
from zonesearch.run.learning import learned_stages
from zonesearch.run.pipeline import next_round
from zonesearch.search.believing import Belief
from zonesearch.search.heeding import check_heeded
from zonesearch.search.stage import Stage
from zonesearch.search.stages.surrogate.stage import FIRST_SEED, Surrogate
from zonesearch.statistics.candidates import Candidate
from zonesearch.statistics.gp.cube import Cube
from zonesearch.study.auto import AUTO, MAPPED, PLACED, auto_stages, is_auto
from zonesearch.study.building import build_stage, with_places
from zonesearch.study.stage_effects import check_order

__all__ = ["ZoneSampler"]

_EQUAL = 1e-9  # of the largest value: values that differ by no more are equal
_REPEATS = 4  # of any points, in addition to the first trial at each
_MOST_ROUNDS = 200  # rounds of the stages per suggestion
_AFTERWARDS = {"n_trainings": 900, "batch": 2, "first": 0.001, "repeats": 0.0}
_MOST_ONE_BY_ONE = FRESH - FIRST_SEED  # trainings per round, each round with its own seed
_FIRST = 8  # trials that start together, whose values are spread over each range
_TINY = 32  # points of a space in which each gets a trial before any gets a second one
_MOST_LISTED = 4096  # points of a space in which random draws are different
_LEAST_TRIALS = 3
_FEW_TRIALS = 20
"""Number of complete trials after which an axis that none of them suggested counts as never suggested."""


class ZoneSampler(BaseSampler):
    """An Optuna sampler that runs a pipeline of stages.

        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(seeds=2))
        study.optimize(objective, n_trials=100)

    An Optuna objective takes no seed, so trials with the same parameters are different seeds of one training. Among all
    trials running at the same time, no two are at the same point as long as there are other points: running trials are
    assumed to return the values that a Gaussian process fitted to the rest predicts, and the search continues from
    there; if the stages then request nothing new, the process itself chooses the most promising point for another
    trial. In a space of at most 32 points, every point gets its first trial before any gets a second one, for whatever
    reason; a larger finite space repeats points only on purpose (further seeds, finalists, a failed trial). This works
    with ``n_jobs`` and with any number of processes on one storage; all must create the sampler with the same settings.

    Parameters of branches are searched like all others: a trial in which a parameter was not suggested represents all
    of its values. Parameters with changing ranges, those outside a given ``space``, and all those of the first trial if
    no ``space`` is given, are drawn at random. A failed trial is repeated once; a pruned one is not, and has no value.
    Only single-objective studies are supported. The work per suggestion is bounded, whatever the study contains.

    Args:
        space: the parameters to search, if known beforehand: a space or its axes as plain data, with the names that the
            objective suggests. Their rows define the coarse grid. By default, the parameters of the trials, with rows
            of four equal steps.
        stages: stages or their names, as in :func:`zonesearch.run_pipeline`. The default ``"auto"`` means ``grid``,
            ``interval`` and ``polish``, or ``surrogate`` and ``polish`` for more than two parameters or if the grid is
            too large. Stages given as instances need ``space``.
        seeds: trials per point of the map; two or more measure the noise.
        constraints_func: as for other samplers, returns the constraint values of a finished trial: if any is above 0,
            the trial is infeasible and cannot be a peak. ``trial.set_constraint`` in the objective does the same.
        seed: seed of everything random in the sampler; None for a new one each time.
        afterwards: what follows the end of the pipeline: ``repeat`` takes what is expected to raise the highest
            posterior mean most, a further seed of a point or a new point (of several workers, every other one takes a
            further seed of a point that may be the best), and only new points if repeats show no noise; if trials were
            pruned or have constraints, it takes new points from ``surrogate`` instead, by default also in place of
            ``polish``; ``random`` draws at random.
        settings: a table of settings for each stage given by name: ``coordinate={"n_trainings": 40}``.

    Raises:
        StudyError, SpaceError: invalid settings.
    """

    def __init__(
        self,
        space: Space | Mapping[str, Any] | None = None,
        *,
        stages: Sequence[Stage | str] | str | None = None,
        seeds: int = 1,
        seed: int | None = None,
        afterwards: str = "repeat",
        constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
        **settings: Mapping[str, Any],
    ) -> None:
        if afterwards not in ("repeat", "random"):
            raise StudyError(f'[sampler] afterwards is "repeat" or "random", not {afterwards!r}')
        self._space = space if isinstance(space, Space) or space is None else Space.parse(space)
        if stages is not None and not is_auto(stages) and (isinstance(stages, str) or not stages):
            raise StudyError(f'[sampler] stages must be a list of names or "{AUTO}", not {stages!r}')
        self._names = None if stages is None or is_auto(stages) else tuple(stages)
        if self._space is None and any(not isinstance(stage, str) for stage in self._names or ()):
            raise StudyError("[sampler] a stage given as an object has its own space: give the sampler the same one")
        self._seeds = seeds
        self._seed = seed
        self._afterwards = afterwards
        self._constraints_func = constraints_func
        self._settings = {name: dict(table) for name, table in settings.items()}
        self._random = RandomSampler(seed)
        self._rng = np.random.default_rng(seed)
        self._parts: dict[tuple[str, int], np.ndarray[Any, Any]] = {}
        self._built: tuple[OptunaSpace, tuple[Stage, ...]] | None = None
        self._lock = threading.RLock()
        self._stages(self._space or Space.parse({"x": [1, 2], "y": [1, 2]}))  # raises now, not in the first trial

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def reseed_rng(self) -> None:
        """Reseed the random generator for another process; the trainings that stages request stay the same."""
        self._random.reseed_rng()
        self._rng = np.random.default_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that the stages search: those of the space, or those of the trials."""
        evaluations = study.get_trials(deepcopy=False)
        if self._space is not None:
            own = {axis.name: distribution_of(axis) for axis in self._space.axes}
            found = narrowed(own, evaluations)
        else:
            found = searched(evaluations)
        return {name: distribution for name, distribution in found.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next training of the pipeline, claimed for ``trial``.

        Raises:
            StudyError: the study has several objectives or choices that Optuna cannot tell apart; a stage wants a
                parameter that the study does not have, or the space has one that the objective never suggests.
        """
        self._check(study)
        if not search_space:
            return {}
        with self._lock:
            space, stages = self._pipeline(search_space)
            epochs = getattr(stages[0], "epochs", 1)
            fixed = trial.system_attrs.get("fixed_params", {})
            if fixed.keys().isdisjoint(search_space):
                training = claim(study, trial, space, epochs, lambda known: self._wish(known, stages, space, epochs))
            else:  # an enqueued point is not a training requested by a stage
                known = read_study_trials(study, space, epochs, without=trial.number)
                wish = self._wish(known, stages, space, epochs)
                training = None if wish is None else wish.training
            if training is not None:
                return space.decode(training.params)
            return {
                name: self._random.sample_independent(study, trial, name, distribution)
                for name, distribution in search_space.items()
            }

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value; a Latin hypercube over trials that start together before anything is known, and of few
        values one of those least used so far by trials that agree on the parameters before it.

        Raises:
            StudyError: the study has several objectives, or choices that Optuna cannot tell apart.
        """
        self._check(study)
        _check_choices(param_name, param_distribution)
        with self._lock:
            others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
            if any(other.state in (TrialState.COMPLETE, TrialState.PRUNED) for other in others):
                return self._random.sample_independent(study, trial, param_name, param_distribution)
            if any(other.state.is_finished() for other in others):
                drawn = self._random.sample_independent(study, trial, param_name, param_distribution)
            else:
                drawn = self._first_value(trial.number, param_name, param_distribution)
            rare = least_used(param_name, param_distribution, trial, others)
            return drawn if not rare or drawn in rare else rare[int(self._rng.integers(len(rare)))]

    def _first_value(self, number: int, name: str, distribution: BaseDistribution) -> Any:
        """A random value for one of the trials that start before anything is known, each in a different part of the
        range.
        """
        block = number // _FIRST
        if (name, block) not in self._parts:
            self._parts[name, block] = self._rng.permutation(_FIRST)
        u = (self._parts[name, block][number % _FIRST] + self._rng.random()) / _FIRST
        space = OptunaSpace({name: distribution}, {})
        return space.decode(space.space.from_unit([u]))[name]

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Store the result of ``constraints_func`` for a trial that has ended."""
        if self._constraints_func is not None and state in (TrialState.COMPLETE, TrialState.PRUNED):
            found = [float(value) for value in self._constraints_func(trial)]
            study._storage.set_trial_system_attr(trial._trial_id, "constraints", found)

    def _check(self, study: Study) -> None:
        if len(study.directions) > 1:
            raise StudyError(
                f"ZoneSampler ranks by one value, and the study has {len(study.directions)} objectives: make it with "
                "one direction, or take another sampler"
            )

    def _pipeline(self, search_space: Mapping[str, BaseDistribution]) -> tuple[OptunaSpace, tuple[Stage, ...]]:
        if self._built is None or self._built[0].distributions != search_space:
            for name, distribution in search_space.items():
                _check_choices(name, distribution)
            given = {axis.name: axis for axis in self._space.axes} if self._space else {}
            space = OptunaSpace(dict(search_space), given, self._space.constraints if self._space else ())
            self._built = space, self._stages(space.space)
        return self._built

    def _stages(self, space: Space) -> tuple[Stage, ...]:
        names = self._names
        if names is None:
            wanted = auto_stages(space, Seeds.parse(self._seeds), 1, None, self._settings)
            climbs = "coordinate" in self._settings and wanted == PLACED
            names = ("coordinate", *MAPPED[1:]) if climbs else wanted
        common = {"space": space, "epochs": 1, "seeds": self._seeds, "study_seed": self._seed or 0, "schedules": ()}
        possible = {*names, *MAPPED, *PLACED, "coordinate"} if self._names is None else set(names)
        for name in self._settings:
            if name not in possible:
                raise StudyError(f'[sampler] has settings for the stage "{name}", which is not one of its stages')
        stages: tuple[Stage, ...] = tuple(
            with_places(build_stage(stage, self._table(stage), common, "the sampler"))
            if isinstance(stage, str)
            else stage
            for stage in names
        )
        stages = learned_stages(stages, cache=False)
        try:
            check_order(stages)
            check_heeded(space, stages)
        except StudyError as error:
            raise StudyError(f"[sampler] {error}") from None
        return stages

    def _table(self, name: str) -> Mapping[str, Any]:
        """The settings of a stage; a surrogate proposes one point at a time."""
        table = self._settings.get(name, {})
        one_by_one = name == "surrogate" and "batch" not in table and table.get("n_trainings", 0) < _MOST_ONE_BY_ONE
        return {"batch": 1, **table} if one_by_one else table

    def _wish(self, known: Known, stages: Sequence[Stage], space: OptunaSpace, epochs: int) -> Wish | None:
        """The next training. In a space of few points, no point gets a second one while another has none; nor does a
        random one in a larger finite space.
        """
        belief = Belief(known.trials, space.space)
        wish = self._wanted(known, belief, stages, space, epochs)
        if wish is not None and not known.is_tried(wish.training):
            return wish
        untried = self._untried(known, belief, space.space, _MOST_LISTED if wish is None else _TINY, epochs)
        if not untried:
            return wish
        # a round of the surrogate has its own seeds: it counts the point as its own
        seed = wish.training.seed if wish is not None and FIRST_SEED <= wish.training.seed < FRESH else 0
        return Wish(Training(untried[0], seed, epochs))

    def _untried(self, known: Known, belief: Belief, space: Space, most: int, epochs: int) -> list[Params]:
        """The points of a space of at most ``most`` points at which no trial was ever begun, most promising first."""
        cube = Cube(space)
        points = cube.every(most)
        free = [not known.is_tried(Training(cube.params(point), 0, epochs)) for point in points]
        points = points[free] if len(points) else points
        if most == _TINY and belief.knows and len(points):
            return belief.by_improvement(points, known.pending)
        rng = np.random.default_rng([self._seed or 0, len(known.trials), sum(known.running.values())])
        return [cube.params(point) for point in rng.permutation(points)]

    def _wanted(
        self, known: Known, belief: Belief, stages: Sequence[Stage], space: OptunaSpace, epochs: int
    ) -> Wish | None:
        trials = known.trials
        waiting: tuple[Training, ...] = ()
        bounded = any(trial.state == "pruned" or trial.violation is not None for trial in trials)
        if bounded and self._names is None and self._afterwards == "repeat":
            stages = [stage for stage in stages if stage.name != "polish"]  # new points are worth more than repeats
        first = stages[0]
        searching = isinstance(first, Surrogate)
        if isinstance(first, Surrogate):
            first = replace(first, begun=True)
            stages = (Begun(known.unasked), first, *stages[1:])
        for _ in range(_MOST_ROUNDS):
            if searching and isinstance(first, Surrogate):
                # this stage uses the positions of running trials, not their predicted values
                roughly = trials | Trials(belief.roughly(known.pending))
                at = None if first.has_all(roughly) else next_round(stages[:2], roughly)
                if at is None or at.finished:
                    searching, trials = False, trials | Trials(belief.of(known.pending))
                    continue
            else:
                at = next_round(stages, trials)
            if at.finished:
                waiting = waiting or known.at_work(at.records)
                self._check_suggested(known, space, at_end=not waiting)
                break
            foreign = at.missing[0].params.keys() - space.names
            if foreign:
                name = stages[at.stage].name
                raise StudyError(
                    f"stage {name} wants {', '.join(sorted(foreign))}, which the Optuna study does not suggest"
                )
            answered = known.answered(at.missing)
            if answered:
                trials = trials | Trials(answered)
                continue
            free = next((training for training in at.missing if known.is_free(training)), None)
            if free is not None:
                self._check_suggested(known, space, at_end=False)
                return Wish(free)
            waiting = waiting or at.missing
            trials = trials | Trials(belief.of(at.missing))
        if not waiting and self._afterwards == "repeat" and bounded:  # repeats would be pruned like the original
            return self._new_point(known, space, epochs)
        if not waiting and self._afterwards == "random":
            return None
        if not waiting or belief.knows:
            further = self._further(known, belief, epochs, waiting)
            if further is not None or not waiting:
                return further
        # Nothing has finished yet, or every point is running: further seeds of the point with the fewest running
        # trials.
        return Wish(min(waiting, key=known.n_running), alone=False)

    def _further(self, known: Known, belief: Belief, epochs: int, waiting: Sequence[Training]) -> Wish | None:
        """A training beyond those of the stages, where it is expected to raise the highest posterior mean most: a
        further seed of a point, or a new point. Only a new point, if there is one, while trainings that the stages are
        ``waiting`` for run at points of which nothing is known yet, or if repeats show no noise.

        None if nothing is known or running, or if repeats show no noise and every point was tried.
        """
        if not belief.knows and not waiting:
            return None
        exact = not belief.knows or _exact(known)
        repeats = not exact and all(known.trials.of(training.params) for training in waiting)
        rng = np.random.default_rng([self._seed or 0, len(known.trials), sum(known.running.values())])

        def first_free(points: Iterable[Params]) -> Wish | None:
            trainings = (Training(params, known.fresh(params), epochs) for params in points)
            free = (training for training in trainings if known.is_free(training))
            return next((Wish(t, alone=not known.is_tried(t)) for t in free), None)

        new = None if repeats else first_free(belief.proposals(known.pending, rng))
        if exact and not waiting:
            return new
        found = new or first_free(belief.worthwhile(known.pending, rng))
        if found is None and not waiting:  # every point is running
            [params] = islice(belief.again(known.pending), 1)
            found = Wish(Training(params, known.fresh(params), epochs), alone=False)
        return found

    def _new_point(self, known: Known, space: OptunaSpace, epochs: int) -> Wish | None:
        """A point without any trial, if the surrogate proposes one."""
        common = {"space": space.space, "epochs": epochs, "study_seed": self._seed or 0}
        stage = build_stage("surrogate", _AFTERWARDS, common, "the sampler")
        trials = known.trials
        tried = tuple(Candidate(trial.params, math.nan, math.nan) for trial in trials if trial.seed == 0)
        for _ in range(_MOST_ROUNDS):
            wanted = trials.missing(stage.plan(tried, trials).trainings)
            if not wanted:
                return None
            answered = known.answered(wanted)
            free = [training for training in wanted if not known.n_running(training)]
            new = next((training for training in free if not known.trials.of(training.params)), None)
            if new is not None and not answered:
                return Wish(new)
            # tried points need no second trial here: they are assumed to return the same value
            trials = trials | Trials(answered or Belief(trials, space.space).of(wanted))
        return None

    def _check_suggested(self, known: Known, space: OptunaSpace, *, at_end: bool) -> None:
        """Check that the objective suggests every axis of the given space.

        A parameter of a branch is suggested only there, so a missing one is tolerated until the other axes have
        been covered: all choices, both rims. After a limited number of trials the rims are no longer required.

        Raises:
            StudyError: names the axes that are never suggested.
        """
        missing = [name for name in space.space.names if name not in known.suggested]
        if self._space is None or not missing or not known.n_claimed:
            return
        for axis in space.space.axes if not at_end else ():
            tried = known.suggested.get(axis.name)
            if tried is None:
                continue
            row = axis.row()
            ends = {row[0], row[-1]} if axis.ordered else set(row)
            if (known.n_claimed < _FEW_TRIALS or not axis.ordered) and not ends <= tried:
                return
        if not at_end and known.n_claimed < _LEAST_TRIALS:
            return
        near = f"; it suggests {', '.join(sorted(known.others))} beside the space" if known.others else ""
        one = len(missing) == 1
        raise StudyError(
            f"the space of the sampler has the ax{'is' if one else 'es'} {', '.join(missing)}, which the objective "
            f"suggested in none of {known.n_claimed} trials{near}: suggest {'it' if one else 'them'} by that name, or "
            f"take {'it' if one else 'them'} out of the space"
        )


def _check_choices(name: str, distribution: BaseDistribution) -> None:
    """Check that a trial can record unambiguously which choice it used.

    Raises:
        StudyError: two choices compare equal.
    """
    same = indistinct(distribution)
    if same is not None:
        raise StudyError(
            f'parameter "{name}" has the choices {same[0]!r} and {same[1]!r}, which Optuna cannot tell apart because '
            "they are equal: give one of them as a string"
        )


def _exact(known: Known) -> bool:
    """Whether repeats always returned the same value; False with fewer than ``_REPEATS`` of them, since coarse values
    (a few hundred examples) may agree by chance.
    """
    values: dict[Any, list[float]] = {}
    for trial in known.trials:
        if trial.accuracy is not None and trial.feasible:
            values.setdefault(trial.training.identity[0], []).append(trial.accuracy)
    several = [found for found in values.values() if len(found) > 1]
    size = max((abs(value) for found in values.values() for value in found), default=0.0)
    n_repeats = sum(len(found) - 1 for found in several)
    return n_repeats >= _REPEATS and all(max(found) - min(found) <= _EQUAL * size for found in several)
