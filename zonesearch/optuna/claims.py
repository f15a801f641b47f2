"""How the workers of one Optuna study divide trainings among themselves without a lock.

Workers of one study are threads, processes or machines that share only a storage, which offers no lock. So a worker
claims a training in two steps: it writes a tentative claim to its trial, then checks who else claims the same training.
Whoever wrote later is bound to see the other claim; if both see each other, the trial with the higher number gives way
and the lower waits until it has. A training claimed by a running trial counts as requested.

A worker that loses treats the training as taken from then on, so it never claims the same one twice; after a limited
number of claims it takes the training it wants even if another worker has it. So every ask terminates.
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
"""A worker that does not confirm its claim within this time is presumed dead."""
_MOST_CLAIMS = 256
"""Claims that may be lost before a training is taken even though others may be running it."""


@dataclass(frozen=True)
class Wish:
    """The training that a worker would run next; ``alone`` if no other worker may run the same."""

    training: Training
    alone: bool = True


def claim(
    study: Study, trial: FrozenTrial, space: OptunaSpace, epochs: int, wish: Callable[[Known], Wish | None]
) -> Training | None:
    """Claim the wanted training so that no other worker runs the same one; None if nothing is wanted.

    Args:
        study, space, epochs: see :func:`zonesearch.optuna.known.read_study_trials`.
        trial: the trial that will run it.
        wish: gives the wanted training from what is known; called again if another worker was faster.
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
    """Whether no other worker holds ``training`` once our claim is written.

    Trials that had ``ended`` before it was wanted are not rivals: had they answered it, it would not be wanted.
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
