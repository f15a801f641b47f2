"""Several networks that answer as one: the mean of their probabilities (softmax outputs)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    """Networks of the same classes whose mean softmax is the answer, as snapshot ensembles and FGE are judged.

    The output is the logarithm of the mean probability, shape (n_examples, n_classes), so that cross-entropy and the
    largest class work as for a single network.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        if not self.members:
            raise ValueError("an ensemble has at least one member")
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Log of the mean of the members' softmax outputs."""
        scores = torch.stack([torch.log_softmax(member(inputs), 1) for member in self.members])
        return torch.logsumexp(scores, 0) - math.log(len(self.members))
