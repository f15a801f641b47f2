"""Whether something holds at every point of a space, if it depends on the values of a few axes.

Most axes do not matter for a question such as whether momentum is used. Those that do are found by tracking which
values the question looks up; these axes, and those that decide whether they apply, are enumerated. A numeric axis is
represented by its row, its bounds and its limits. Only constraints on these axes and on choices are considered: a
search may try other values than those of the grid, and nothing must be ruled out by mistake.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

from zonesearch.core.space import AnyAxis, Axis, Choice, Space
from zonesearch.core.values import Value, told_apart

__all__ = ["Point", "reason_everywhere"]

_MOST = 20_000
"""The most points to check; if there are more, the answer is that it does not hold everywhere."""


@dataclass(frozen=True)
class Point:
    """A point of a space with known values on some axes.

    Args:
        space: of the point.
        known: axes with a known value, or known not to apply.
        params: the known values, without axes that do not apply.
        asked: unknown axes that were looked up, so that the answer at this point is not determined yet.
    """

    space: Space
    known: frozenset[str] = frozenset()
    params: Mapping[str, Value] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def values(self, name: str) -> list[Value] | None:
        """The possible values of an axis here: one if it is known; None if there is no such axis or it is inactive."""
        if name not in self.space.names:
            return None
        if name in self.known:
            return [self.params[name]] if name in self.params else None
        self.asked.add(name)
        return _values(self.space, self.space[name])


def reason_everywhere(
    space: Space, reason: Callable[[Point], str], axis: str = "", held: Mapping[str, Value] | None = None
) -> tuple[str, frozenset[str]]:
    """The reason for something, if it holds at every point of a space.

    Args:
        space: any space.
        reason: returns the reason at a point, or an empty string if it does not hold there.
        axis: only points where this axis applies count, whatever its value.
        held: axes fixed to a value.

    Returns:
        The reason, empty if it does not hold somewhere, and the axes that it depends on.
    """
    held = held or {}
    wanted = {name for name in held if name in space.names}
    if axis:
        wanted |= _with_conditions(space, {axis}) - {axis}
    while True:
        wanted = _with_constraints(space, wanted)
        known = frozenset(wanted)
        rows = [[held[name]] if name in held else _values(space, space[name]) for name in sorted(known)]
        if math.prod(map(len, rows)) > _MOST:
            return "", known
        points = [Point(space, known, params) for params in _allowed(space, sorted(known), rows, axis)]
        reasons = [reason(point) for point in points]
        more = {name for point in points for name in point.asked} - known - {axis}
        if not more:
            break
        wanted |= more
    if not reasons or not all(reasons):
        return "", known
    return reason(Point(space)) or ", and ".join(list(dict.fromkeys(reasons))[:2]), known


def _allowed(space: Space, names: list[str], rows: list[list[Value]], axis: str) -> Iterator[dict[str, Value]]:
    """The combinations of values of the axes ``names``, without axes that do not apply."""
    rules = [rule for rule in space.constraints if set(rule.names) <= set(names) and _of_choices(space, rule.names)]
    seen = set()
    for values in product(*rows):
        params = space.bare(dict(zip(names, values, strict=True)))
        told = tuple(told_apart(params[name]) if name in params else ... for name in names)
        if told in seen:
            continue
        seen.add(told)
        applies = not axis or space[axis] in space.active(params)
        if applies and all(rule.holds(params) for rule in rules):
            yield params


def _with_conditions(space: Space, names: set[str]) -> set[str]:
    """The axes and those that decide whether they apply."""
    found, left = set[str](), list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [other for other, _ in space[name].when]
    return found


def _with_constraints(space: Space, names: set[str]) -> set[str]:
    """The axes and all choices that are in a constraint with them."""
    found = _with_conditions(space, names)
    while True:
        more = {
            name
            for rule in space.constraints
            if found & set(rule.names) and _of_choices(space, rule.names)
            for name in rule.names
        }
        larger = _with_conditions(space, found | more)
        if larger == found:
            return found
        found = larger


def _of_choices(space: Space, names: tuple[str, ...]) -> bool:
    return all(isinstance(space[name], Choice) for name in names)


def _values(space: Space, axis: AnyAxis) -> list[Value]:
    """Values that represent all cases of an axis."""
    found = list(axis.row())
    if isinstance(axis, Axis):
        found += [value for value in (axis.low, axis.high, axis.limit_low, axis.limit_high) if value is not None]
        found += [value for other in space.axes for name, values in other.when if name == axis.name for value in values]
    return list({told_apart(value): value for value in found}.values())
