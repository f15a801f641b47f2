"""A study file for one setting from a search, to train it again, evaluate it anew, or search around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zonesearch.core.plugins import registered
from zonesearch.core.trials import Params
from zonesearch.errors import StudyError
from zonesearch.study.objectives import OBJECTIVE_TABLES
from zonesearch.study.recipe_settings import setting_of

__all__ = ["winner_study"]

_REPEATS = 5


def winner_study(tables: Mapping[str, Any], params: Params, *, name: str, repeats: int = 0, why: str = "") -> str:
    """The text of a study file with one cell, the setting ``params``, and a stage that repeats it.

    Each param is an axis with a single value, so that its trainings are those of the search, and the two runs can be
    merged.

    Args:
        tables: of the original study.
        params: the setting.
        name: of the new study.
        repeats: number of fresh seeds, two or more; by default five.
        why: a description of the setting, for the first line.

    Raises:
        StudyError: a study file cannot hold one of the values.
    """
    import tomli_w

    stages = {"compare", *registered("stages"), *tables.get("search", {}).get("stages", ())}
    made: dict[str, Any] = {"name": name, "seed": tables.get("seed", 0)}
    made["space"] = {axis: [_value(axis, value)] for axis, value in params.items()}
    kept = {
        key: table
        for key, table in tables.items()
        if key not in ("name", "seed", "space", "search", *(stages - set(OBJECTIVE_TABLES)))
    }
    for key, table in kept.items():
        if not isinstance(table, Mapping):
            made[key] = table
            continue
        taken = {setting for axis in params for place, setting in [setting_of(axis)] if place == key}
        made[key] = {setting: value for setting, value in table.items() if setting not in taken}
    arm = params.get("arm")
    if "arms" in made and arm in made["arms"]:
        made["arms"] = {arm: _without(made["arms"][arm], params)}
    search = {key: value for key, value in tables.get("search", {}).items() if key in ("reading", "level")}
    made["search"] = {"stages": ["compare"], **search}
    made["compare"] = {"repeats": max(2, repeats or _REPEATS)}
    said = f" {why}" if why else ""
    return (
        f"# One setting of a search:{said}. `zonesearch run` trains it with the seeds that judge finalists.\n"
        + tomli_w.dumps({key: table for key, table in made.items() if table != {} or key == "space"})
    )


def _without(arm: Mapping[str, Any], params: Params) -> dict[str, Any]:
    """An arm without the settings that are axes."""
    places = [setting_of(axis) for axis in params]
    return {
        table: {key: value for key, value in settings.items() if (table, key) not in places}
        for table, settings in arm.items()
    }


def _value(axis: str, value: Any) -> Any:
    if value is None:
        raise StudyError(f'a study file cannot hold the value None of the axis "{axis}"; write the study in Python')
    return value
