"""The metric of a study: combines its file or call with what the objective declares."""

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
    """The metric of a study file.

    Args:
        kind: of the objective.
        objective: its tables.
        table: ``[metric]``; empty if there is none.

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
    """An objective whose trials declare their metric, and that metric.

    Args:
        objective: may declare its metric itself.
        metric: from the study.
        named: whether its name was given; ``directed``: whether its direction was.

    Raises:
        StudyError: both declare a metric, and they differ.
    """
    own = getattr(objective, "metric", None)
    if getattr(objective, "named", None) is False:  # a function that leaves the metric to the study
        return replace(objective, metric=metric, named=named, directed=directed), metric  # type: ignore[type-var]
    if not isinstance(own, Metric):
        return (objective if metric == ACCURACY else Measured(objective, metric)), metric
    if (named and metric.name != own.name) or ((named or directed) and metric.direction != own.direction):
        raise StudyError(
            f"metric= names {metric.name} ({metric.direction}), but the objective gives {own.name} ({own.direction}): "
            "name the metric where the objective is made"
        )
    return objective, replace(own, unit=metric.unit) if metric.unit else own
