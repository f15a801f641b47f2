"""What an Optuna study knows and what its workers are at, and how they share out trainings without a lock.

Workers of one study are threads, processes or machines that have nothing in common but a storage, which has no lock to
offer. So a worker claims a training in two steps: it writes the claim beside its trial as not yet firm, then looks who
else claims the same. Whoever wrote later must see the other; of two that see each other the one with the higher number
gives way, and the lower waits until it did. What is claimed, by a trial that is running, counts as asked.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from zonesearch.domain.trials import Params, Training, Trial, Trials, Value
from zonesearch.engine.optuna_space import OptunaSpace

__all__ = ["Known", "Wish", "claim", "read_study_trials"]

_CLAIM = "zonesearch:claim"
_PATIENCE_S = 2.0
"""A worker that claimed and did not make it firm in this time is taken for dead."""

_What = tuple[Any, int]
"""Identity and epochs of a training."""


@dataclass(frozen=True)
class Known:
    """A study as stages see it.

    Args:
        trials: what came back; accuracy is the study's value, with its sign changed where the study minimises.
        running: how many running trials are at each training (by :func:`what`).
        taken: the seeds that each point already has, whether they came back or not.
    """

    trials: Trials
    running: Mapping[_What, int]
    taken: Mapping[Any, frozenset[int]]

    def n_running(self, training: Training) -> int:
        """How many are at ``training`` now."""
        return self.running.get(what(training), 0)

    def fresh(self, params: Params) -> int:
        """The lowest seed that was not used at ``params`` yet."""
        return _lowest(self.taken.get(Training(params).identity[0], frozenset()))


@dataclass(frozen=True)
class Wish:
    """The training that a worker would do next; ``alone`` when nobody else may do the same."""

    training: Training
    alone: bool = True


def what(training: Training) -> _What:
    """What makes two trainings the same work."""
    return training.identity, training.epochs


def read_study_trials(study: Study, space: OptunaSpace, epochs: int, without: int = -1) -> Known:
    """What ``study`` knows about ``space``.

    A trial that claimed a training answers for it. Any other with a value for each parameter (of another sampler, added
    by hand, with fixed values) counts as the lowest seed that its point does not have. A failed trial may have had a
    worker that died, so its training is asked for once more; failed twice it is lost. A pruned trial is worth what it
    reported last. Of two trials with one claim the second counts as another seed.

    Args:
        study: with one objective.
        space: of the points that count.
        epochs: of a trial that claimed nothing.
        without: the number of a trial that is left out.
    """
    sign = -1.0 if study.direction == StudyDirection.MINIMIZE else 1.0
    claimed: dict[_What, Trial] = {}
    running: Counter[_What] = Counter()
    failures: Counter[_What] = Counter()
    taken: dict[Any, set[int]] = defaultdict(set)
    others: list[tuple[FrozenTrial, dict[str, Value]]] = []
    for evaluation in study.get_trials(deepcopy=False):
        if evaluation.number == without or evaluation.state == TrialState.WAITING:
            continue
        asked = _asked(evaluation, space)
        point = space.encode(evaluation.params)
        if asked is not None and (point is None or Training(point).identity[0] != asked.identity[0]):
            # Under way, its values are not written yet; afterwards it was no trial of what was claimed.
            if evaluation.state == TrialState.RUNNING and not set(evaluation.params) >= space.names:
                point = dict(asked.params)
            else:
                asked = None
        if point is None or (asked is None and evaluation.state == TrialState.FAIL):
            continue
        if asked is None or (what(asked) in claimed and evaluation.state != TrialState.FAIL):
            others.append((evaluation, point))
            continue
        taken[asked.identity[0]].add(asked.seed)
        if evaluation.state == TrialState.RUNNING:
            running[what(asked)] += 1
        elif evaluation.state == TrialState.FAIL:
            failures[what(asked)] += 1
            if failures[what(asked)] > 1 and what(asked) not in claimed:
                claimed[what(asked)] = _trial(evaluation, asked, sign)
        else:
            claimed[what(asked)] = _trial(evaluation, asked, sign)
    found = list(claimed.values())
    for evaluation, point in others:
        seeds = taken[Training(point).identity[0]]
        training = Training(point, _lowest(seeds), epochs)
        seeds.add(training.seed)
        if evaluation.state == TrialState.RUNNING:
            running[what(training)] += 1
        else:
            found.append(_trial(evaluation, training, sign))
    return Known(Trials(found), running, {point: frozenset(seeds) for point, seeds in taken.items()})


def claim(
    study: Study, trial: FrozenTrial, space: OptunaSpace, epochs: int, wish: Callable[[Known], Wish | None]
) -> Training | None:
    """Claim the training that is wished for, so that no other worker does the same; None when nothing is.

    Args:
        study, space, epochs: see :func:`read_study_trials`.
        trial: the trial that will do it.
        wish: what to do by what is known; it is asked again when somebody else was quicker.
    """
    while True:
        wished = wish(read_study_trials(study, space, epochs, without=trial.number))
        if wished is None:
            return None
        _write(study, trial, wished.training, firm=not wished.alone)
        if not wished.alone:
            return wished.training
        if _wins(study, trial, space, wished.training):
            _write(study, trial, wished.training, firm=True)
            return wished.training


def _wins(study: Study, trial: FrozenTrial, space: OptunaSpace, training: Training) -> bool:
    """Whether nobody else is at ``training`` after our claim was written."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        rivals = [
            rival
            for rival in study.get_trials(deepcopy=False)
            if rival.number != trial.number
            and rival.state not in (TrialState.FAIL, TrialState.WAITING)
            and (asked := _asked(rival, space)) is not None
            and what(asked) == what(training)
        ]
        if not rivals:
            return True
        for rival in rivals:
            if rival.number < trial.number or rival.state.is_finished() or rival.system_attrs[_CLAIM]["firm"]:
                return False
        if time.monotonic() > deadline:
            return True
        time.sleep(0.005)


def _write(study: Study, trial: FrozenTrial, training: Training, *, firm: bool) -> None:
    content: Any = {"params": dict(training.params), "seed": training.seed, "epochs": training.epochs, "firm": firm}
    study._storage.set_trial_system_attr(trial._trial_id, _CLAIM, content)


def _asked(evaluation: FrozenTrial, space: OptunaSpace) -> Training | None:
    content = evaluation.system_attrs.get(_CLAIM)
    if content is None or content["params"].keys() != space.names:
        return None
    return Training(content["params"], content["seed"], content["epochs"])


def _trial(evaluation: FrozenTrial, training: Training, sign: float) -> Trial:
    value = evaluation.value
    if evaluation.state == TrialState.PRUNED and evaluation.intermediate_values:
        value = evaluation.intermediate_values[max(evaluation.intermediate_values)]
    # An Optuna objective has one value: asked for the test split, there is nothing more to measure.
    training = Training(training.params, training.seed, training.epochs, test=True)
    if evaluation.state == TrialState.FAIL:
        return Trial(training, "failed")
    if value is None or not math.isfinite(value):
        return Trial(training, "diverged")
    return Trial(training, accuracy=sign * value)


def _lowest(taken: frozenset[int] | set[int]) -> int:
    return next(seed for seed in range(len(taken) + 1) if seed not in taken)
