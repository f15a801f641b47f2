"""Widening an axis beyond its edge: its row grows by its own rule, up to its limits.

A doubling row continues to double, equal steps continue, and a given row continues by its last step on the axis' scale.
If the next value would exceed the limit, the limit is the last one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Literal

from zonesearch.core.axes import Axis, Number
from zonesearch.core.space import Space

__all__ = ["Side", "beyond", "has_limits", "widened", "widest"]

Side = Literal["low", "high"]

_LEAST = 0.25  # of a step: a limit closer than this to the last value does not become a value


def has_limits(space: Space) -> bool:
    """Whether any axis may be widened."""
    return any(isinstance(a, Axis) and (a.limit_low is not None or a.limit_high is not None) for a in space.axes)


def beyond(axis: Axis, side: Side, n: int) -> tuple[Number, ...]:
    """The values that ``n`` rounds add on one side, outwards; fewer or none if the limit is reached.

    A round adds one value, or two for a row with midpoints.
    """
    limit = axis.limit_low if side == "low" else axis.limit_high
    row = axis.row()
    if limit is None or len(row) < 2 or n < 1:
        return ()
    last, inner = (row[0], row[1]) if side == "low" else (row[-1], row[-2])
    least = _LEAST * abs(_place(axis, last) - _place(axis, inner))
    found: list[Number] = []
    for value in islice(_further(axis, side), 2 * n if axis.row_rule == "midpoints" else n):
        outside = value <= limit * (1 + 1e-9) if side == "low" else value >= limit * (1 - 1e-9)
        if side == "low" and limit <= 0:
            outside = value <= limit
        made = _allowed(axis, limit if outside else value, side)
        if axis.scale == "log" and made <= 0:
            break
        if abs(_place(axis, made) - _place(axis, found[-1] if found else last)) < least or made in (*found, last):
            break
        found.append(made)
        if outside:
            break
    return tuple(found)


def widened(space: Space, rounds: Mapping[tuple[str, Side], int]) -> Space:
    """``space`` with each axis widened by the given number of rounds on each side."""
    if not any(rounds.values()):
        return space
    axes = [
        _wider(axis, rounds.get((axis.name, "low"), 0), rounds.get((axis.name, "high"), 0))
        if isinstance(axis, Axis)
        else axis
        for axis in space.axes
    ]
    return replace(space, axes=tuple(axes))


def widest(space: Space, n: int) -> Space:
    """``space`` after ``n`` rounds on every side that has a limit."""
    sides: tuple[Side, Side] = ("low", "high")
    return widened(space, {(axis.name, side): n for axis in space.axes for side in sides})


def _wider(axis: Axis, below: int, above: int) -> Axis:
    lower, upper = beyond(axis, "low", below), beyond(axis, "high", above)
    if not lower and not upper:
        return axis
    row = (*lower[::-1], *axis.row(), *upper)
    return replace(axis, low=min(axis.low, row[0]), high=max(axis.high, row[-1]), row_rule=row)


def _further(axis: Axis, side: Side) -> Iterator[float]:
    """The values that the row's rule gives beyond its end, without limit."""
    row, rule = axis.row(), axis.row_rule
    up = side == "high"
    if isinstance(rule, str):
        last = row[-1] if up else row[0]
        if rule == "doubling":
            yield from (last * 2.0 ** (k if up else -k) for k in _counts())
        power = math.floor(math.log2(last / axis.low) + 1e-9)
        for k in range(10_000):
            bases = [axis.low * 2.0 ** (power + (k if up else -k)) * part for part in ((1, 1.5) if up else (1.5, 1))]
            yield from (value for value in bases if (value > last * (1 + 1e-9) if up else value < last * (1 - 1e-9)))
        return
    if isinstance(rule, int) and axis.step is None:
        near, last = (0.0, 1.0) if up else (1.0, 0.0)
        step = (last - near) / rule
        yield from (_value(axis, last + k * step) for k in _counts())
    near, last = (_place(axis, value) for value in ((row[-2], row[-1]) if up else (row[1], row[0])))
    yield from (_value(axis, last + k * (last - near)) for k in _counts())


def _counts() -> Iterator[int]:
    return iter(range(1, 10_000))


def _place(axis: Axis, value: Number) -> float:
    return axis.to_unit(value)


def _value(axis: Axis, place: float) -> float:
    """The value at a position outside the bounds."""
    if axis.scale == "log":
        return float(axis.low * (axis.high / axis.low) ** place)
    return axis.low + (axis.high - axis.low) * place


def _allowed(axis: Axis, value: float, side: Side) -> Number:
    """``value`` in the form of the wider axis: an integer, or a step within the limit."""
    if axis.step is not None:
        n = (value - axis.low) / axis.step
        value = axis.low + axis.step * (math.ceil(n - 1e-6) if side == "low" else math.floor(n + 1e-6))
    return round(value) if axis.integer else float(f"{value:.12g}")
