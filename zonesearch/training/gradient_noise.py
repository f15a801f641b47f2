"""Decaying gradient noise (Neelakantan et al. 2015, eq. 1): add N(0, eta / (1 + t)^gamma) to every gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from zonesearch.errors import StudyError
from zonesearch.training.technique import Hooks, Run, check_table

__all__ = ["GradientNoise"]


@dataclass(frozen=True)
class GradientNoise:
    """The table ``[gradient_noise]``.

    Args:
        eta: variance at the first step; the source tried 0.01, 0.3 and 1.
        gamma: how fast the variance falls with the step.
    """

    eta: float = 0.01
    gamma: float = 0.55

    def __post_init__(self) -> None:
        if self.eta <= 0 or self.gamma < 0:
            raise StudyError(f"[gradient_noise] needs eta above 0 and gamma of 0 or more, not {self.eta}, {self.gamma}")

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> GradientNoise:
        """Read the table.

        Raises:
            StudyError: for an unknown key or a wrong value.
        """
        check_table(cls, table, "gradient_noise")
        return cls(**table)

    def deviation(self, step: int) -> float:
        """Standard deviation of the noise at ``step``, counted from 0."""
        return math.sqrt(self.eta / (1 + step) ** self.gamma)

    def begin(self, run: Run) -> Hooks:
        """Hooks that add the noise."""
        return _Noise(self)


class _Noise(Hooks):
    def __init__(self, settings: GradientNoise) -> None:
        self._settings = settings

    def before_step(self, run: Run) -> None:
        deviation = self._settings.deviation(run.step)
        for parameter in run.network.parameters():
            if parameter.grad is not None:
                noise = torch.randn(parameter.shape, generator=run.generator).to(parameter)
                parameter.grad.add_(noise, alpha=deviation)
