"""Tables of many numbers or words that take little memory until somebody looks at them.

A run of 100,000 trials holds millions of numbers in its curves, most of which nobody asks for: as Python floats in
tuples they take four times the memory of the bytes that they are made of. What is read from files is kept as bytes,
and made into numbers each time it is asked for.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Curves", "Table"]


class Curves(Mapping[str, tuple[float, ...]]):
    """Curves by name, as a mapping to tuples of floats that never changes; equal to a dict of the same tuples."""

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
"""The names and lengths seen so far: those of the trials of one run are few."""

_HEADS: dict[bytes, bytes] = {}
"""The beginnings of tables seen so far: where and with what something was trained, all but when."""

_MOST_KNOWN = 10_000


class Table(Mapping[str, Any]):
    """A table of plain values, kept as the JSON text that it was read from; equal to the dict that it stands for.

    Args:
        text: a JSON object. Of many that differ in nothing but their last member the rest is kept once.
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
        """The value of ``name``; the text is read only where it may hold that."""
        if name.isalnum() and name.isascii() and b"\\" not in self._text and f'"{name}"'.encode() not in self._text:
            return default
        return self._read.get(name, default)

    def items(self) -> Any:
        """Names and values; reads the text once."""
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
