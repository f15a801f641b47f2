"""What trainings with fresh seeds tell about a setting: its values, and whether it breaks a constraint.

A setting violates if more than half of its trainings do. One bad seed is no verdict: the best settings get the most
seeds, and would be the likeliest to have one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from zonesearch.core.axes import Choice
from zonesearch.core.reading import Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trial, Trials
from zonesearch.search.stage import UNPAID
from zonesearch.statistics.candidates import Finalist
from zonesearch.statistics.verdict import Repeats

__all__ = ["apart", "is_unpaid", "mostly_violates", "outcome"]


def mostly_violates(trials: Iterable[Trial]) -> bool:
    """Whether more than half of the complete ones report a violation."""
    complete = [trial for trial in trials if trial.complete]
    return 2 * sum(not trial.feasible for trial in complete) > len(complete)


def apart(space: Space, params: Params, other: Params) -> float:
    """The largest distance on an axis, as a part of it; 1 for different choices or branches."""
    found = [0.0]
    for axis in space.axes:
        a, b = params.get(axis.name), other.get(axis.name)
        if isinstance(axis, Choice) or a is None or b is None:
            found.append(0.0 if a == b else 1.0)
        else:
            found.append(abs(axis.to_unit(a) - axis.to_unit(b)))
    return max(found)


def is_unpaid(training: Training, trials: Trials) -> bool:
    """Whether a budget refused a training."""
    trial = trials.get(training)
    return trial is not None and trial.state == "failed" and trial.error == UNPAID


def outcome(finalist: Finalist, repeats: Sequence[Training], trials: Trials, reading: Reading) -> Repeats:
    """What the trainings with fresh seeds tell about a finalist; those that violate do not count in its values."""
    paid = [training for training in repeats if not is_unpaid(training, trials)]
    back = [trial for training in paid if (trial := trials.get(training)) is not None]
    complete = [trial for trial in back if trial.complete and trial.feasible]
    n_lost = sum(not trial.complete for trial in back)
    return Repeats(
        finalist=finalist,
        validation={trial.seed: trial.value(reading) for trial in complete},
        test={trial.seed: trial.test_accuracy for trial in complete if trial.test_accuracy is not None},
        n_test=next((trial.n_test for trial in complete if trial.n_test), None),
        n_parameters=next((trial.n_parameters for trial in complete if trial.n_parameters is not None), None),
        seconds=math.fsum(trial.seconds for trial in complete) / len(complete) if complete else 0.0,
        n_lost=n_lost,
        n_violating=len(back) - n_lost - len(complete),
        right={trial.seed: trial.test_right for trial in complete if trial.test_right},
        n_steps=next((trial.n_steps for trial in complete if trial.n_steps is not None), None),
        cost=next((trial.cost for trial in complete if trial.cost is not None), None),
    )
