"""Which records of an old version depend on the length of the training without saying so.

Version 0.1.0 recorded a training whose schedule depends on its whole length like any other, and read its beginning as a
shorter training. Its records contain enough information: the schedule is in the params or in the identity of the study.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

__all__ = ["Looks", "looks_at_length"]

Looks = Callable[[Mapping[str, Any]], bool]
"""Whether a training with these params depends on its length."""

_ALWAYS = frozenset({"onecycle", "snapshot"})
_UNLESS_GIVEN = {"linear": 0, "exponential": 0, "cosine": 0, "swa": 1, "fge": 1}
"""Schedules that stretch over the training unless they are given a ``length``, with its position among the arguments.
"""


def looks_at_length(identity: Mapping[str, Any]) -> Looks | None:
    """The rule for records of a study with this ``identity``; None if no training depends on its length."""
    objective = identity.get("objective")
    if not isinstance(objective, Mapping) or objective.get("objective") != "pytorch":
        return None
    arms = objective.get("arms", {})

    def looks(params: Mapping[str, Any]) -> bool:
        arm = arms.get(params.get("arm"), {})
        if "averaging" in objective or "averaging" in arm:
            return True
        own = {**objective.get("training", {}), **arm.get("training", {})}.get("schedule", "constant")
        return _stretches(str(params.get("schedule", params.get("training.schedule", own))))

    return looks


@cache
def _stretches(schedule: str) -> bool:
    try:
        node = ast.parse(schedule.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return False
    return _looks(node)


def _looks(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    if not isinstance(called, ast.Name):
        return False
    places = node.args if isinstance(node, ast.Call) else []
    named = {keyword.arg: keyword.value for keyword in node.keywords} if isinstance(node, ast.Call) else {}
    if called.id == "warmup":
        then = named.get("then", places[1] if len(places) > 1 else None)
        return then is not None and _looks(then)
    if called.id in _UNLESS_GIVEN:
        length = named.get(
            "length", places[_UNLESS_GIVEN[called.id]] if len(places) > _UNLESS_GIVEN[called.id] else None
        )
        return length is None or (isinstance(length, ast.Constant) and length.value is None)
    return called.id in _ALWAYS
