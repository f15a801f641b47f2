"""Compact tables of numbers and strings, decoded on access.

A run of 100,000 trials has millions of numbers in its curves, most of which are never used: as Python floats in tuples
they take four times the memory of their bytes. Data read from files are kept as bytes and converted on each access.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Curves", "Table"]


class Curves(Mapping[str, tuple[float, ...]]):
    """Curves by name, as an immutable mapping to tuples of floats; equal to a dict of the same tuples."""

    __slots__ = ("_numbers", "_places")

    def __init__(self, curves: Mapping[str, list[float]]) -> None:
        numbers = array("d")
        places, start = [], 0
        for name, values in curves.items():
            numbers.extend(values)
            places.append((name, start, len(numbers)))
            start = len(numbers)
        made = tuple(places)
        self._places = _KNOWN.setdefault(made, made) if len(_KNOWN) < _MOST_KNOWN else made
        self._numbers = numbers.tobytes()

    def __getitem__(self, name: str) -> tuple[float, ...]:
        for known, start, end in self._places:
            if known == name:
                return struct.unpack_from(f"{end - start}d", self._numbers, 8 * start)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _, _ in self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Curves) and self._numbers == other._numbers and self._places == other._places:
            return True
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Curves, (dict(self),)


_KNOWN: dict[Any, tuple[tuple[str, int, int], ...]] = {}
"""Interned names and lengths: a run's trials have only a few."""

_HEADS: dict[bytes, bytes] = {}
"""Interned beginnings of tables: where and with which versions something was trained, without the time."""

_MOST_KNOWN = 10_000


class Table(Mapping[str, Any]):
    """A table of plain values, kept as the JSON text from which it was read; equal to the corresponding dict.

    Args:
        text: a JSON object. Tables that differ only in their last member share the rest.
    """

    __slots__ = ("_head", "_tail")

    def __init__(self, text: bytes) -> None:
        head, comma, tail = text.rpartition(b", ")
        self._head = _HEADS.setdefault(head, head) if len(_HEADS) < _MOST_KNOWN else head
        self._tail = comma + tail

    @property
    def _text(self) -> bytes:
        return self._head + self._tail

    @property
    def _read(self) -> dict[str, Any]:
        table: dict[str, Any] = json.loads(self._text)
        return table

    def __getitem__(self, name: str) -> Any:
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of ``name``; the text is parsed only if it may contain the name."""
        if name.isalnum() and name.isascii() and b"\\" not in self._text and f'"{name}"'.encode() not in self._text:
            return default
        return self._read.get(name, default)

    def items(self) -> Any:
        """Names and values; parses the text once."""
        return self._read.items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Table) and self._text == other._text:
            return True
        return self._read == other if not isinstance(other, Table) else self._read == other._read

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._read)

    def __reduce__(self) -> tuple[Any, ...]:
        return Table, (self._text,)
