"""What an Optuna study knows about a space, and what its workers are running.

A study is not made for stages: parameters are suggested in one branch of an objective and not in another, ranges
change, trials are added by hand, workers die. This module decides what a trial contributes to a stage;
:mod:`zonesearch.optuna.claims` divides trainings among workers.

Values become scores (larger is better), which are used only inside the sampler.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from zonesearch.core.metric import Metric, is_usable
from zonesearch.core.seeding import FRESH
from zonesearch.core.trials import Params, Training, Trial, Trials, Value
from zonesearch.optuna.constraints import violation_of
from zonesearch.optuna.space import OptunaSpace
from zonesearch.search.stages.surrogate.stage import FIRST_SEED
from zonesearch.statistics.search_results import StageRecord

__all__ = ["CLAIM", "Branches", "Known", "asked_of", "overdue", "read_study_trials", "what"]

CLAIM = "zonesearch:claim"
_TRIES = 2
"""A training that failed, or came back as a different point than claimed, this many times is lost."""
_OVERDUE = 10
_OVERDUE_S = 300.0
"""A trial that has run for this multiple of the longest one, and at least this long, is presumed dead."""

What = tuple[Any, int]
"""Identity and epochs of a training."""


def what(training: Training) -> What:
    """The key by which two trainings are the same work."""
    return training.identity, training.epochs


@dataclass
class Branches:
    """Trials in which some parameters were not suggested and therefore cannot have mattered.

    Such a trial answers every training that agrees with it on the suggested parameters.
    """

    _found: dict[tuple[str, ...], dict[tuple[Value, ...], list[Trial]]] = field(default_factory=dict)

    def add(self, point: Params, trial: Trial) -> None:
        """Add ``trial`` at ``point``, which lacks parameters of the space."""
        names = tuple(sorted(point))
        values = tuple(point[name] for name in names)
        self._found.setdefault(names, {}).setdefault(values, []).append(trial)

    def answer(self, training: Training) -> Trial | None:
        """The result of ``training``: the trial of its branch with the same seed."""
        for names, trials in self._found.items():
            found = trials.get(tuple(training.params[name] for name in names), ())
            if len(found) > training.seed:
                trial = found[training.seed]
                return Trial(_tested(training), trial.state, accuracy=trial.accuracy, noted=trial.noted)
        return None


@dataclass(frozen=True)
class Known:
    """A study in the form that stages use.

    Args:
        trials: finished trials; ``accuracy`` is the score of the study's value.
        running: number of running trials for each training (keyed by :func:`what`).
        taken: the seeds already used at each point, finished or not.
        branches: trials that lack parameters of the space.
        suggested: the values of each parameter in complete trials that answered claims, and the number of such trials.
        pending: the trainings of running trials, as far as they are known.
        others: parameters of complete trials that are not in the space.
        unasked: trainings that no stage requested, including running ones: from other samplers, added or fixed by hand,
            or from before the space was known.
    """

    trials: Trials
    running: Mapping[What, int]
    taken: Mapping[Any, frozenset[int]]
    branches: Branches = field(default_factory=Branches)
    suggested: Mapping[str, frozenset[Any]] = field(default_factory=dict)
    n_claimed: int = 0
    others: frozenset[str] = frozenset()
    pending: tuple[Training, ...] = ()
    unasked: tuple[Training, ...] = ()

    def n_running(self, training: Training) -> int:
        """The number of running trials of ``training``."""
        return self.running.get(what(training), 0)

    @cached_property
    def running_points(self) -> frozenset[Any]:
        """The identities of the points running now, with any seed."""
        return frozenset(identity[0] for (identity, _), n in self.running.items() if n)

    def is_free(self, training: Training) -> bool:
        """Whether no trial is running at the point of ``training``, with any seed."""
        return training.identity[0] not in self.running_points

    def is_tried(self, training: Training) -> bool:
        """Whether a trial was ever begun at the point of ``training``, or in a branch that answers for it."""
        if self.taken.get(training.identity[0]) or not self.is_free(training):
            return True
        return self.branches.answer(replace(training, seed=0)) is not None

    def at_work(self, records: Iterable[StageRecord]) -> tuple[Training, ...]:
        """The running trainings that stages requested."""
        wanted = {what(training) for record in records for training in record.wanted}
        return tuple(training for training in self.pending if what(training) in wanted)

    def fresh(self, params: Params) -> int:
        """The lowest seed not yet used at ``params``."""
        return _lowest(self.taken.get(Training(params).identity[0], frozenset()))

    def answered(self, trainings: Iterable[Training]) -> list[Trial]:
        """The results of those ``trainings`` that branches answer.

        The seeds of a surrogate count its points. A new one that differs from a trial only by parameters that the trial
        did not suggest is answered by that trial: it would be trained again otherwise.
        """
        found = (self._answer(training) for training in trainings)
        return [trial for trial in found if trial is not None]

    def _answer(self, training: Training) -> Trial | None:
        counts = FIRST_SEED <= training.seed < FRESH
        if not counts:
            return self.branches.answer(training)
        if self.taken.get(training.identity[0]) or not self.is_free(training):
            return None
        same = self.branches.answer(replace(training, seed=0))
        return None if same is None else replace(same, training=_tested(training))


def read_study_trials(study: Study, space: OptunaSpace, epochs: int, without: int = -1) -> Known:
    """What ``study`` knows about ``space``.

    A trial that claimed a training is its result. Any other trial with a value for each parameter (from another
    sampler, added by hand, with fixed values) counts as the lowest unused seed of its point. If parameters were not
    suggested, the trial represents all of their values. A failed trial may only have lost its worker, so its training
    is repeated once; a training that failed twice is lost, and so is one that came back as a different point twice. A
    pruned trial has no value and is not repeated. Of two trials with the same claim, the second counts as another seed.

    Args:
        study: with one objective.
        space: the space of the points that count.
        epochs: the epochs of a trial without a claim.
        without: the number of a trial to leave out.
    """
    reader = _Reader(space, epochs, study.direction)
    evaluations = study.get_trials(deepcopy=False)
    dead = overdue(evaluations)
    for evaluation in evaluations:
        if evaluation.number not in (without, *dead) and evaluation.state != TrialState.WAITING:
            reader.read(evaluation)
    return reader.known()


def overdue(evaluations: Sequence[FrozenTrial]) -> frozenset[int]:
    """The numbers of running trials whose worker is presumed dead: they have run far longer than any that ended.

    The newest trial gives the current time, so clock differences and time zones do not matter.
    """
    times = [t for e in evaluations for t in (e.datetime_start, e.datetime_complete) if t is not None]
    lasted = [e.duration for e in evaluations if e.state == TrialState.COMPLETE and e.duration is not None]
    if not lasted:
        return frozenset()
    patience = max(_OVERDUE * max(lasted), timedelta(seconds=_OVERDUE_S))
    now: datetime = max(times)
    return frozenset(
        e.number
        for e in evaluations
        if e.state == TrialState.RUNNING and e.datetime_start is not None and now - e.datetime_start > patience
    )


def asked_of(evaluation: FrozenTrial, space: OptunaSpace) -> Training | None:
    """The training that a trial claimed; None if it claimed none in this space."""
    content = evaluation.system_attrs.get(CLAIM)
    if content is None or content["params"].keys() != set(space.space.branch(content["params"])):
        return None
    return Training(content["params"], content["seed"], content["epochs"])


class _Reader:
    """Accumulates trials one after the other."""

    def __init__(self, space: OptunaSpace, epochs: int, direction: StudyDirection) -> None:
        self._space, self._epochs = space, epochs
        self._metric = Metric("value", "minimize" if direction == StudyDirection.MINIMIZE else "maximize")
        self._claimed: dict[What, Trial] = {}
        self._running: Counter[What] = Counter()
        self._pending: list[Training] = []
        self._failures: Counter[What] = Counter()
        self._lost: dict[What, Training] = {}
        self._taken: defaultdict[Any, set[int]] = defaultdict(set)
        self._rest: list[tuple[FrozenTrial, dict[str, Value]]] = []
        self._branches = Branches()
        self._suggested: defaultdict[str, set[Any]] = defaultdict(set)
        self._n_claimed = 0
        self._others: set[str] = set()

    def read(self, evaluation: FrozenTrial) -> None:
        asked = asked_of(evaluation, self._space)
        point = self._space.encode_known(evaluation.params)
        if point is not None and self._space.space.conditional:
            point = self._space.space.bare(point)
        as_asked = asked is not None and point is not None and all(asked.params[n] == v for n, v in point.items())
        if evaluation.state == TrialState.COMPLETE and asked is not None:
            self._n_claimed += 1
            self._others |= evaluation.params.keys() - self._space.names
            for name, value in (point or {}).items():
                self._suggested[name].add(value)
        if evaluation.state == TrialState.RUNNING:
            self._is_running(evaluation, asked if as_asked else None, point)
        elif evaluation.state == TrialState.FAIL:
            if asked is not None:
                self._failed(asked)
        elif asked is not None and not (as_asked and point):
            self._failed(asked)  # it came back as a different point
            self._came(evaluation, point)
        elif asked is None or what(asked) in self._claimed:
            self._came(evaluation, point)
        else:
            assert point is not None
            self._taken[asked.identity[0]].add(asked.seed)
            self._claimed[what(asked)] = trial = self._trial(evaluation, asked)
            if len(point) < self._n_names(point):
                self._branches.add(point, trial)

    def _is_running(self, evaluation: FrozenTrial, asked: Training | None, point: dict[str, Value] | None) -> None:
        if asked is not None:
            self._taken[asked.identity[0]].add(asked.seed)
            self._running[what(asked)] += 1
            self._pending.append(asked)
        elif point is not None and len(point) == self._n_names(point):
            self._rest.append((evaluation, point))

    def _n_names(self, point: dict[str, Value]) -> int:
        """The number of parameters of a complete point of the space."""
        return len(self._space.space.active(point))

    def _failed(self, asked: Training) -> None:
        self._taken[asked.identity[0]].add(asked.seed)
        self._failures[what(asked)] += 1
        if self._failures[what(asked)] >= _TRIES:
            self._lost[what(asked)] = asked

    def _came(self, evaluation: FrozenTrial, point: dict[str, Value] | None) -> None:
        """Add a trial that answers no claim; parameters that were not suggested are filled in, since they did not
        matter.
        """
        if point:
            self._rest.append((evaluation, point))

    def known(self) -> Known:
        """What all of it says."""
        lost = [Trial(_tested(asked), "failed") for same, asked in self._lost.items() if same not in self._claimed]
        found = [*self._claimed.values(), *lost]
        unasked = []
        middle = {axis.name: axis.row()[len(axis.row()) // 2] for axis in self._space.space.axes}
        for evaluation, point in self._rest:
            whole: dict[str, Value] = self._space.space.bare({**middle, **point})
            seeds = self._taken[Training(whole).identity[0]]
            training = Training(whole, _lowest(seeds), self._epochs)
            seeds.add(training.seed)
            unasked.append(training)
            if evaluation.state == TrialState.RUNNING:
                self._running[what(training)] += 1
                self._pending.append(training)
                continue
            found.append(self._trial(evaluation, training))
            if len(point) < len(whole):
                self._branches.add(point, found[-1])
        return Known(
            Trials(found),
            self._running,
            {point: frozenset(seeds) for point, seeds in self._taken.items()},
            self._branches,
            {name: frozenset(values) for name, values in self._suggested.items()},
            self._n_claimed,
            frozenset(self._others),
            tuple(self._pending),
            tuple(unasked),
        )

    def _trial(self, evaluation: FrozenTrial, training: Training) -> Trial:
        training = _tested(training)
        if evaluation.state == TrialState.PRUNED:
            return Trial(training, "pruned")
        value = evaluation.value
        if value is None or not is_usable(value):
            return Trial(training, "diverged")
        violation = violation_of(evaluation)
        noted = {} if violation is None else {"violation": violation}
        return Trial(training, accuracy=self._metric.score(value), noted=noted)


def _tested(training: Training) -> Training:
    """An Optuna objective has a single value: it also answers a request for the test split."""
    return Training(training.params, training.seed, training.epochs, test=True)


def _lowest(taken: frozenset[int] | set[int]) -> int:
    return next(seed for seed in range(len(taken) + 1) if seed not in taken)
