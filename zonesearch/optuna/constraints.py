"""The constraints that a trial of Optuna may carry."""

from __future__ import annotations

from optuna.trial import FrozenTrial

__all__ = ["violation_of"]


def violation_of(evaluation: FrozenTrial) -> float | None:
    """The largest value of the constraints that were set for a trial: above 0 it is infeasible; None without any.

    ``trial.set_constraint(name, value)`` sets one, and samplers with a ``constraints_func`` set them all.
    """
    attributes = evaluation.system_attrs
    together = attributes.get("constraints") or ()
    values = [*together, *(value for key, value in attributes.items() if key.startswith("constraints:"))]
    return max(map(float, values), default=None)
