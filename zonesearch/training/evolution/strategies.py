"""Evolution strategies: no child is selected; all children move the parent according to their rewards.

Child i is parent + sigma noise_i. The rewards are normalised to mean 0 and standard deviation 1, and the parent moves
by learning_rate / (population sigma) sum_i reward_i noise_i (Salimans et al. 2017, algorithm 1). The sum estimates a
gradient; with far fewer children than weights it is nearly a random direction, which is why every comparison needs
the control arm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from zonesearch.errors import StudyError
from zonesearch.training.evolution.children import Judge, same_norm
from zonesearch.training.evolution.phase import Phase

__all__ = ["Strategies", "normalised"]


@dataclass(frozen=True)
class Strategies(Phase):
    """The table ``[evolution]`` with ``kind = "strategies"``.

    Args:
        sigma: the size of the noise.
        learning_rate: of the update.
        noise: ``uniform`` in [-1, 1], or ``normal``.
        antithetic: children come in pairs of opposite noise.
        generations: updates in one phase, each with ``children`` of its own.
    """

    children: int = 50
    sigma: float = 0.1
    learning_rate: float = 0.001
    noise: str = "uniform"
    antithetic: bool = False
    generations: int = 1
    kind: ClassVar[str] = "strategies"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least_one("generations")
        if self.sigma <= 0 or self.learning_rate <= 0:
            raise StudyError(
                f"[evolution] sigma and learning_rate must be above 0, not {self.sigma}, {self.learning_rate}"
            )
        if self.noise not in ("uniform", "normal"):
            raise StudyError(f'[evolution] noise is "uniform" or "normal", not {self.noise!r}')
        if self.antithetic and self.children % 2:
            raise StudyError(f"[evolution] antithetic children come in pairs: an even number, not {self.children}")

    def evolve(self, judge: Judge, learning_rate: float, generator: torch.Generator) -> None:
        """Make one update of the weights per generation; the learning rate of gradient descent is not used."""
        for _ in range(self.generations):
            parent = judge.weights()
            update = self.update(judge, parent, generator)
            judge.settle(parent + (same_norm(update, generator) if self.control else update))

    def update(self, judge: Judge, parent: Tensor, generator: torch.Generator) -> Tensor:
        """The step of one generation, shape (d,); zero when all rewards are equal.

        The noise of each group is drawn twice from its own seed rather than stored, since all children at once may not
        fit in memory.
        """
        n_drawn = self.children // 2 if self.antithetic else self.children
        sizes = [min(self.together, n_drawn - done) for done in range(0, n_drawn, self.together)]
        seeds = torch.randint(2**62, (len(sizes),), generator=generator).tolist()
        groups = list(zip(seeds, sizes, strict=True))
        rewards = torch.cat([self._group_rewards(judge, parent, self.drawn(parent, *group)) for group in groups])
        pull = torch.split(normalised(rewards), [size * (2 if self.antithetic else 1) for size in sizes])
        total = torch.zeros_like(parent)
        for group, weights in zip(groups, pull, strict=True):
            total += weights @ self.drawn(parent, *group)
        return self.learning_rate / (self.children * self.sigma) * total

    def _group_rewards(self, judge: Judge, parent: Tensor, noise: Tensor) -> Tensor:
        return self.rewards(judge, parent + self.sigma * noise)

    def drawn(self, parent: Tensor, seed: int, n: int) -> Tensor:
        """Noise of one group, shape (n, d), or (2n, d) with the negative of each."""
        generator = torch.Generator().manual_seed(seed)
        shape = (n, len(parent))
        noise = torch.randn(shape, generator=generator)
        if self.noise == "uniform":
            noise = 2 * torch.rand(shape, generator=generator) - 1
        noise = noise.to(parent)
        return torch.cat([noise, -noise]) if self.antithetic else noise


def normalised(rewards: Tensor) -> Tensor:
    """(rewards - mean) / standard deviation; zeros when they are all equal."""
    centred = rewards - rewards.mean()
    deviation = rewards.std(correction=0)
    return centred / deviation if float(deviation) > 0 else torch.zeros_like(rewards)
