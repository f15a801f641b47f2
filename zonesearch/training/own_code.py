"""What a user may change under the same name: the modules of functions of their own, and weights in a file.

Both belong to the identity of an experiment, by content, as the data do: trials of an edited network never mix with
those of the one before.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from zonesearch.errors import ObjectiveError
from zonesearch.training.modules import modules_of
from zonesearch.training.networks.backbone import names_a_file, weights_file
from zonesearch.training.networks.factory import imported
from zonesearch.training.schedules import parse
from zonesearch.training.schedules.foreign import Foreign
from zonesearch.training.settings import Settings

__all__ = ["own_code"]


def own_code(recipes: Iterable[Settings], schedules: Iterable[str] = ()) -> dict[str, dict[str, str]]:
    """What the settings name of the user's own: nothing where all is built in.

    Args:
        recipes: their settings.
        schedules: as text; those of plug-ins count too.

    Returns:
        ``own_code``: a digest for each function (of its module) and file that is named; ``modules``: one for each
        module of the user's own behind these functions.

    Raises:
        ObjectiveError: one of them is not there.
    """
    found: dict[str, str] = {}
    modules: dict[str, str] = {}
    for settings in recipes:
        named = (
            ("[data] name", settings.data.name),
            ("[network] kind", settings.network.kind),
            ("[data] collate", settings.data.collate),
            ("[training] metric", settings.training.metric),
            ("[training] loss", settings.training.loss),
        )
        for where, path in named:
            if ":" not in path:
                continue
            function = imported(path, where)
            if where != "[data] name":  # of data the content counts
                found[path] = _module_digest(function)
                modules |= modules_of(function)
        weights = settings.network.weights
        if settings.network.kind == "backbone" and names_a_file(weights):
            found[weights] = _file_digest(weights_file(weights))
    for schedule in schedules:
        modules |= modules_of(_written(schedule))
    made = {"own_code": found, "modules": dict(sorted(modules.items()))}
    return {name: digests for name, digests in made.items() if digests}


def _written(schedule: str) -> type:
    """The class of a schedule; of one that a plug-in made in its own way, the plug-in's."""
    made = parse(schedule)
    return type(made.inner) if isinstance(made, Foreign) else type(made)


def _module_digest(function: Callable[..., Any]) -> str:
    """Of the whole module, since a factory seldom holds its network itself; of nothing where there is no source."""
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
