"""Stages from plain tables, and back.

A stage is a frozen dataclass; the keys of its table are its fields, except those that belong to the whole study. So a
plug-in's stage needs no code here to be used in a study file.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_args

from zonesearch.core import tables
from zonesearch.core.calls import call_text, parse_call
from zonesearch.core.plugins import load, name_of, registered
from zonesearch.core.reading import Reading
from zonesearch.core.seeds import Seeds
from zonesearch.core.space import Space
from zonesearch.errors import StudyError
from zonesearch.search.budget import Budget
from zonesearch.search.lines.method import LineMethod
from zonesearch.search.stage import Stage

__all__ = ["READERS", "as_begun_with", "as_it_was", "build_stage", "describe_stage", "spending", "with_places"]

_OF_THE_STUDY = ("space", "name")
_MOST_SEARCHED = 300
"""The most trainings that a budget gives to a search without an end of its own; beyond that, more seeds are more
useful.
"""


def _line_method(given: Any, place: str) -> Any:
    if not isinstance(given, str):
        if not callable(getattr(given, "propose", None)):
            raise StudyError(f"{place} must be the name of a line method, not {given!r}")
        return given
    name, args, named = parse_call(given)
    return load("lines", name, place)(*args, **named)


def _reading(given: Any, place: str) -> Reading:
    return given if isinstance(given, Reading) else Reading.parse(given)


def _seeds(given: Any, place: str) -> Seeds:
    try:
        return Seeds.parse(given)
    except StudyError as error:
        raise StudyError(f"{place.removesuffix('seeds').strip()} {error}") from None


READERS: tables.Readers = {Reading: _reading, LineMethod: _line_method, Seeds: _seeds}
"""Types of keys in a study file other than plain data."""


def build_stage(name: str, table: Mapping[str, Any], common: Mapping[str, Any], where: str) -> Stage:
    """The stage that ``table`` describes.

    Args:
        name: of the table; also the kind of stage unless the table has a ``kind``.
        table: the settings.
        common: settings of the whole study (space, epochs, seeds, reading, ...), for fields of these names.
        where: the study file, for messages.

    Raises:
        StudyError: naming the file, the table, the key and the closest valid one.
    """
    settings = dict(table)
    kind = settings.pop("kind", name)
    if not isinstance(kind, str):
        raise StudyError(f"{where}: [{name}] kind must be a string, not {kind!r}")
    stage: Any = load("stages", kind, f"{where} [{name}]")
    if not (isinstance(stage, type) and dataclasses.is_dataclass(stage)):
        raise StudyError(f'{where}: [{name}] the stage "{kind}" is not a dataclass (its fields are the table keys)')
    expected = tables.hints(stage)
    shared = {key: value for key, value in {**common, "name": name}.items() if key in expected}
    if isinstance(shared.get("seeds"), Seeds) and Seeds not in (expected["seeds"], *get_args(expected["seeds"])):
        shared["seeds"] = shared["seeds"].first  # a stage with the same number of seeds for all points
    make: Any = stage
    try:
        settings = tables.read(
            stage, settings, f"{where}: [{name}]", hidden=_OF_THE_STUDY, extra=("kind",), readers=READERS
        )
    except StudyError as error:
        raise _own_words(make, {**shared, **settings}, where) or error from None
    try:
        built: Stage = make(**{**shared, **settings})
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from None
    except (TypeError, ValueError) as error:
        raise StudyError(f"{where}: [{name}] {error}") from None
    return built


def as_it_was(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table of a stage as a run stores it, with what was the rule before a setting existed that it lacks.

    A stage names such rules in ``formers``, so that the results of old runs stay what they were.
    """
    kind = table.get("kind", table.get("name"))
    stage = load("stages", kind, "a run") if isinstance(kind, str) and kind in registered("stages") else None
    return {**getattr(stage, "formers", {}), **table}


def spending(stage: Stage, table: Mapping[str, Any], budget: Budget | None) -> Stage:
    """The stage within a budget: if the user did not set ``n_trainings``, it may use everything that it is given.

    Args:
        stage: built from ``table``.
        budget: of the whole study; None leaves the stage unchanged.
    """
    fields: set[str] = {field.name for field in dataclasses.fields(stage)} if dataclasses.is_dataclass(stage) else set()
    if budget is None or "n_trainings" not in fields or "n_trainings" in table:
        return stage
    more: Any = {"n_trainings": max(_paid(stage, budget), stage.n_trainings)}  # type: ignore[attr-defined]
    if "batch" in fields and "batch" not in table:
        more["batch"] = _batch(stage, budget)
    try:
        larger: Stage = dataclasses.replace(stage, **more)  # type: ignore[type-var]
    except (StudyError, ValueError):  # a stage with a limit of its own
        return stage
    return larger


