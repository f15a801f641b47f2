"""The name of a table's metric column."""

from __future__ import annotations

from zonesearch.core.metric import Metric

__all__ = ["value_column"]

_TAKEN = frozenset(
    {
        *(
            "zone",
            "cells",
            "seeds",
            "missing",
            "parameters",
            "seconds",
            "stage",
            "schedule",
            "epoch",
            "epochs",
            "value",
        ),
        *("lowest", "highest", "low", "high", "run", "recommended", "zones", "trainings", "finalists", "alike"),
    }
)
"""The names of other columns."""


def value_column(metric: Metric) -> str:
    """The metric's name, marked if a table has another column of that name."""
    return f"{metric.name} (searched)" if metric.name in _TAKEN else metric.name
