"""Stages, objectives and line methods by name, through entry points: those that ship and anybody's alike."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from zonesearch.errors import StudyError, did_you_mean

__all__ = ["GROUPS", "load", "name_of", "registered"]

GROUPS = {"stages": "zonesearch.stages", "objectives": "zonesearch.objectives", "lines": "zonesearch.lines"}


@cache
def registered(kind: str) -> dict[str, EntryPoint]:
    """The entry points of one of ``GROUPS`` by name; of two with one name, the first by package wins."""
    found = sorted(entry_points(group=GROUPS[kind]), key=lambda point: point.value, reverse=True)
    return {point.name: point for point in found}


def load(kind: str, name: str, where: str) -> Any:
    """The class registered under ``name``.

    Raises:
        StudyError: when there is none, or it cannot be imported; ``where`` names the place in the study.
    """
    points = registered(kind)
    if name not in points:
        raise StudyError(f'{where}: there is no "{name}" among the {kind}; {did_you_mean(name, points)}')
    try:
        return points[name].load()
    except (Exception, SystemExit) as error:  # a package of anybody's may raise anything
        raise StudyError(f'{where}: "{name}" cannot be imported ({type(error).__name__}: {error})') from error


def name_of(kind: str, thing: type) -> str | None:
    """The name under which a class is registered; None when it is not."""
    value = f"{thing.__module__}:{thing.__qualname__}"
    return next((name for name, point in registered(kind).items() if point.value == value), None)
