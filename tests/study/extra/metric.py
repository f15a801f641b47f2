"""The share of examples whose class is not among the three with the highest scores."""

from __future__ import annotations

from torch import Tensor


def top3_error(outputs: Tensor, targets: Tensor) -> float:
    return 1 - float((outputs.topk(3).indices == targets[:, None]).any(1).float().mean())
