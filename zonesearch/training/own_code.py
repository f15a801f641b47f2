"""What a user may change under the same name: their own functions, plug-ins, and weights in a file.

Like the data, these are part of an experiment's identity by content: trials of an edited network never mix with earlier
ones.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from zonesearch.core.measured import is_own
from zonesearch.core.plugins import is_plug_in, load, version_of
from zonesearch.errors import ObjectiveError
from zonesearch.training.modules import modules_of
from zonesearch.training.networks.backbone import names_a_file, weights_file
from zonesearch.training.networks.factory import imported
from zonesearch.training.schedules.parsing import parse, ships
from zonesearch.training.settings import NETWORK_KINDS, Settings

__all__ = ["own_code", "plug_ins_among"]


def own_code(
    recipes: Iterable[Settings], schedules: Iterable[str] = (), tried: Iterable[tuple[str, str]] = ()
) -> dict[str, dict[str, str]]:
    """Digests of the user's own code and files that the settings name; empty if everything is built in.

    Args:
        recipes: the settings of each.
        schedules: as strings; those of plug-ins count too.
        tried: further plug-ins, as (kind, name).

    Returns:
        ``own_code``: a digest for each function (of its module) and file that is named; ``modules``: one for each
        module of the user's own behind these functions.

    Raises:
        ObjectiveError: one of them is missing.
    """
    found: dict[str, str] = {}
    modules: dict[str, str] = {}
    for settings in recipes:
        named = (
            ("[data] name", "", settings.data.name),
            ("[network] kind", "networks", settings.network.kind if settings.network.is_factory else ""),
            ("[data] collate", "", settings.data.collate),
            ("[training] loss", "", settings.training.loss),
            ("[training] metric", "metrics", settings.training.metric if is_own(settings.training.metric) else ""),
        )
        for where, kind, path in named:
            if ":" not in path and not (kind and path):
                continue
            function = imported(path, where, kind)
            if where != "[data] name":  # for data, the content counts
                found[path] = _code_of(function, kind, path)
                modules |= modules_of(function)
        weights = settings.network.weights
        if settings.network.kind == "backbone" and names_a_file(weights):
            found[weights] = _file_digest(weights_file(weights))
    plugged = {*tried, *(("schedules", name) for schedule in schedules for name in _plugged_in(schedule))}
    for kind, name in sorted(plugged):
        made_by = load(kind, name, f"the plug-in of {kind}")
        own = modules_of(made_by)
        modules |= own
        if kind != "schedules" or not own:  # an installed package, whose modules do not count individually
            found[name] = _code_of(made_by, kind, name)
    made = {"own_code": found, "modules": dict(sorted(modules.items()))}
    return {name: digests for name, digests in made.items() if digests}


def plug_ins_among(schedules: Iterable[str], networks: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The plug-ins among schedules (as strings) and kinds of networks, as (kind, name), ascending."""
    found = {("schedules", name) for schedule in schedules for name in _plugged_in(schedule)}
    found |= {("networks", kind) for kind in networks if is_plug_in("networks", kind, NETWORK_KINDS)}
    return tuple(sorted(found))


def _plugged_in(schedule: str) -> list[str]:
    """The names of plug-ins in a schedule; raises like :func:`parse`."""
    parse(schedule)  # its mistakes
    names = [node.id for node in ast.walk(ast.parse(schedule.strip(), mode="eval")) if isinstance(node, ast.Name)]
    return [name for name in names if not ships(name)]


def _code_of(function: Any, kind: str, name: str) -> str:
    """A digest of the module of ``function``; for a plug-in also its package and version."""
    parts = ("" if ":" in name else version_of(kind, name), _module_digest(function))
    return " ".join(part for part in parts if part)


def _module_digest(function: Callable[..., Any]) -> str:
    """A digest of the whole module, since a factory seldom contains its network; of an empty string if there is no
    source.
    """
    try:
        source = inspect.getsource(inspect.getmodule(function) or function)
    except (OSError, TypeError):
        source = ""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ObjectiveError(f"weights file {path} cannot be read: {error}") from None
