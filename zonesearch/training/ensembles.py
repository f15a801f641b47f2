"""Several networks that predict as one: the mean of their probabilities (softmax), or of a regression's outputs."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    """Networks whose mean softmax is the prediction, as snapshot ensembles and FGE are evaluated.

    The output is the logarithm of the mean probability, shape (n_examples, n_classes), so that cross-entropy and argmax
    work as for a single network. For a regression it is the mean of the outputs.

    Args:
        members: the networks, at least one.
        classes: whether their outputs are class scores.
    """

    def __init__(self, members: Iterable[nn.Module], classes: bool = True) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.classes = classes
        if not self.members:
            raise ValueError("an ensemble has at least one member")
        self.eval()

    def forward(self, *inputs: Tensor) -> Tensor:
        """Log of the mean of the members' softmax outputs, or the mean of their outputs."""
        if not self.classes:
            return torch.stack([member(*inputs) for member in self.members]).mean(0)
        scores = torch.stack([torch.log_softmax(member(*inputs), 1) for member in self.members])
        return torch.logsumexp(scores, 0) - math.log(len(self.members))
