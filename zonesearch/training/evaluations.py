"""After which epochs a network is evaluated: all of them, unless the validation part is larger than the training part.

The choice depends on sizes and never on measured time, so that every machine evaluates at the same epochs. A pass over
the validation part costs one forward pass; training costs about three times as much per example, since the backward
pass has two products for each forward one. Between two evaluations the curve repeats the last values, and nothing is
decided: early stopping, the best epoch and averaging consider evaluated epochs only.
"""

from __future__ import annotations

import math

from zonesearch.errors import ObjectiveError
from zonesearch.training.batch_rules import steps_in_epoch
from zonesearch.training.early_stopping import EarlyStopping
from zonesearch.training.schedules import parse
from zonesearch.training.settings import Settings

__all__ = ["always_every_epoch", "check_evaluations", "evaluate_every", "is_evaluated", "is_regular"]

_SHARE = 0.1  # of the time for training and evaluation
_BACKWARD = 3  # products of a training step per product of a forward pass


def evaluate_every(settings: Settings, n_train: int, n_validation: int) -> int:
    """The number of epochs between evaluations for these settings: as given, or determined by the sizes.

    By the sizes it is 1 unless there are more validation than training examples (by more than a twentieth, since
    stratification meets a limit only approximately), and always 1 under a schedule that reads validation values;
    otherwise it is the smallest number for which evaluation takes at most a tenth of the time.

    Args:
        settings: of the training.
        n_train, n_validation: number of examples in the two parts.
    """
    given = settings.training.evaluate_every
    if given:
        return given
    if not _outweighs(n_validation, n_train) or parse(settings.training.schedule).uses_history:
        return 1
    batch, fixed = settings.batch_of(n_train), settings.training.steps_per_epoch
    seen = steps_in_epoch(n_train, batch, fixed) * batch if fixed else n_train
    # n_validation / k <= share * (n_validation / k + 3 seen), in integers, to be the same everywhere
    return max(1, math.ceil(round((1 - _SHARE) / _SHARE) * n_validation / (_BACKWARD * seen)))


def always_every_epoch(settings: Settings, n_train: int, n_validation: int) -> bool:
    """Whether the default is to evaluate after every epoch whatever else is set; an identity then need not name it."""
    return settings.training.evaluate_every == 0 and not _outweighs(n_validation, n_train)


def _outweighs(n_validation: int, n_train: int) -> bool:
    return 20 * n_validation > 21 * n_train


def is_evaluated(epoch: int, every: int, epochs: int, stopping: EarlyStopping | None = None) -> bool:
    """Whether a training is evaluated after this epoch, counted from 1: the first, each ``every``-th and the last.

    Args:
        epoch: the finished epoch.
        every: as :func:`evaluate_every` gives it.
        epochs: the length of the training.
        stopping: early stopping, which may end it before.
    """
    last = epochs if stopping is None or stopping.after is None else min(epochs, stopping.after)
    return is_regular(epoch, every) or epoch >= last


def is_regular(epoch: int, every: int) -> bool:
    """Whether a training of any length is evaluated after this epoch."""
    return epoch == 1 or epoch % every == 0


def check_evaluations(settings: Settings) -> None:
    """Say what cannot work.

    Raises:
        ObjectiveError: a number below 0, or a schedule that reads values which are not there.
    """
    every = settings.training.evaluate_every
    if every < 0:
        raise ObjectiveError(f"evaluate_every must be 1 or more, or 0 (by the sizes of the data), not {every}")
    if every > 1 and parse(settings.training.schedule).uses_history:
        raise ObjectiveError(
            f'the schedule "{settings.training.schedule}" reads what validation says after every epoch; set [training] '
            f"evaluate_every to 1 (it is {every}) or choose another schedule"
        )
