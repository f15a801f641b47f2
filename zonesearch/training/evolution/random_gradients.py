"""Random gradients: children lie along the gradient, each weight moved by its own random fraction of the step.

A child is parent - learning rate x temperature x gradient x U, with U uniform noise of the gradient's shape. The
temperature falls as the accuracy rises: it is ``temperature`` x (1 - accuracy of the parent). A better child becomes
the parent. ``together`` children of one parent are evaluated at a time, and the best of them is compared with the
parent; with ``together = 1``, every child may become the parent immediately.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from zonesearch.errors import StudyError
from zonesearch.training.evolution.children import Judge, same_norm
from zonesearch.training.evolution.phase import Phase

__all__ = ["RandomGradients"]


@dataclass(frozen=True)
class RandomGradients(Phase):
    """The table ``[evolution]`` with ``kind = "random_gradients"``.

    Args:
        temperature: of the steps at an accuracy of 0.
        noise_low, noise_high: the range of U.
        learning_rate: of the steps; by default the last one of gradient descent.
    """

    temperature: float = 1.0
    noise_low: float = 0.0
    noise_high: float = 1.0
    learning_rate: float | None = None
    kind: ClassVar[str] = "random_gradients"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.noise_low < self.noise_high:
            raise StudyError(f"[evolution] noise_low must be below noise_high, not {self.noise_low}, {self.noise_high}")
        if self.temperature <= 0:
            raise StudyError(f"[evolution] temperature must be above 0, not {self.temperature}")

    def evolve(self, judge: Judge, learning_rate: float, generator: torch.Generator) -> None:
        """Evaluate group after group of children; the best of a group replaces the parent if it is better."""
        rate = learning_rate if self.learning_rate is None else self.learning_rate
        parent = judge.weights()
        reward, temperature = self._standing(judge, parent)
        gradient = judge.gradient()
        left = self.children
        while left > 0:
            n = min(self.together, left)
            left -= n
            children = self.offspring(parent, gradient, rate * temperature, n, generator)
            rewards = self.rewards(judge, children)
            best = int(rewards.argmax())
            if rewards[best] > reward:
                parent = parent + same_norm(children[best] - parent, generator) if self.control else children[best]
                judge.settle(parent)
                reward, temperature = self._standing(judge, parent)
                gradient = judge.gradient()

    def offspring(self, parent: Tensor, gradient: Tensor, step: float, n: int, generator: torch.Generator) -> Tensor:
        """``n`` children, shape (n, d): parent - step gradient U."""
        noise = torch.rand(n, len(parent), generator=generator).to(parent)
        return parent - step * gradient * (self.noise_low + (self.noise_high - self.noise_low) * noise)

    def _standing(self, judge: Judge, parent: Tensor) -> tuple[Tensor, float]:
        """Reward and temperature of a parent, evaluated by the same stacked program as its children."""
        losses, accuracies = judge(parent[None])
        reward = accuracies[0] if self.choose_by == "accuracy" else -losses[0]
        return reward, self.temperature * (1.0 - float(accuracies[0]))
