"""What a user may change under the same name: the modules of functions of their own, and weights in a file.

Both belong to the identity of an experiment, by content, as the data do: trials of an edited network never mix with
those of the one before.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable
from pathlib import Path

from zonesearch.errors import ObjectiveError
from zonesearch.training.networks.backbone import names_a_file
from zonesearch.training.networks.factory import imported
from zonesearch.training.settings import Settings

__all__ = ["own_code"]


def own_code(recipes: Iterable[Settings]) -> dict[str, str]:
    """A digest for each function and file that the settings name; empty where all is built in.

    Raises:
        ObjectiveError: one of them is not there.
    """
    found: dict[str, str] = {}
    for settings in recipes:
        for where, path in (("[network] kind", settings.network.kind), ("[training] metric", settings.training.metric)):
            if ":" in path:
                found[path] = _module_digest(path, where)
        weights = settings.network.weights
        if settings.network.kind == "backbone" and names_a_file(weights):
            found[weights] = _file_digest(Path(weights).expanduser())
    return found


def _module_digest(path: str, where: str) -> str:
    """Of the whole module, since a factory seldom holds its network itself; of nothing where there is no source."""
    function = imported(path, where)
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
