"""The parameters of a finished Optuna study as axes of a space.

The rows of the axes define a grid. Only a few values shared by several points make a row; a product of all values that
a sampler ever drew would be no grid and would exhaust memory. Ranges and choices that changed during the study are
merged.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from zonesearch.core.axes import Number, When
from zonesearch.core.space import AnyAxis, Axis, Choice, Space
from zonesearch.core.trials import Value, plain
from zonesearch.core.values import order, point, told_apart
from zonesearch.statistics.scattered import fills_grid

__all__ = ["parameter_value", "snapped", "space_of"]

_MOST_ROW = 64
"""An axis with more values than this never has a row."""
_FEW = 12
"""Up to this many values of an axis make a row even if the points do not form a grid."""
_STEPS = 4
"""Steps of the row given to an axis whose values do not make one: for figures, never for trainings."""
_EVEN = 3
"""Values of a single axis count as chosen deliberately if their steps differ by at most this factor."""
_SAME = 1e-9
"""Numbers whose relative difference is below this are one value (accumulated steps differ in the last digit)."""


@dataclass
class _Parameter:
    """One parameter as seen in the evaluations."""

    distributions: list[BaseDistribution] = field(default_factory=list)  # unique; the choices True and 1 are distinct
    values: dict[Hashable, Value] = field(default_factory=dict)  # by a key that distinguishes them


def space_of(evaluations: Sequence[FrozenTrial], points: Iterable[Mapping[str, Value]]) -> Space | None:
    """The space that ``evaluations`` searched: one axis for each parameter that any of them has.

    Args:
        evaluations: finished ones.
        points: the parameters of those with a value, as returned by :func:`parameter_value`.

    Returns:
        The space, with parameters in the order of their first suggestion; None if there are no parameters.
    """
    found: dict[str, _Parameter] = {}
    for evaluation in evaluations:
        for name, distribution in evaluation.distributions.items():
            parameter = found.setdefault(name, _Parameter())
            if not any(_alike(distribution, other) for other in parameter.distributions):
                parameter.distributions.append(distribution)
            value = parameter_value(evaluation.params[name])
            parameter.values.setdefault(told_apart(value), value)
    if not found:
        return None
    rows: dict[str, dict[Hashable, Value]] = {name: {} for name in found}
    points = list(points)
    different: set[Hashable] = set()
    complete = True
    for params in points:
        different.add(point(params))
        complete = complete and params.keys() == rows.keys()
        for name, value in params.items():
            rows[name].setdefault(told_apart(value), value)
    grid = complete and all(len(row) <= _MOST_ROW for row in rows.values())
    grid = grid and fills_grid((len(row) for row in rows.values()), len(different))
    moving = [name for name, row in rows.items() if len(row) > 1]
    if grid and len(moving) == 1:  # on a single axis any set of values is a full product
        grid = _deliberate(found[moving[0]], list(rows[moving[0]].values()))
    axes = []
    for name, parameter in found.items():
        row = list(rows[name].values())
        shared = len(row) <= _FEW and 2 * len(row) <= len(different)
        axes.append(_axis(name, parameter, row if row and (grid or shared) else None, grid))
    return Space(_with_conditions(axes, points))


def _with_conditions(axes: Sequence[AnyAxis], points: Sequence[Mapping[str, Value]]) -> tuple[AnyAxis, ...]:
    """The axes; each one that some points lack gets the condition that the points determine.

    They determine one if the values of exactly one other parameter separate all the points that have it from all
    that do not, and each of these values occurs at least twice: unique values would separate anything.
    """
    return tuple(
        axis if axis.name not in lacking else replace(axis, when=_condition(axis.name, axes, points))
        for lacking in [{a.name for a in axes if any(a.name not in p for p in points)}]
        for axis in axes
    )


def _condition(name: str, axes: Sequence[AnyAxis], points: Sequence[Mapping[str, Value]]) -> When:
    found: list[When] = []
    have = [p for p in points if name in p]
    lack = [p for p in points if name not in p]
    for other in axes:
        whole = isinstance(other, Choice) or bool(other.integer)
        if other.name == name or not whole or not have or not all(other.name in p for p in have):
            continue
        counts = Counter(told_apart(p[other.name]) for p in points if other.name in p)
        values = {told_apart(p[other.name]): p[other.name] for p in have}
        if min(counts.values()) > 1 and not any(told_apart(p[other.name]) in values for p in lack if other.name in p):
            found.append(((other.name, tuple(sorted(values.values(), key=order))),))
    return found[0] if len(found) == 1 else ()


def _axis(name: str, parameter: _Parameter, row: Sequence[Value] | None, grid: bool) -> AnyAxis:
    distributions = parameter.distributions
    numeric = [d for d in distributions if isinstance(d, FloatDistribution | IntDistribution)]
    if len(numeric) < len(distributions):
        choices = [c for d in distributions if isinstance(d, CategoricalDistribution) for c in d.choices]
        values = {told_apart(value): value for value in [*map(parameter_value, choices), *parameter.values.values()]}
        if grid and row is not None:  # on a grid, only the choices that occur
            has = set(map(told_apart, row))
            values = {told: value for told, value in values.items() if told in has}
        return Choice(name, tuple(values.values()))
    tried = [value for value in parameter.values.values() if isinstance(value, int | float)]
    low, high = min([*(d.low for d in numeric), *tried]), max([*(d.high for d in numeric), *tried])
    whole = all(isinstance(d, IntDistribution) for d in numeric)
    scale: Any = "log" if numeric[-1].log and low > 0 else "linear"
    numbers = _different([value for value in row or () if isinstance(value, int | float)])
    steps = {d.step for d in numeric}
    step = steps.pop() if len(steps) == 1 and {d.low for d in numeric} == {low} else None
    if step is not None and not (whole and step == 1) and high > low:
        stepped = Axis(name, low, high, scale, whole, _STEPS, step)
        if all(map(stepped.contains, tried)):
            return replace(stepped, row_rule=tuple(numbers) or _STEPS)
    return Axis(name, low, high, scale, whole, tuple(numbers) or _STEPS)


def _alike(a: BaseDistribution, b: BaseDistribution) -> bool:
    """Whether two distributions are the same; Python compares the choices ``True`` and ``1`` as equal."""
    if isinstance(a, CategoricalDistribution) and isinstance(b, CategoricalDistribution):
        return list(map(_told, a.choices)) == list(map(_told, b.choices))
    return a == b


def _told(choice: object) -> Hashable:
    return told_apart(parameter_value(choice))


def _deliberate(parameter: _Parameter, values: Sequence[Value]) -> bool:
    """Whether the values of a parameter are regular steps rather than draws of a sampler from a range."""
    distributions = parameter.distributions
    if not all(isinstance(d, FloatDistribution) and d.step is None for d in distributions):
        return True
    log = distributions[-1].log  # type: ignore[attr-defined]
    places = sorted(math.log(value) if log else value for value in values if isinstance(value, int | float))
    steps = [b - a for a, b in pairwise(places)]
    return max(steps) <= _EVEN * min(steps)


def _different(values: Sequence[Number]) -> list[Number]:
    """The unique numbers, up to rounding, in ascending order."""
    kept: list[Number] = []
    for value in sorted(values):
        if not kept or abs(value - kept[-1]) > _SAME * max(abs(value), abs(kept[-1])):
            kept.append(value)
    return kept


def snapped(space: Space, params: Mapping[str, Value]) -> dict[str, Value]:
    """``params`` with each number that equals a row value up to rounding replaced by that row value."""
    found = dict(params)
    for axis in space.axes:
        value = found.get(axis.name)
        if isinstance(axis, Axis) and isinstance(value, float) and isinstance(axis.row_rule, tuple):
            near = min(axis.row(), key=lambda other: abs(other - value))
            if abs(near - value) <= _SAME * max(abs(near), abs(value)):
                found[axis.name] = near
    return found


def parameter_value(value: object) -> Value:
    """A parameter in the form in which it is stored; Optuna also accepts objects in categoricals, and non-finite
    numbers.
    """
    if isinstance(value, list | tuple) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    try:
        return plain(value)
    except TypeError:
        return str(value)
