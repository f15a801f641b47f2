"""Reads tables of plain data into the fields of a dataclass, checking their types.

Types come from :func:`typing.get_type_hints`, so postponed annotations work; values are converted by msgspec, strictly:
a string is not a number, and true is not 1. Error messages give the place, the key and the closest valid one, the
value, and what was expected.
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
"""By type, a function from plain data and the place (for messages) to a value; raises StudyError or ValueError."""

Pairs = tuple[tuple[str, Any], ...]
"""A table of arguments in frozen settings: (name, value) pairs, sorted by name."""

_SAID = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts", bool: "truth values"}


def hints(cls: Any) -> dict[str, Any]:
    """The types of the settable fields of a dataclass, by name; a type that cannot be resolved is Any."""
    return _hints(cls)


@cache
def _hints(cls: type) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    try:
        found = typing.get_type_hints(cls)
    except Exception:  # a name that only exists for type checkers; the other fields still have their types
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
    """The values of ``table``, converted for the fields of the dataclass ``cls``.

    Args:
        cls: its fields are the keys.
        table: plain data.
        place: for messages, such as ``study.toml: [polish]``.
        hidden: fields that are not keys.
        extra: further keys to list as known; they are not expected in ``table``.
        readers: for types other than plain data.
        error: the exception class.

    Raises:
        StudyError: naming the place, the key, its value and what was expected.
    """
    expected = {name: hint for name, hint in hints(cls).items() if name not in hidden}
    known(table, [*expected, *extra], place, error)
    return {key: value(expected[key], given, f"{place} {key}", readers, error) for key, given in table.items()}


def known(table: Mapping[str, Any], keys: Iterable[str], place: str, error: type[Exception] = StudyError) -> None:
    """Check the keys of a table.

    Raises:
        StudyError: a key is not among ``keys``; names the closest one.
    """
    keys = list(keys)
    for key in table:
        if key not in keys:
            raise error(f'{place} has no key "{key}"; {did_you_mean(str(key), keys)}')


def as_table(given: Any, place: str) -> dict[str, Any]:
    """``given`` as a table.

    Raises:
        StudyError: it is not a table.
    """
    if not isinstance(given, Mapping):
        raise StudyError(f"{place} must be a table, not {given!r}")
    return dict(given)


def laid_over(tables: Mapping[str, Mapping[str, Any]], name: str, arm: Any) -> dict[str, Mapping[str, Any]]:
    """The tables of a study, overridden by those of an arm.

    Raises:
        StudyError: the arm is not a table of tables, or sets the data.
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
    """``given`` as a value of the type ``hint``; unchanged if plain data cannot be checked against that type.

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
    """``given`` with numbers and strings of other libraries converted to Python's own."""
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
    """Whether plain data can be checked against this type, as opposed to functions or arrays, say."""
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
    """An argument in immutable form: lists become tuples."""
    if isinstance(given, list | tuple):
        return tuple(_fixed(item, place, error) for item in given)
    if isinstance(given, Mapping):
        raise error(f"{place} may hold numbers, strings and lists of these, but not {dict(given)!r}")
    return given