def _paid(stage: Stage, budget: Budget) -> int:
    """The number of trainings of the stage's length that the whole budget pays for."""
    price = getattr(stage, "epochs", 1) if budget.unit == "epochs" else 1
    return _MOST_SEARCHED if budget.unit == "seconds" else min(_MOST_SEARCHED, int(budget.amount // price))


def _batch(stage: Any, budget: Budget) -> int:
    """The size of a round: with few trainings, a round of four would be half of the search."""
    began = budget
    if budget.after and getattr(stage, "keeps_batch", False):
        began = dataclasses.replace(budget, amount=budget.after[0])
    usual: int = next(field.default for field in dataclasses.fields(stage) if field.name == "batch")  # type: ignore[assignment]
    return max(1, min(usual, _paid(stage, began) // 10))


def as_begun_with(stage: Stage, before: Budget, now: Budget, given: Collection[str] = ()) -> Stage:
    """The stage of a run that continues with another budget, as far as the budgets determined its settings: the rounds
    that it began with, if its search replays them, and the trainings that the largest budget pays for, so that a
    lowered one replays what was trained.

    Args:
        stage: built within the budget ``before``.
        now: the same budget, which knows those that came before it.
        given: the settings of the stage that the study itself has.
    """
    kept = stage
    if getattr(stage, "keeps_batch", False) and getattr(stage, "batch", None) == _batch(stage, before):
        kept = dataclasses.replace(stage, batch=_batch(stage, now))  # type: ignore[type-var]
    n_trainings = getattr(stage, "n_trainings", None)
    if n_trainings is None or "n_trainings" in given or n_trainings != max(_paid(stage, before), _usual(stage)):
        return kept
    return spending(kept, {"batch": None}, dataclasses.replace(now, amount=max(now.amount, *now.after, 0)))


def _usual(stage: Stage) -> int:
    """The number of trainings that a search takes without a budget."""
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(stage) if dataclasses.is_dataclass(stage) else ()
    return next((field.default for field in fields if field.name == "n_trainings" and type(field.default) is int), 0)


def with_places(stage: Stage, folder: Path | None = None) -> Stage:
    """The stage with the paths in its ``learn_from`` resolved relative to ``folder``.

    Args:
        stage: any stage.
        folder: of the study file; None for the working directory. An address NAME://... is unchanged.
    """
    named = getattr(stage, "learn_from", ())
    if not named or not dataclasses.is_dataclass(stage):
        return stage
    home = (folder or Path()).absolute()
    places = tuple(run if "://" in run else os.path.normpath(home / Path(run).expanduser()) for run in named)
    placed: Stage = dataclasses.replace(stage, learn_from=places)
    return placed


def _own_words(make: Any, settings: Mapping[str, Any], where: str) -> StudyError | None:
    """A stage's own error for a list with items of the wrong type, which is more specific."""
    lists = {key: tuple(value) for key, value in settings.items() if isinstance(value, list)}
    if lists:
        try:
            make(**{**settings, **lists})
        except StudyError as error:
            return StudyError(f"{where}: {error}")
        except Exception:
            return None
    return None


def describe_stage(stage: Stage) -> dict[str, Any]:
    """The stage as a table that :func:`build_stage` reads, with its ``kind`` and ``name``.

    The kind of an unregistered class is its import path, which informs readers but is never imported from a file.
    """
    cls = type(stage)
    described: dict[str, Any] = {"kind": name_of("stages", cls) or f"{cls.__module__}:{cls.__qualname__}"}
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(stage) if dataclasses.is_dataclass(stage) else ()
    for field in fields:
        if field.name != "space" and field.init:
            described[field.name] = _plain(getattr(stage, field.name))
    return described


def _plain(value: Any) -> Any:
    if isinstance(value, Seeds):
        return value.describe()
    if isinstance(value, Reading | Space):
        return str(value) if isinstance(value, Reading) else value.describe()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return call_text(name_of("lines", type(value)) or type(value).__qualname__, value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if isinstance(value, bool | int | float | str | None) else repr(value)
