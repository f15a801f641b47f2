"""The constraints of an Optuna trial."""

from __future__ import annotations

from optuna.trial import FrozenTrial

__all__ = ["violation_of"]


def violation_of(evaluation: FrozenTrial) -> float | None:
    """The largest constraint value set for a trial, which is infeasible if above 0; None without constraints.

    ``trial.set_constraint(name, value)`` sets one, and samplers with a ``constraints_func`` set them all.
    """
    attributes = evaluation.system_attrs
    together = attributes.get("constraints") or ()
    values = [*together, *(value for key, value in attributes.items() if key.startswith("constraints:"))]
    return max(map(float, values), default=None)
