"""The metric that a network's settings measure, determined without loading torch.

``[training] metric`` says what is computed; ``[metric]`` gives its name, direction and unit. Either may name a built-in
metric; if both do, they must agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zonesearch.core.metric import Metric
from zonesearch.core.plugins import is_plug_in, registered
from zonesearch.errors import StudyError, did_you_mean

__all__ = ["BUILT_IN", "is_own", "measured_metric", "own_or_built_in"]

BUILT_IN = {
    "accuracy": "classification",
    "balanced_accuracy": "classification",
    "f1_macro": "classification",
    "f1_weighted": "classification",
    "roc_auc": "classification",
    "average_precision": "classification",
    "log_loss": "classification",
    "r2": "regression",
    "mae": "regression",
    "rmse": "regression",
}
"""Metrics by name, and for which task."""

_OF_TASK = {"classification": "accuracy", "regression": "r2"}


def is_own(metric: str) -> bool:
    """Whether ``[training] metric`` is a user's or plug-in's function rather than built in."""
    return ":" in metric or is_plug_in("metrics", metric, BUILT_IN)


def own_or_built_in(task: str, metric: str, table: Mapping[str, Any]) -> str:
    """The value of ``[training] metric``, which ``[metric]`` may also name; empty for the task's default.

    Args:
        task: of the data.
        metric: from ``[training]``; empty if not set.
        table: ``[metric]``.

    Raises:
        StudyError: ``[metric]`` names something that no network measures, or contradicts ``[training] metric``.
    """
    name = table.get("name")
    if name is None or is_own(metric):
        return metric
    if name not in BUILT_IN and not is_plug_in("metrics", str(name), BUILT_IN):
        known = [*BUILT_IN, *registered("metrics")]
        raise StudyError(
            f'[metric] name = "{name}" is not something a network measures; {did_you_mean(str(name), known)} (set your '
            f'own metric with [training] metric = "package.module:function" and name it here)'
        )
    if metric and metric != name:
        raise StudyError(f'[metric] name = "{name}", but [training] metric = "{metric}"; say which one it is')
    return metric if metric or name == _OF_TASK.get(task) else str(name)


def measured_metric(task: str, metric: str, direction: str = "", table: Mapping[str, Any] | None = None) -> Metric:
    """What is searched.

    Args:
        task: of the data.
        metric: ``[training] metric``: a built-in one, ``package.module:function``, a plug-in's, or empty for that of
            the task.
        direction: ``[training] direction``; empty if not set.
        table: ``[metric]``: name, direction and unit, if given.

    Raises:
        StudyError: a direction is invalid, given twice with different values, or contradicts a built-in metric.
    """
    table = table or {}
    Metric.parse(table)  # its keys and values
    own = is_own(metric)
    name = str(table.get("name", metric.rpartition(":")[2])) if own else metric or _OF_TASK.get(task, "accuracy")
    given = {
        key: Metric(name, said).direction  # type: ignore[arg-type]
        for key, said in (("[training] direction", direction), ("[metric] direction", table.get("direction")))
        if said
    }
    if len(set(given.values())) > 1:
        first, second = (f'{key} = "{said}"' for key, said in given.items())
        raise StudyError(f"{first}, but {second}; say which one it is")
    found = Metric(name, next(iter(given.values()), None), str(table.get("unit", "")))
    known = Metric(name).direction
    if not own and found.direction != known:
        raise StudyError(f'{next(iter(given))} = "{found.direction}", but {name} is to be {known}d; leave it out')
    return found
