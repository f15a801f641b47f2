"""Losses and accuracies of all members of a stack on one split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from zonesearch.training.stack.activations import Activation
from zonesearch.training.stack.layout import Layout
from zonesearch.training.stack.network import Norm, infer

__all__ = ["judge", "losses"]

_AT_ONCE = 8_000_000  # values of a hidden layer: more do not stay in the cache
_LEAST, _MOST = 128, 4096  # examples


def losses(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each example: scores of shape (..., classes, n), labels (..., n), with broadcasting."""
    shape = (*scores.shape[:-2], 1, scores.shape[-1])
    mine = scores.gather(-2, labels.unsqueeze(-2).expand(shape)).squeeze(-2)
    return scores.logsumexp(-2) - mine


@torch.no_grad()
def judge(
    layout: Layout, weights: Tensor, norms: Sequence[Norm], activation: Activation, inputs: Tensor, labels: Tensor
) -> tuple[list[float], list[float], list[bytes]]:
    """Mean loss and accuracy of each member, and its correct answers, one bit per example; in the order of the rows."""
    loss = torch.zeros(layout.n_members, dtype=torch.float64, device=labels.device)
    right = []
    n = min(_MOST, max(_LEAST, _AT_ONCE // (layout.n_seeds * layout.n_neurons)))
    for x, y in zip(torch.split(inputs, n), torch.split(labels, n), strict=True):
        scores = infer(layout, weights, norms, activation, x)
        scores = scores.float() if scores.dtype == torch.bfloat16 else scores
        loss += losses(scores, y).sum(-1, dtype=torch.float64)
        right.append(scores.argmax(-2).eq(y))
    answers = torch.cat(right, -1)
    bits = np.packbits(answers.cpu().numpy(), axis=-1)
    accuracies = (answers.sum(-1).double() / len(labels)).tolist()
    return (loss / len(labels)).tolist(), accuracies, [row.tobytes() for row in bits]
