"""The one reader of tables: plain data into the fields of a dataclass, checked by their types.

Types are those that :func:`typing.get_type_hints` gives, so that it does not matter whether a module postpones the
evaluation of annotations; values are converted by msgspec, strictly: a string is not a number, and true is no 1. What a
sentence of refusal needs stands here too: the place, the key and its nearest right one, the value, what was expected.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, Union

import msgspec
import numpy as np

from zonesearch.errors import StudyError, did_you_mean

__all__ = ["Readers", "as_table", "hints", "known", "laid_over", "read", "value"]

Readers = Mapping[Any, Callable[[Any, str], Any]]
"""By type what makes a value of it out of plain data, given the place for messages; raises StudyError or ValueError."""

Pairs = tuple[tuple[str, Any], ...]
"""How a table of arguments is kept in frozen settings: (name, value) by name."""

_SAID = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts", bool: "truth values"}


def hints(cls: Any) -> dict[str, Any]:
    """The types of the fields of a dataclass that may be given, by name; a type that cannot be found is Any."""
    return _hints(cls)


@cache
def _hints(cls: type) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    try:
        found = typing.get_type_hints(cls)
    except Exception:  # a name that exists for type checkers alone; the other fields still have their types
        found = {name: _hint(cls, name) for name in names}
    return {name: found.get(name, Any) for name in names}


def _hint(cls: type, name: str) -> Any:
    for base in cls.__mro__:
        annotation = vars(base).get("__annotations__", {}).get(name)
        if annotation is not None:
            alone = types.SimpleNamespace(__annotations__={name: annotation})
            try:
                return typing.get_type_hints(alone, vars(sys.modules[base.__module__]))[name]
            except Exception:
                return Any
    return Any


def read(
    cls: type,
    table: Mapping[str, Any],
    place: str,
    *,
    hidden: Collection[str] = (),
    extra: Iterable[str] = (),
    readers: Readers | None = None,
    error: type[Exception] = StudyError,
) -> dict[str, Any]:
    """The values of ``table`` as the fields of the dataclass ``cls`` want them.

    Args:
        cls: whose fields are the keys.
        table: plain data.
        place: for messages, as ``study.toml: [polish]``.
        hidden: fields that are no keys.
        extra: further keys to be named among the known ones; they are not expected in ``table``.
        readers: for types that are not plain data.
        error: what is raised.

    Raises:
        StudyError: naming the place, the key, its value and what was expected.
    """
    expected = {name: hint for name, hint in hints(cls).items() if name not in hidden}
    known(table, [*expected, *extra], place, error)
    return {key: value(expected[key], given, f"{place} {key}", readers, error) for key, given in table.items()}


def known(table: Mapping[str, Any], keys: Iterable[str], place: str, error: type[Exception] = StudyError) -> None:
    """Check the keys of a table.

    Raises:
        StudyError: for one that is not among ``keys``; names the nearest of them.
    """
    keys = list(keys)
    for key in table:
        if key not in keys:
            raise error(f'{place} has no key "{key}"; {did_you_mean(str(key), keys)}')


def as_table(given: Any, place: str) -> dict[str, Any]:
    """``given`` as a table.

    Raises:
        StudyError: it is none.
    """
    if not isinstance(given, Mapping):
        raise StudyError(f"{place} must be a table, not {given!r}")
    return dict(given)


def laid_over(tables: Mapping[str, Mapping[str, Any]], name: str, arm: Any) -> dict[str, Mapping[str, Any]]:
    """The tables of a study with those of an arm laid over them.

    Raises:
        StudyError: the arm is no table of tables, or sets the data.
    """
    if not isinstance(arm, Mapping) or not all(isinstance(table, Mapping) for table in arm.values()):
        raise StudyError(f'[arms.{name}] holds settings of other tables, such as training.schedule = "cosine"')
    for table in arm:
        if table in ("data", "arms"):
            raise StudyError(f"[arms.{name}] cannot set [{table}]: arms differ in how they train, on the same data")
    merged: dict[str, Mapping[str, Any]] = {key: table for key, table in tables.items() if key != "arms"}
    for table, settings in arm.items():
        merged[table] = {**merged.get(table, {}), **settings}
    return merged


def value(
    hint: Any, given: Any, place: str, readers: Readers | None = None, error: type[Exception] = StudyError
) -> Any:
    """``given`` as a value of the type ``hint``; as it is where the type is none that plain data can be checked by.

    Raises:
        StudyError: saying what was expected.
    """
    for kind, reader in (readers or {}).items():
        if hint is kind or (given is not None and kind in _members(hint)):
            try:
                return reader(given, place)
            except (TypeError, ValueError, AttributeError) as problem:
                if isinstance(problem, StudyError):
                    raise
                raise error(f"{place}: {problem}") from None
    if hint == Pairs and isinstance(given, Mapping):
        return tuple(sorted((str(name), _fixed(item, place, error)) for name, item in given.items()))
    if not _is_plain(hint):
        return given
    try:
        return msgspec.convert(_native(given), hint, strict=True)
    except (msgspec.ValidationError, ValueError):
        raise error(f"{place} must be {_said(hint)}, not {given!r}") from None


def _native(given: Any) -> Any:
    """``given`` with the numbers and texts of other libraries as Python's own."""
    if isinstance(given, np.generic):
        return given.item()
    if isinstance(given, list | tuple):
        return [_native(item) for item in given]
    for kind in (bool, int, float, str):
        if isinstance(given, kind):
            return kind(given)
    return given


def _members(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)


def _is_plain(hint: Any) -> bool:
    """Whether plain data can be checked by this type; of other types (functions, arrays) nothing is known here."""
    if hint in (Any, int, float, str, bool, None, type(None), ...):
        return True
    origin = typing.get_origin(hint) or hint
    if origin is Literal:
        return True
    collections = (list, tuple, dict, set, frozenset, Mapping, Sequence, Union, types.UnionType)
    return origin in collections and all(_is_plain(inner) for inner in typing.get_args(hint))


def _said(hint: Any) -> str:
    """What is expected, in words."""
    members = [member for member in _members(hint) if member is not type(None)]
    if len(members) > 1:
        return " or ".join(dict.fromkeys(map(_said, members)))
    hint = members[0]
    if hint in _SAID:
        return _SAID[hint]
    origin, inner = typing.get_origin(hint) or hint, [each for each in typing.get_args(hint) if each is not ...]
    if origin is Literal:
        return "one of " + ", ".join(f'"{word}"' for word in inner)
    if hint == Pairs:
        return "a table"
    if origin in (dict, Mapping):
        return "a table"
    if origin in (list, tuple, set, frozenset, Sequence):
        return "a list" + (f" of {_MANY[inner[0]]}" if len(set(inner)) == 1 and inner[0] in _MANY else "")
    return str(getattr(hint, "__name__", hint))


def _fixed(given: Any, place: str, error: type[Exception]) -> Any:
    """An argument as something that does not change: lists become tuples."""
    if isinstance(given, list | tuple):
        return tuple(_fixed(item, place, error) for item in given)
    if isinstance(given, Mapping):
        raise error(f"{place} may hold numbers, strings and lists of these, but not {dict(given)!r}")
    return given
