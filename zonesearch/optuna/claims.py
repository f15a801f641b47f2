"""How the workers of one Optuna study share out trainings without a lock.

Workers of one study are threads, processes or machines that have nothing in common but a storage, which has no lock to
offer. So a worker claims a training in two steps: it writes the claim beside its trial as not yet firm, then looks who
else claims the same. Whoever wrote later must see the other; of two that see each other the one with the higher number
gives way, and the lower waits until it did. What is claimed, by a trial that is running, counts as asked.

A worker that loses counts the training as somebody else's from then on, so that it never claims the same twice; and it
claims only so often before it takes what it wants, alone or not. An ask ends in any case.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from zonesearch.core.trials import Training
from zonesearch.optuna.known import CLAIM, Known, What, asked_of, overdue, read_study_trials, what
from zonesearch.optuna.space import OptunaSpace

__all__ = ["Wish", "claim"]

_PATIENCE_S = 2.0
"""A worker that claimed and did not make it firm in this time is taken for dead."""
_MOST_CLAIMS = 256
"""Claims that may be lost before a training is taken although others may be at it."""


@dataclass(frozen=True)
class Wish:
    """The training that a worker would do next; ``alone`` when nobody else may do the same."""

    training: Training
    alone: bool = True


def claim(
    study: Study, trial: FrozenTrial, space: OptunaSpace, epochs: int, wish: Callable[[Known], Wish | None]
) -> Training | None:
    """Claim the training that is wished for, so that no other worker does the same; None when nothing is.

    Args:
        study, space, epochs: see :func:`zonesearch.optuna.known.read_study_trials`.
        trial: the trial that will do it.
        wish: what to do by what is known; it is asked again when somebody else was quicker.
    """
    lost: Counter[What] = Counter()
    while True:
        ended = {other.number for other in study.get_trials(deepcopy=False) if other.state.is_finished()}
        known = read_study_trials(study, space, epochs, without=trial.number)
        wished = wish(replace(known, running=Counter(known.running) + lost))
        if wished is None:
            return None
        alone = wished.alone and lost.total() < _MOST_CLAIMS and what(wished.training) not in lost
        _write(study, trial, wished.training, firm=not alone)
        if not alone:
            return wished.training
        if _wins(study, trial, space, wished.training, ended):
            _write(study, trial, wished.training, firm=True)
            return wished.training
        lost[what(wished.training)] += 1


def _wins(study: Study, trial: FrozenTrial, space: OptunaSpace, training: Training, ended: Container[int]) -> bool:
    """Whether nobody else is at ``training`` after our claim was written.

    Trials that had ``ended`` before it was wished for are no rivals: had they answered it, it would not be wanted.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        evaluations = study.get_trials(deepcopy=False)
        dead = overdue(evaluations)
        rivals = [
            rival
            for rival in evaluations
            if rival.number != trial.number
            and rival.number not in dead
            and rival.number not in ended
            and rival.state not in (TrialState.FAIL, TrialState.WAITING)
            and (asked := asked_of(rival, space)) is not None
            and what(asked) == what(training)
        ]
        if not rivals:
            return True
        for rival in rivals:
            if rival.number < trial.number or rival.state.is_finished() or rival.system_attrs[CLAIM]["firm"]:
                return False
        if time.monotonic() > deadline:
            return True
        time.sleep(0.005)


def _write(study: Study, trial: FrozenTrial, training: Training, *, firm: bool) -> None:
    content: Any = {"params": dict(training.params), "seed": training.seed, "epochs": training.epochs, "firm": firm}
    study._storage.set_trial_system_attr(trial._trial_id, CLAIM, content)
