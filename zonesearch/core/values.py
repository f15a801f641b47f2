"""Values of hyperparameters: which are allowed, and when two are the same.

A value of a float axis has one canonical form: a decimal on a grid whose steps are between 1 and 2 billionths of the
value. So 0.1 is never 0.09999999999999999, however it was computed, and two values are either the same or differ by at
least a billionth of their size. A choice keeps its type: ``True``, ``1``, ``1.0``, ``"1"``, ``None`` and ``"None"`` are
six choices, although the first three are equal in Python. A list is a value too (the widths of layers); it is kept as a
tuple, so that it is hashable, and is a list in records and users' code.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = [
    "ChosenFloat",
    "Params",
    "Value",
    "canonical",
    "is_text",
    "order",
    "plain",
    "point",
    "same",
    "told_apart",
    "unwrapped",
]

Value = bool | int | float | str | tuple[Any, ...] | None
Params = Mapping[str, Value]

_STEP = 1.01e-9  # the smallest step of the canonical grid, relative to the value
_MANTISSAS = (1, 2, 4, 8, 10)  # steps of at most twice the smallest one, of which seven-digit decimals are multiples
_DEEPEST = 4  # nesting depth of lists
_SHORT = 9  # a float written in this many characters has at most seven digits


class ChosenFloat(float):
    """A whole-number float that is a choice beside the equal integer, such as 1.0 in ``[1, 1.0]``.

    Elsewhere 1.0 and 1 are the same value, as on a numeric axis. Only created by :class:`~zonesearch.core.axes.Choice`.
    """

    __slots__ = ()


def plain(value: object, depth: int = 0) -> Value:
    """A parameter value as a plain Python number, string, boolean or None (a NumPy number has a different repr), or as
    a tuple of these for a list.

    Raises:
        TypeError: it cannot be written in a record (objects, NaN, infinities).
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple) and depth < _DEEPEST:
        return tuple([plain(item, depth + 1) for item in value])
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError(f"a parameter must be a finite number, string, boolean or None, not {value!r}")
    if isinstance(value, str) and not is_text(value):
        raise TypeError(f"a text must be one that can be written, not {value!a}, which holds half of a character")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"a parameter must be a number, string, boolean, None or a list of these, not {type(value).__name__}"
    )


def is_text(value: str) -> bool:
    """Whether ``value`` can be encoded as UTF-8, unlike a lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def canonical(value: float) -> float:
    """The canonical form of a float: the nearest point of the grid (see the module)."""
    return value if len(repr(value)) <= _SHORT else _on_grid(value)


@lru_cache(maxsize=1 << 16)
def _on_grid(value: float) -> float:
    size = abs(value)
    if size < 1e-290:
        return 0.0 if size == 0 else value
    least = size * _STEP
    exponent = math.floor(math.log10(least))
    digits = least / 10.0**exponent
    if digits < 1 or digits > 10:  # the logarithm was rounded across a power of ten
        exponent += 1 if digits > 10 else -1
        digits = least / 10.0**exponent
    step = next(mantissa for mantissa in _MANTISSAS if digits <= mantissa * (1 + 1e-12))
    steps = round(size / (step * 10.0**exponent))
    return math.copysign(float(f"{steps * step}e{exponent}"), value)


def told_apart(value: object) -> Hashable:
    """A form that is equal for two values exactly if they are the same, unlike Python's ``==``.

    Floats are compared in canonical form, a whole-number float equals the integer, and a boolean is not a number.
    """
    kind = type(value)
    if kind is str or kind is int or value is None:
        return value
    if kind is float:
        return canonical(value)  # type: ignore[arg-type]
    if kind is tuple or kind is list:
        return "list", tuple([told_apart(item) for item in value])  # type: ignore[attr-defined]
    return kind.__name__, value


def same(a: object, b: object) -> bool:
    """Whether two values are the same, types included; ``1`` and ``1.0`` on a numeric axis are."""
    return told_apart(a) == told_apart(b)


def point(params: Params) -> tuple[tuple[str, Hashable], ...]:
    """``params`` in hashable form, independent of the order of names."""
    return tuple(sorted([(name, told_apart(value)) for name, value in params.items()], key=lambda item: item[0]))


def order(value: Value) -> tuple[Any, ...]:
    """A sorting key for values of mixed types: numbers and booleans, then strings, then None, then lists."""
    if isinstance(value, str):
        return (1, 0.0, value)
    if isinstance(value, tuple):
        return (3, 0.0, tuple([order(item) for item in value]))
    if value is None:
        return (2, 0.0, "")
    return (0, value, type(value).__name__ if isinstance(value, bool | ChosenFloat) else "")


def unwrapped(params: Params) -> dict[str, Any]:
    """``params`` for a user's code: plain Python values of their own types, lists as lists."""
    return {name: _own(value) for name, value in params.items()}


def _own(value: Value) -> Any:
    if isinstance(value, tuple):
        return [_own(item) for item in value]
    return float(value) if type(value) is ChosenFloat else value


def key_form(value: Value) -> Any:
    """The form of a value in a key: 1.0 and 1 are the same unless they are two choices."""
    if type(value) is ChosenFloat:
        return ["float", float(value)]
    if isinstance(value, tuple):
        return [key_form(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
