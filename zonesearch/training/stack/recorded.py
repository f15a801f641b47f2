"""The steps of a stack on a GPU, recorded once and replayed (:mod:`zonesearch.training.replay`)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from zonesearch.training.replay import Replay, Tables
from zonesearch.training.stack.judging import losses
from zonesearch.training.stack.layout import Layout

__all__ = ["Descend", "Recorded", "add_up"]

Descend = Callable[[Tensor, Tensor, Tensor], None]
"""A pass forward and backward: (indices of examples, one-hot labels, where scores go); leaves gradients."""


class Recorded:
    """The step of a stack for one batch size and one grouping of its members.

    Args:
        key: what it was recorded for.
        n_steps: at most, in one go.
        layout: of the stack.
        labels: of the training part.
        n_classes: number of classes.
        batch: examples of each seed in a step.
        n_groups: of members that the optimizer treats alike.
        like: a tensor of the type in which scores are kept.
        descend: the pass.
        update: moves the weights, given the rates, of shape (groups,).
        generators: what the pass draws from.
    """

    def __init__(
        self,
        key: Hashable,
        n_steps: int,
        layout: Layout,
        labels: Tensor,
        n_classes: int,
        batch: int,
        n_groups: int,
        like: Tensor,
        descend: Descend,
        update: Callable[[Tensor], None],
        generators: Iterable[torch.Generator],
    ) -> None:
        self.key = key
        self.n_steps = n_steps
        self._tables = Tables(n_steps, layout.n_seeds * batch, n_groups, labels.device)
        self._loss = torch.zeros(layout.by_seed, dtype=torch.float64, device=labels.device)
        self._right = torch.zeros(layout.by_seed, dtype=torch.int64, device=labels.device)
        scores = like.new_empty(1, layout.n_members, n_classes, batch)

        def step() -> None:
            these, rates = self._tables.now
            wanted = labels.index_select(0, these).view(layout.n_seeds, batch)
            ones = functional.one_hot(wanted, n_classes).transpose(1, 2).to(scores.dtype)[:, None]
            descend(these, ones, scores[0])
            add_up(layout, scores, wanted[None], self._loss, self._right)
            update(rates)
            self._tables.next()

        self._replay = Replay(step, labels.device, generators)

    def take(self, examples: Tensor, rates: Sequence[Sequence[float]], loss: Tensor, right: Tensor) -> None:
        """Take steps; adds to loss and right answers.

        Args:
            examples: (steps, seeds x batch) indices.
            rates: for each step, of every group.
            loss, right: sums over the examples, in the order of the rows.
        """
        self._loss.zero_()
        self._right.zero_()
        self._tables.fill(examples, rates)
        self._replay.take(len(examples))
        loss += self._loss
        right += self._right


def add_up(layout: Layout, scores: Tensor, labels: Tensor, loss: Tensor, right: Tensor) -> None:
    """Add losses and right answers of some steps.

    Args:
        layout: of the stack.
        scores: (steps, members, classes, batch).
        labels: (steps, seeds, batch).
        loss, right: sums over the examples, in the order of the rows.
    """
    n, _, k, batch = scores.shape
    unfolded = scores.view(n, *layout.by_seed, k, batch)
    wanted = labels.view(n, 1, layout.n_seeds, 1, batch)
    loss += losses(unfolded, wanted).sum((0, -1), dtype=torch.float64)
    right += unfolded.argmax(-2).eq(wanted).sum((0, -1))
