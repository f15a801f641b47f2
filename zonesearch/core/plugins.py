"""Parts by name, through entry points: built-in ones and those of installed packages.

Every kind of part has a group of entry points, ``zonesearch.stages`` and so on. A package that declares one is found as
soon as it is installed. Built-in parts are in the same groups, or, where scanning all installed packages would cost
start-up time, in a table that is consulted first. A built-in name always means the built-in part, so no package can
change what an existing study does.

Entry points are read when a name is in no table, never on import.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from zonesearch.errors import StudyError, did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUPS", "is_plug_in", "load", "name_of", "registered", "version_of"]

_KINDS = (
    "stages",
    "lines",
    "objectives",
    "schedules",
    "networks",
    "metrics",
    "engines",
    "storages",
    "figures",
    "commands",
)
GROUPS = {kind: f"zonesearch.{kind}" for kind in _KINDS}
"""The group of entry points of each kind of part."""


@cache
def registered(kind: str) -> dict[str, EntryPoint]:
    """The entry points of one of ``GROUPS`` by name, names ascending.

    Of two with the same name, the built-in one wins, then the first by package.
    """
    found = sorted(_points(GROUPS[kind]), key=lambda point: (not _ships(point), point.value), reverse=True)
    return dict(sorted({point.name: point for point in found}.items()))


def load(kind: str, name: str, where: str, built_in: Mapping[str, str] | None = None) -> Any:
    """The object registered under ``name``.

    Args:
        kind: one of ``GROUPS``.
        name: as in a study file or a command.
        where: where the name was given, for messages.
        built_in: built-in parts that are not entry points, as ``{"name": "package.module:object"}``.

    Raises:
        StudyError: there is none of that name, or it cannot be imported.
    """
    built_in = built_in or {}
    if name in built_in:
        module, _, attribute = built_in[name].partition(":")
        return getattr(import_module(module), attribute)
    points = registered(kind)
    if name not in points:
        raise StudyError(f'{where}: unknown name "{name}" among the {kind}; {did_you_mean(name, [*built_in, *points])}')
    try:
        return points[name].load()
    except (Exception, SystemExit) as error:  # any package may raise anything
        owner = _owner(points[name])
        raise StudyError(f'{where}: "{name}"{owner} cannot be imported ({type(error).__name__}: {error})') from error


def is_plug_in(kind: str, name: str, built_in: Collection[str]) -> bool:
    """Whether ``name`` is a plug-in rather than a built-in part or a ``package.module:object``."""
    return name not in built_in and bool(name) and ":" not in name and name in registered(kind)


def name_of(kind: str, thing: type) -> str | None:
    """The name under which a class is registered; None if it is not."""
    value = f"{thing.__module__}:{thing.__qualname__}"
    return next((name for name, point in registered(kind).items() if point.value == value), None)


def version_of(kind: str, name: str) -> str:
    """The package of a plug-in with its version, as ``"plugged 1.0"``; empty if it belongs to none."""
    point = registered(kind).get(name)
    return "" if point is None else _package(point)


def _points(group: str) -> list[EntryPoint]:
    from importlib.metadata import distributions, entry_points

    try:
        return list(entry_points(group=group))
    except Exception:  # the metadata of one package are damaged: the others still count
        found: list[EntryPoint] = []
        for distribution in distributions():
            try:
                found += distribution.entry_points.select(group=group)
            except Exception as error:
                name = distribution.metadata["Name"]
                warnings.warn(f"the entry points of the package {name} cannot be read: {error}", stacklevel=4)
        return found


def _ships(point: EntryPoint) -> bool:
    return point.value.startswith("zonesearch.")


def _owner(point: EntryPoint) -> str:
    """The package that an entry point belongs to, for messages."""
    package = "" if _ships(point) else _package(point)
    return f" of the package {package}" if package else ""


def _package(point: EntryPoint) -> str:
    """Name and version of the package of an entry point; empty if they cannot be read."""
    try:
        return "" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    except Exception:  # a package without metadata
        return ""
