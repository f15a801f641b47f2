"""The objective of a run folder that names no code: such a run can be trained without its study file, whoever made it.

A run folder may come from a stranger. So its study is read as data, and refused if any setting of any recipe in it is a
path to code; in that case the user must name the study file, having read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zonesearch.core.trials import Params
from zonesearch.errors import StudyError
from zonesearch.run.begun import as_recorded, identity_of
from zonesearch.run.learning import as_learned
from zonesearch.run.storage.identity import differences
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.study.files import parse_study, read_study, read_tables
from zonesearch.study.objectives import OBJECTIVE_TABLES
from zonesearch.study.study import Study

if TYPE_CHECKING:
    from zonesearch.training.recipe import Recipe

__all__ = ["Trainable", "check_params", "function_of", "trainable"]

_PLACES = (("data", "root"), ("network", "weights"))
"""Settings in which a colon may be part of a file path."""


class Trainable:
    """A recipe that is safe to train here.

    Args:
        recipe: the objective.
        study: that it belongs to.
        tables: of its study file.
        is_users: whether the user named the study file, which may then name code.
    """

    def __init__(self, recipe: Recipe, study: Study, tables: Mapping[str, Any], is_users: bool) -> None:
        self.recipe, self.study, self.tables, self.is_users = recipe, study, tables, is_users


def function_of(folder: RunFolder, tables: Mapping[str, Any] | None) -> str | None:
    """The name of the objective's function ("" if it has none); None for a recipe.

    Args:
        folder: of the run.
        tables: of the study file, if there is one.
    """
    named = (tables or {}).get("objective", {})
    if isinstance(named, Mapping) and named.get("function"):
        return str(named["function"])
    described = folder.identity.get("objective", {})
    kind = str(described.get("objective", "pytorch")) if isinstance(described, Mapping) else ""
    return None if kind == "pytorch" else ""


def tables_of(folder: RunFolder, study: Path | None, replacements: Iterable[str]) -> Mapping[str, Any] | None:
    """The tables of a run's study file: the one that the user names, or the folder's own copy.

    A run that was started from Python has none; for a recipe, the tables then come from its identity.

    Raises:
        StudyError: a file that cannot be read.
    """
    if study is not None:
        return read_tables(study, replacements)
    if folder.study_text:
        try:
            return _parsed(folder.study_text)
        except StudyError:
            return None
    objective = folder.identity.get("objective")
    if not isinstance(objective, Mapping) or objective.get("objective") != "pytorch" or "arms" in objective:
        return None
    kept = {key: dict(value) for key, value in objective.items()
            if key in OBJECTIVE_TABLES and isinstance(value, Mapping)}  # fmt: skip
    space = dict(folder.settings.get("space", {}))
    metric = {} if "metric" not in folder.settings else {"metric": dict(folder.settings["metric"])}
    training = {**kept.get("training", {}), "epochs": folder.settings.get("epochs", 1)}
    return {"name": folder.name, "seed": folder.identity.get("seed", 0), "space": space, **kept,
            "training": training, **metric}  # fmt: skip


def _parsed(text: str) -> Mapping[str, Any]:
    from zonesearch.study.files import tables_in

    return tables_in(text, "its study file")


def trainable(
    folder: RunFolder, study: Path | None, replacements: Iterable[str], tables: Mapping[str, Any]
) -> Trainable:
    """The recipe of a run, checked to be the one that trained it.

    Args:
        folder: of the run.
        study: the study file that the user names; None for the folder's own description, which must not name code.
        replacements: of keys in it.
        tables: of the study file.

    Raises:
        StudyError: the folder's study names code, or the study is a different experiment than the run.
    """
    from zonesearch.training.recipe import Recipe

    if study is not None:
        known = read_study(study, replacements, recorded=True)
    else:
        kind = (
            tables.get("objective", {}).get("kind", "pytorch")
            if isinstance(tables.get("objective", {}), Mapping)
            else ""
        )
        if kind != "pytorch":
            raise _needs_study(folder, f'[objective] kind = "{kind}"')
        where = f"the study of {folder.path}"
        if folder.study_text:
            known = parse_study(folder.study_text, name=folder.name, where=where, recorded=True)
        else:
            known = Study.from_tables(tables, name=folder.name, where=where, recorded=True)
    known = as_learned(known, folder.path, reads=False)
    recipe = known.objective()
    if not isinstance(recipe, Recipe):
        raise StudyError(f"{folder.path}: only networks are trained here, not a {type(recipe).__name__}")
    if study is None:
        for each in (recipe, *recipe.arms.values()):
            _check(folder, each._settings)
    recipe, _ = as_recorded(known, recipe, folder.path)  # importing its parts to describe them: only after the check
    assert isinstance(recipe, Recipe)
    wanted = identity_of(known, recipe)
    changes = differences(folder.identity, wanted)
    if changes:
        what = f"study file {study}" if study is not None else "what would be trained here"
        raise StudyError(f"{what} is a different experiment from the run in {folder.path}: {'; '.join(changes)}")
    return Trainable(recipe, known, tables, study is not None)


def check_params(folder: RunFolder, given: Trainable, params: Params) -> None:
    """Refuse params that name code, unless the user has named the study file.

    Raises:
        StudyError: naming the setting.
    """
    if not given.is_users:
        _check(folder, given.recipe.settings_of(params)[0])


def _check(folder: RunFolder, settings: Any) -> None:
    for part in fields(settings):
        table = getattr(settings, part.name)
        for field in fields(table):
            value = getattr(table, field.name)
            if isinstance(value, str) and ":" in value and (part.name, field.name) not in _PLACES:
                raise _needs_study(folder, f'[{part.name}] {field.name} = "{value}"')


def _needs_study(folder: RunFolder, what: str) -> StudyError:
    return StudyError(f"the study of {folder.path} names code, {what}: name the study file yourself, --study FILE, "
                      "once you have read it")  # fmt: skip
