"""What a study searches: the metric of its file or its call, and what the objective says of itself, as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zonesearch.core.measured import measured_metric, own_or_built_in
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.objective import Measured, Objective
from zonesearch.errors import StudyError

__all__ = ["metric_of_tables", "with_metric"]


def metric_of_tables(kind: str, objective: Mapping[str, Mapping[str, Any]], table: Mapping[str, Any]) -> Metric:
    """What a study file searches.

    Args:
        kind: of the objective.
        objective: its tables.
        table: ``[metric]``, empty where there is none.

    Raises:
        StudyError: naming the key and the mend.
    """
    if kind != "pytorch":
        return Metric.parse(table)
    training = objective.get("training", {})
    task = str(objective.get("data", {}).get("task", "classification"))
    metric = own_or_built_in(task, str(training.get("metric", "")), table)
    return measured_metric(task, metric, str(training.get("direction", "")), table)


def with_metric(objective: Objective, metric: Metric, *, named: bool, directed: bool) -> tuple[Objective, Metric]:
    """An objective whose trials say what they are values of, and what that is.

    Args:
        objective: may know its metric itself.
        metric: what the study says.
        named: whether it says a name; ``directed`` whether it says a direction.

    Raises:
        StudyError: both say something, and not the same.
    """
    own = getattr(objective, "metric", None)
    if getattr(objective, "named", None) is False:  # a function that leaves it to the study
        return replace(objective, metric=metric, named=named, directed=directed), metric  # type: ignore[type-var]
    if not isinstance(own, Metric):
        return (objective if metric == ACCURACY else Measured(objective, metric)), metric
    if (named and metric.name != own.name) or ((named or directed) and metric.direction != own.direction):
        raise StudyError(
            f"metric= names {metric.name} ({metric.direction}), but the objective gives {own.name} ({own.direction}): "
            "name the metric where the objective is made"
        )
    return objective, replace(own, unit=metric.unit) if metric.unit else own
