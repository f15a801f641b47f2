"""Batch size and learning rate together, and how many steps an epoch has.

With a fixed rate the batch axis of a map is partly a rate axis, and at equal epochs a small batch takes many more
steps. Tying the rate to the batch and fixing the steps are the two ways to take that apart. Neither rule always holds
(Shallue et al. 2018), so the rate can be an axis of its own as well.
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
        batch: examples a step.
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
    """Optimizer steps in an epoch: one pass over the data with its last, smaller batch; or, unless it is 0, the same
    ``fixed`` number at every batch size, so that equal epochs are equal steps.
    """
    return fixed or math.ceil(n_examples / batch)
