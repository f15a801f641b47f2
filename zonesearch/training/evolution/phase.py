"""When evolution happens, on which data, and its settings in a study file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from zonesearch.errors import StudyError
from zonesearch.training.data.collate import Inputs
from zonesearch.training.evolution.children import Judge
from zonesearch.training.technique import Hooks, Run, take_part

__all__ = ["Phase"]


@dataclass(frozen=True)
class Phase(ABC):
    """An evolution phase that replaces every ``every``-th epoch of gradient descent.

    Args:
        every: every ``every``-th epoch is an evolution phase; it counts as an epoch.
        children: number evaluated in each phase.
        share: fraction of the training split that evolution evaluates on and gradient descent does not see.
        choose_by: ``loss`` or ``accuracy``.
        together: number of children evaluated as one stacked program.
        control: replace every update by noise of the same norm.
    """

    every: int = 5
    children: int = 40
    share: float = 0.2
    choose_by: str = "loss"
    together: int = 10
    control: bool = False
    kind: ClassVar[str]

    def __post_init__(self) -> None:
        for name in ("every", "children", "together"):
            self._at_least_one(name)
        if not 0 < self.share < 1:
            raise StudyError(f"[evolution] share of the training data must lie between 0 and 1, not {self.share}")
        if self.choose_by not in ("loss", "accuracy"):
            raise StudyError(f'[evolution] choose_by is "loss" or "accuracy", not {self.choose_by!r}')

    def _at_least_one(self, name: str) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise StudyError(f"[evolution] {name} must be a whole number, at least 1, not {value!r}")

    @abstractmethod
    def evolve(self, judge: Judge, learning_rate: float, generator: torch.Generator) -> None:
        """Run one phase: evaluate children, and update the network's weights accordingly.

        Args:
            judge: of the network that evolves.
            learning_rate: the last one of gradient descent.
            generator: for all noise.
        """

    def rewards(self, judge: Judge, children: Tensor) -> Tensor:
        """Rewards, larger is better, shape (n,)."""
        losses, accuracies = judge(children)
        return accuracies if self.choose_by == "accuracy" else -losses

    def begin(self, run: Run) -> Hooks:
        """Set aside evolution's part of the data, and act in its epochs."""
        return _Evolution(self, *take_part(run, self.share))


class _Evolution(Hooks):
    def __init__(self, phase: Phase, inputs: Inputs, labels: Tensor) -> None:
        self._phase = phase
        self._inputs, self._labels = inputs, labels

    def instead_of_epoch(self, run: Run) -> bool:
        if (run.epoch + 1) % self._phase.every:
            return False
        judge = Judge(run.network, run.loss, self._inputs, self._labels, precision=run.precision)
        self._phase.evolve(judge, run.learning_rate, run.generator)
        return True
