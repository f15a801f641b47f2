"""The zone search for people who stay in Optuna: ``create_study(sampler=ZoneSampler())``.

A pipeline of stages is a function from trials to the trainings wanted next, which is all that a sampler is: the
study's trials in, the first training that is missing and that nobody is at out. So it keeps no state either; a study
that is loaded again, in another process or on another machine, goes on.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study
from optuna.trial import FrozenTrial

from zonesearch.domain.noise import Cell, measure_noise
from zonesearch.domain.space import Space
from zonesearch.domain.trials import Params, Training
from zonesearch.engine.optuna_claims import Known, Wish, claim
from zonesearch.engine.optuna_space import OptunaSpace, distribution_of
from zonesearch.errors import StudyError
from zonesearch.pipeline import next_round
from zonesearch.stages.stage import Stage
from zonesearch.study.building import build_stage

__all__ = ["ZoneSampler"]

_FEW_AXES = 2  # a full grid of so many can be paid for
_QUANTILE = 1.96


class ZoneSampler(BaseSampler):
    """An Optuna sampler that runs a pipeline of stages.

        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(seeds=2))
        study.optimize(objective, n_trials=100)

    An Optuna objective takes no seed, so trials with the same parameters are different seeds of one training. Of all
    that runs at the same time no two trials are the same training, unless all that is wanted is running already: then
    what has the fewest at it gets one more seed. It works with ``n_jobs`` and with any number of processes on one
    storage; all must make the sampler with the same settings.

    Parameters that are not in every trial (of branches, or with changing ranges), and all of the first trial where no
    ``space`` is given, are drawn at random. A pruned trial is worth what it reported last, a failed one is tried once
    more. Studies of one objective only.

    Args:
        space: the parameters that are searched, when known beforehand: a space or its axes as plain data, by the names
            that the objective suggests. Their rows are the coarse grid. By default the parameters that all trials
            have, with rows of four equal steps.
        stages: stages or their names, as in :func:`zonesearch.run_pipeline`; by default ``grid``, ``interval`` and
            ``polish``, beyond two parameters ``coordinate`` in the place of ``grid``. Stages given as instances need
            ``space``.
        seeds: trials per point of the map; two or more measure the noise.
        seed: of all that is random here; None for another one each time.
        afterwards: what comes after the pipeline's end: ``repeat`` gives further seeds to the point that may be the
            best one yet, by the upper end of its interval, and draws at random where repeats show no noise; ``random``
            draws at random.
        settings: a table of settings for each stage given by name: ``coordinate={"n_trainings": 40}``.

    Raises:
        StudyError, SpaceError: settings that make no sense.
    """

    def __init__(
        self,
        space: Space | Mapping[str, Any] | None = None,
        *,
        stages: Sequence[Stage | str] | None = None,
        seeds: int = 1,
        seed: int | None = None,
        afterwards: str = "repeat",
        **settings: Mapping[str, Any],
    ) -> None:
        if afterwards not in ("repeat", "random"):
            raise StudyError(f'[sampler] afterwards is "repeat" or "random", not {afterwards!r}')
        self._space = space if isinstance(space, Space) or space is None else Space.parse(space)
        self._names = None if stages is None else tuple(stages)
        if self._space is None and any(not isinstance(stage, str) for stage in self._names or ()):
            raise StudyError("[sampler] a stage that is no name has a space of its own: give the sampler the same one")
        self._seeds = seeds
        self._seed = seed
        self._afterwards = afterwards
        self._settings = {name: dict(table) for name, table in settings.items()}
        self._random = RandomSampler(seed)
        self._built: tuple[OptunaSpace, tuple[Stage, ...]] | None = None
        self._lock = threading.RLock()
        self._stages(self._space or Space.parse({"x": [1, 2], "y": [1, 2]}))  # complains now, not in the first trial

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def reseed_rng(self) -> None:
        """Another random state for another process; what the stages want stays the same."""
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that the stages search: those of the space, or those that all trials have."""
        if self._space is not None:
            found: dict[str, BaseDistribution] = {axis.name: distribution_of(axis) for axis in self._space.axes}
        else:
            found = intersection_search_space(study.get_trials(deepcopy=False), include_pruned=True)
        return {name: distribution for name, distribution in found.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next training of the pipeline, claimed for ``trial``.

        Raises:
            ValueError: the study has several objectives.
            StudyError: a stage wants a parameter that the study does not have.
        """
        self._raise_error_if_multi_objective(study)
        if not search_space:
            return {}
        with self._lock:
            space, stages = self._pipeline(search_space)
            epochs = getattr(stages[0], "epochs", 1)
            training = claim(study, trial, space, epochs, lambda known: self._wish(known, stages, space, epochs))
            if training is not None:
                return space.decode(training.params)
            return {
                name: self._random.sample_independent(study, trial, name, distribution)
                for name, distribution in search_space.items()
            }

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """At random.

        Raises:
            ValueError: the study has several objectives.
        """
        self._raise_error_if_multi_objective(study)
        with self._lock:
            return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _pipeline(self, search_space: Mapping[str, BaseDistribution]) -> tuple[OptunaSpace, tuple[Stage, ...]]:
        if self._built is None or self._built[0].distributions != search_space:
            given = {axis.name: axis for axis in self._space.axes} if self._space else {}
            space = OptunaSpace(dict(search_space), given)
            self._built = space, self._stages(space.space)
        return self._built

    def _stages(self, space: Space) -> tuple[Stage, ...]:
        names = self._names
        if names is None:
            names = ("grid" if len(space.axes) <= _FEW_AXES else "coordinate", "interval", "polish")
        common = {"space": space, "epochs": 1, "seeds": self._seeds, "study_seed": self._seed or 0, "schedules": ()}
        possible = {*names, "grid", "coordinate"} if self._names is None else set(names)
        for name in self._settings:
            if name not in possible:
                raise StudyError(f'[sampler] has settings for the stage "{name}", which is none of its stages')
        return tuple(
            build_stage(stage, self._settings.get(stage, {}), common, "the sampler")
            if isinstance(stage, str)
            else stage
            for stage in names
        )

    def _wish(self, known: Known, stages: Sequence[Stage], space: OptunaSpace, epochs: int) -> Wish | None:
        at = next_round(stages, known.trials)
        if at.finished:
            params = _leader(known, space.space, epochs) if self._afterwards == "repeat" else None
            return None if params is None else Wish(Training(params, known.fresh(params), epochs), alone=False)
        free = next((training for training in at.missing if not known.n_running(training)), None)
        wanted = free or min(at.missing, key=known.n_running)
        if not wanted.params.keys() <= space.names:
            foreign = ", ".join(sorted(wanted.params.keys() - space.names))
            raise StudyError(f"stage {stages[at.stage].name} wants {foreign}, which the Optuna study does not suggest")
        return Wish(wanted, alone=free is not None)


def _leader(known: Known, space: Space, epochs: int) -> Params | None:
    """The point that may be the best: highest upper end of its interval. None when repeats show no noise at all."""
    values: dict[Any, list[float]] = {}
    for trial in known.trials:
        if trial.accuracy is not None:
            values.setdefault(trial.training.identity[0], []).append(trial.accuracy)
    cells = [Cell(dict(point), tuple(found)) for point, found in values.items()]
    noise = measure_noise(cells, space)
    if not cells or (noise.source == "seeds" and noise.seed_variance <= (1e-9 * max(abs(c.mean) for c in cells)) ** 2):
        return None

    def upper(cell: Cell) -> float:
        # Those that are under way count, so that workers do not all repeat one point.
        seeds = known.taken[Training(cell.params).identity[0]]
        n_running = sum(known.n_running(Training(cell.params, seed, epochs)) for seed in seeds)
        return cell.mean + _QUANTILE * math.sqrt(noise.seed_variance / (len(cell.values) + n_running))

    return cells[int(np.argmax([upper(cell) for cell in cells]))].params
