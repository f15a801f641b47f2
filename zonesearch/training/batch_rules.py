"""Batch size and learning rate together, and how many steps an epoch has.

With a fixed learning rate, the batch axis of a map is partly a rate axis, and for the same number of epochs a small
batch takes many more steps. Tying the rate to the batch size and fixing the number of steps separate the two effects.
Neither rule always holds (Shallue et al. 2018), so the rate can also be an axis of its own.
"""

from __future__ import annotations

import math

from zonesearch.errors import StudyError, did_you_mean

__all__ = ["RULES", "steps_in_epoch", "tied_rate"]

RULES = ("none", "linear", "sqrt")


def tied_rate(rate: float, batch: int, rule: str = "none", reference: int = 64) -> float:
    """The learning rate at batch size ``batch``.

    Args:
        rate: the learning rate at batch size ``reference``.
        batch: examples per step.
        rule: ``none``; ``linear``, rate ~ batch (for SGD, with warm-up: Goyal et al. 2017); ``sqrt``, rate ~
            sqrt(batch) (for Adam: Malladi et al. 2022).
        reference: the batch size that ``rate`` is meant for.

    Raises:
        StudyError: for an unknown rule.
    """
    if rule not in RULES:
        raise StudyError(f'unknown rule "{rule}" that ties the rate to the batch; {did_you_mean(rule, RULES)}')
    share = batch / reference
    return rate * {"none": 1.0, "linear": share, "sqrt": math.sqrt(share)}[rule]


def steps_in_epoch(n_examples: int, batch: int, fixed: int = 0) -> int:
    """Optimizer steps in an epoch: one pass over the data including its last, smaller batch; or ``fixed`` steps, unless
    that is 0, so that epochs have the same number of steps at every batch size.
    """
    return fixed or math.ceil(n_examples / batch)
