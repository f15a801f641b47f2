"""What a setting costs: a function of the setting, never of a clock.

Of a network its free parameters count, then the multiply-adds of a training (steps times parameters: what is common
to all steps, such as the size of a batch, is left out). A function without a network may say itself what its setting
costs. Seconds are shown beside that and decide nothing: they depend on the machine and on what else runs on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Cost"]


@dataclass(frozen=True)
class Cost:
    """The cost of a setting.

    Args:
        n_parameters: free parameters of the network; None without one.
        n_steps: optimizer steps of a training; None where it was not recorded.
        given: what the objective says, in whatever unit; None where it says nothing.
    """

    n_parameters: int | None = None
    n_steps: int | None = None
    given: float | None = None

    @property
    def known(self) -> bool:
        """Whether anything is known of it."""
        return self.given is not None or self.n_parameters is not None

    @property
    def multiply_adds(self) -> float | None:
        """Steps times parameters."""
        return None if self.n_steps is None or self.n_parameters is None else float(self.n_steps) * self.n_parameters

    @property
    def rank(self) -> tuple[float, float, float]:
        """Orders costs, the cheapest first: by parameters, then multiply-adds, then what the objective says."""
        unknown = math.inf
        parts = (self.n_parameters, self.multiply_adds, self.given)
        first, second, third = (unknown if part is None else float(part) for part in parts)
        return first, second, third

    def factor_below(self, other: Cost) -> tuple[float, str]:
        """How many times cheaper this is than ``other``, and in what; (1, "") where that is not known or not so."""
        pairs = (
            (self.n_parameters, other.n_parameters, "parameters"),
            (self.multiply_adds, other.multiply_adds, "multiply-adds"),
            (self.given, other.given, "cost"),
        )
        for mine, yours, unit in pairs:
            if mine is not None and yours is not None and mine != yours:
                return (yours / mine, unit) if 0 < mine < yours else (1.0, "")
        return 1.0, ""
