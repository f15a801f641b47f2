"""The cost of a setting: a function of the setting, never of measured time.

For a network, its number of parameters counts first, then the multiply-adds of a training (steps times parameters,
without factors common to all steps such as the batch size). A function may report the cost of its setting itself.
Seconds are shown but decide nothing: they depend on the machine and its load.
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
        given: as reported by the objective, in any unit; None if not reported.
    """

    n_parameters: int | None = None
    n_steps: int | None = None
    given: float | None = None

    @property
    def known(self) -> bool:
        """Whether any part of it is known."""
        return self.given is not None or self.n_parameters is not None

    @property
    def multiply_adds(self) -> float | None:
        """Steps times parameters."""
        return None if self.n_steps is None or self.n_parameters is None else float(self.n_steps) * self.n_parameters

    @property
    def rank(self) -> tuple[float, float, float]:
        """A sorting key, the cheapest first: by parameters, then multiply-adds, then the reported cost."""
        unknown = math.inf
        parts = (self.n_parameters, self.multiply_adds, self.given)
        first, second, third = (unknown if part is None else float(part) for part in parts)
        return first, second, third

    def factor_below(self, other: Cost) -> tuple[float, str]:
        """How many times cheaper this is than ``other``, and in which respect; (1, "") if unknown or not cheaper."""
        pairs = (
            (self.n_parameters, other.n_parameters, "parameters"),
            (self.multiply_adds, other.multiply_adds, "multiply-adds"),
            (self.given, other.given, "cost"),
        )
        for mine, yours, unit in pairs:
            if mine is not None and yours is not None and mine != yours:
                return (yours / mine, unit) if 0 < mine < yours else (1.0, "")
        return 1.0, ""
