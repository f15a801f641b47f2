"""The order in which a training sees its data: the same for the same seed, on every device and every path."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zonesearch.training.batch_rules import steps_in_epoch

__all__ = ["epoch_order"]


def epoch_order(n: int, batch: int, n_steps: int, generator: torch.Generator) -> Tensor:
    """The examples of one epoch: n_steps x batch indices, or fewer if the last batch is smaller.

    Args:
        n: number of examples.
        batch: examples per step.
        n_steps: steps in the epoch; if they take several passes over the data, each pass has a new order.
        generator: of this training, on the CPU.
    """
    n_passes = 1 if n_steps == steps_in_epoch(n, batch) else math.ceil(n_steps * batch / n)
    return torch.cat([torch.randperm(n, generator=generator) for _ in range(n_passes)])[: n_steps * batch]
