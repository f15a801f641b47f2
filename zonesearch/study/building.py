"""Stages from plain tables, and back.

A stage is a frozen dataclass; the keys of its table are its fields, except those that belong to the whole study. So a
plug-in stage needs no code here to be written in a study file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from zonesearch.domain.calls import call_text, parse_call
from zonesearch.domain.reading import Reading
from zonesearch.domain.seeds import Seeds
from zonesearch.domain.space import Space
from zonesearch.errors import StudyError, ZoneSearchError, did_you_mean
from zonesearch.stages.stage import Stage
from zonesearch.study.plugins import load, name_of

__all__ = ["build_stage", "describe_stage"]

_OF_THE_STUDY = ("space", "name")
_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def build_stage(name: str, table: Mapping[str, Any], common: Mapping[str, Any], where: str) -> Stage:
    """The stage that ``table`` describes.

    Args:
        name: of the table; also the kind of stage unless the table has a ``kind``.
        table: the settings.
        common: settings of the whole study (space, epochs, seeds, reading, ...), for the fields that bear these names.
        where: the study file, for messages.

    Raises:
        StudyError: naming the file, the table, the key and the nearest right one.
    """
    settings = dict(table)
    kind = settings.pop("kind", name)
    stage = load("stages", kind, f"{where} [{name}]")
    fields = {field.name: field for field in dataclasses.fields(stage) if field.init}
    for key in settings:
        if key not in fields or key in _OF_THE_STUDY:
            known = [field for field in fields if field not in _OF_THE_STUDY] + ["kind"]
            raise StudyError(f'{where}: [{name}] has no key "{key}"; {did_you_mean(key, known)}')
    settings = {key: _value(fields[key], value, f"{where}: [{name}] {key}") for key, value in settings.items()}
    shared = {key: value for key, value in {**common, "name": name}.items() if key in fields}
    if isinstance(shared.get("seeds"), Seeds) and "Seeds" not in str(fields["seeds"].type):
        shared["seeds"] = shared["seeds"].first  # a stage that gives all its points the same number
    try:
        built: Stage = stage(**{**shared, **settings})
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from None
    except (TypeError, ValueError) as error:
        raise StudyError(f"{where}: [{name}] {error}") from None
    return built


def describe_stage(stage: Stage) -> dict[str, Any]:
    """The stage as a table that :func:`build_stage` reads, with its ``kind`` and ``name``.

    A class that is registered nowhere gives its import path as kind, which tells a reader what it was but is not
    imported from a file.
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


def _value(field: dataclasses.Field[Any], value: Any, where: str) -> Any:
    """A TOML value as the field wants it."""
    try:
        if field.type == "Reading":
            return Reading.parse(value)
        if field.type == "LineMethod":
            name, args, named = parse_call(value)
            return load("lines", name, where)(*args, **named)
    except ZoneSearchError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise StudyError(f"{where}: {error}") from None
    wanted = str(field.type).removesuffix(" | None")
    if wanted in _TYPES:
        right = isinstance(value, _TYPES[wanted]) and (wanted == "bool" or not isinstance(value, bool))
        if not right and not (value is None and str(field.type).endswith("| None")):
            raise StudyError(f"{where} must be {_said(wanted)}, not {value!r}")
    if wanted.startswith("tuple"):
        if not isinstance(value, list | tuple):
            raise StudyError(f"{where} must be a list, not {value!r}")
        return tuple(value)
    return value


def _said(wanted: str) -> str:
    return {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}[wanted]
