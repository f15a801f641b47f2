"""Axes: one hyperparameter each, with its range and scale.

The *row* of an axis holds the values of the coarse grid: doubling, doubling with midpoints, a number of equal steps on
the axis' own scale, or a given list. All distances are measured on the scale: halfway between 64 and 256 on a log axis
is 128. Values of a float axis are created in one place only, :meth:`Axis._exact`, so that each has a unique form (see
:mod:`zonesearch.core.values`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

from zonesearch.core.beliefs import Belief
from zonesearch.core.roles import check_role
from zonesearch.core.values import ChosenFloat, Value, canonical, plain, same, told_apart
from zonesearch.errors import SpaceError

__all__ = ["AnyAxis", "Axis", "Choice", "Number", "Row"]

_NEAR = 1.01e-9  # relative to a bound or listed value: anything closer counts as that value
_OFF = 1e-7  # relative to a step: anything closer counts as that step
_ZERO = 1e-12  # relative to the larger bound: what rounding leaves of 0 on a linear axis

Number = int | float
Row = Literal["doubling", "midpoints"] | int | Sequence[Number]

When = tuple[tuple[str, tuple[Value, ...]], ...]
"""The values of other axes at which an axis applies."""


def read_when(name: str, given: Any) -> When:
    """The condition of the axis ``name``: of ``{"opt": "sgd"}`` or ``{"opt": ["sgd", "rmsprop"]}``.

    Raises:
        SpaceError: it is not a table of values.
    """
    if isinstance(given, tuple) and all(isinstance(item, tuple) and len(item) == 2 for item in given):
        return given
    if not isinstance(given, Mapping) or not given:
        raise SpaceError(f'axis "{name}": when must be a table such as {{opt = "sgd"}}, not {given!r}')
    found = []
    for other, values in given.items():
        several = values if isinstance(values, list | tuple) else [values]
        if not several:
            raise SpaceError(f'axis "{name}": when does not name a value of {other}')
        try:
            found.append((str(other), tuple(plain(value) for value in several)))
        except TypeError as error:
            raise SpaceError(f'axis "{name}": when: {error}') from None
    return tuple(found)


def said_when(when: When) -> dict[str, Any]:
    """The condition in a form that :func:`read_when` reads; empty if there is none."""
    said = {other: values[0] if len(values) == 1 else list(values) for other, values in when}
    return {"when": said} if said else {}


@dataclass(frozen=True)
class Axis:
    """A numeric hyperparameter.

    Args:
        name: the name of the parameter.
        low, high: the bounds, ``low <= high`` (equal bounds make an axis of one point).
        scale: ``linear`` or ``log`` (then ``low > 0``).
        integer: whether values are integers; by default if both bounds are.
        row_rule: ``doubling`` (low, 2 low, 4 low, ...), ``midpoints`` (the same with midpoints in between), a number n
            of equal steps on the scale (n + 1 values including both bounds), or the values themselves.
        step: the axis has only the values ``low``, ``low + step``, ``low + 2 step``, ...; the last one that is not
            above ``high`` is the upper bound. None for all values.
        limit_low, limit_high: how far the axis may be widened if a peak lies on its edge; None for not at all (see
            :mod:`zonesearch.core.widening`).
        when: the axis applies only if other axes have these values: a table with a value or a list of values for each;
            by default it always applies.
        prior: the user's belief about it (:class:`~zonesearch.core.beliefs.Belief`, or such a table); None for no
            belief.
        role: what it does in a training (:mod:`zonesearch.core.roles`); empty derives it from the name.

    Raises:
        SpaceError: bounds, scale and row are inconsistent; the message names the axis.
    """

    name: str
    low: Number
    high: Number
    scale: Literal["linear", "log"] = "linear"
    integer: bool | None = None
    row_rule: Row = "doubling"
    step: Number | None = None
    limit_low: Number | None = None
    limit_high: Number | None = None
    when: When = ()
    prior: Belief | None = None
    role: str = ""

    def __post_init__(self) -> None:
        for rim, value in (("low", self.low), ("high", self.high)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise SpaceError(f'axis "{self.name}": {rim} must be a finite number, not {value!r}')
        if self.low > self.high:
            raise SpaceError(f'axis "{self.name}": low must not exceed high, but {self.low} > {self.high}')
        if self.scale not in ("linear", "log"):
            raise SpaceError(f'axis "{self.name}": scale is "linear" or "log", not {self.scale!r}')
        if self.scale == "log" and self.low <= 0:
            raise SpaceError(f'axis "{self.name}": a log scale needs low > 0, not {self.low}')
        if self.integer is None:
            whole = isinstance(self.low, int) and isinstance(self.high, int) and isinstance(self.step, int | None)
            object.__setattr__(self, "integer", whole)
        if self.step is not None:
            object.__setattr__(self, "high", self._last_step())
        if not isinstance(self.row_rule, str | int):
            object.__setattr__(self, "row_rule", tuple(self.row_rule))
        object.__setattr__(self, "when", read_when(self.name, self.when))
        self.row()
        self._check_limits()
        if self.prior is not None:
            object.__setattr__(self, "prior", Belief.parse(self.name, self.prior))
            self.prior.check(self.name, self.low, self.high, self.scale == "log")
        if not isinstance(self.role, str):
            raise SpaceError(f'axis "{self.name}": role must be a string, not {self.role!r}')
        if wrong := check_role(self.name, self.role, *self.bounds):
            raise SpaceError(wrong)

    def _check_limits(self) -> None:
        for side, limit in (("low", self.limit_low), ("high", self.limit_high)):
            if limit is None:
                continue
            place, rim = f'axis "{self.name}": limit_{side}', getattr(self, side)
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not math.isfinite(limit):
                raise SpaceError(f"{place} must be a finite number, not {limit!r}")
            if limit > rim if side == "low" else limit < rim:
                raise SpaceError(f"{place} must not be inside the axis, but {limit} lies in {self.low}..{self.high}")
            if self.integer and limit != round(limit):
                raise SpaceError(f"{place} must be a whole number on an axis of whole numbers, not {limit!r}")
            if self.scale == "log" and limit <= 0:
                raise SpaceError(f"{place} must be above 0 on a log scale, not {limit!r}")

    def _last_step(self) -> Number:
        """The last value that is a whole number of steps above the lower bound."""
        step, place = self.step, f'axis "{self.name}": step'
        if isinstance(step, bool) or not isinstance(step, int | float) or not math.isfinite(step) or step <= 0:
            raise SpaceError(f"{place} must be a number above 0, not {step!r}")
        if self.integer and step != round(step):
            raise SpaceError(f"{place} must be a whole number on an axis of whole numbers, not {step!r}")
        if step > (self.high - self.low) * (1 + _NEAR):
            raise SpaceError(f"{place} = {step!r} is longer than the axis, {self.low}..{self.high}")
        return self._at_step(math.floor((self.high - self.low) / step * (1 + _NEAR)))

    def _at_step(self, n: int) -> Number:
        """The value ``n`` steps above the lower bound."""
        assert self.step is not None
        value = self.low + n * self.step
        return round(value) if self.integer else canonical(_shortest(float(value)))

    @property
    def n_steps(self) -> int | None:
        """The number of steps between the bounds; None for an axis without steps."""
        return None if self.step is None else round((self.high - self.low) / self.step)

    @property
    def ordered(self) -> bool:
        return True

    def nearest(self, value: float) -> Number:
        """The value of the axis nearest to ``value``."""
        return self._exact(min(max(value, self.low), self.high))

    def _exact(self, value: float) -> Number:
        """``value`` in the axis' own form: a bound or listed value as given, otherwise the canonical form; on an axis
        with steps, the nearest step.
        """
        if self.step is not None:
            return self._at_step(min(max(round((value - self.low) / self.step), 0), self.n_steps or 0))
        if self.integer:
            return round(value)
        made = canonical(float(value))
        if self.scale == "linear" and abs(made) < _ZERO * max(abs(self.low), abs(self.high)):
            return 0.0
        for given in self._given:
            if made == canonical(given) or abs(given - value) <= _NEAR * abs(given):
                return given
        return made

    @cached_property
    def _given(self) -> tuple[float, ...]:
        """The bounds and listed values, without rounding artefacts."""
        listed = self.row_rule if isinstance(self.row_rule, tuple) else ()
        return tuple(dict.fromkeys(_shortest(value) for value in (self.low, self.high, *listed)))

    def row(self) -> tuple[Number, ...]:
        """The values of the coarse grid, ascending, without duplicates."""
        return self._row

    @cached_property
    def _row(self) -> tuple[Number, ...]:
        rule = self.row_rule
        if isinstance(rule, str):
            if rule not in ("doubling", "midpoints"):
                raise SpaceError(
                    f'axis "{self.name}": a row is "doubling", "midpoints", a number of steps or a list of values, '
                    f'not "{rule}"'
                )
            if self.low <= 0:
                raise SpaceError(f'axis "{self.name}": a doubling row needs low > 0, not {self.low}')
            values = [self.low * 2.0**i for i in range(int(math.log2(self.high / self.low) + 1e-9) + 1)]
            if rule == "midpoints":
                between = [1.5 * value for value in values if 1.5 * value <= self.high * (1 + 1e-12)]
                values = sorted(values + between)
        elif isinstance(rule, int):
            if rule < 1:
                raise SpaceError(f'axis "{self.name}": a row of equal steps needs at least 1 step, not {rule}')
            values = [self.from_unit(i / rule) for i in range(rule + 1)]
        else:
            values = [self._listed(value) for value in rule]
            if not values:
                raise SpaceError(f'axis "{self.name}": the row is empty; give at least one value')
            self._distinct(values)
        return tuple(sorted({self._exact(value) for value in values}))

    def _distinct(self, values: Sequence[float]) -> None:
        """Check that no two values agree to a billionth of their size."""
        if self.integer:
            return
        ordered = sorted({_shortest(value) for value in values})
        for a, b in pairwise(ordered):
            if canonical(a) == canonical(b) or b - a <= _NEAR * max(abs(a), abs(b)):
                raise SpaceError(
                    f'axis "{self.name}": {a!r} and {b!r} differ by less than two parts in a billion; give '
                    f"only one of them"
                )

    def _listed(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SpaceError(f'axis "{self.name}": the row holds {value!r}, which is not a finite number')
        if not self.low <= value <= self.high:
            raise SpaceError(f'axis "{self.name}": {value} in the row lies outside {self.low}..{self.high}')
        if self.integer and value != round(value):
            raise SpaceError(f'axis "{self.name}": {value} in the row is not an integer')
        if not self.contains(value):
            raise SpaceError(f'axis "{self.name}": {value} in the row is none of {self.low}, {self._at_step(1)}, ...')
        return value

    def to_unit(self, value: Any) -> float:
        """The position of ``value`` on the axis' scale: 0 at the lower bound, 1 at the upper one (0.5 on a one-point
        axis).
        """
        if self.low == self.high:
            return 0.5
        if self.scale == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return float((value - self.low) / (self.high - self.low))

    def from_unit(self, u: float) -> Number:
        """The value at ``u`` in 0..1 (clipped to the bounds), rounded on an integer axis."""
        u = min(max(u, 0.0), 1.0)
        value = self.low + (self.high - self.low) * u
        if self.scale == "log":
            value = self.low * (self.high / self.low) ** u
        return self._exact(min(max(value, self.low), self.high))

    def contains(self, value: object) -> bool:
        """Whether ``value`` is a number within the bounds (up to rounding), an integer on an integer axis, and a step
        if there are steps.
        """
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.step is not None:
            n = (value - self.low) / self.step
            return -_OFF <= n <= (self.n_steps or 0) + _OFF and abs(n - round(n)) <= _OFF
        if self.integer:
            return self.low <= value <= self.high and value == round(value)
        return self.low <= value <= self.high or any(abs(value - rim) <= _NEAR * abs(rim) for rim in self.rims)

    def takes(self, value: object) -> bool:
        """Whether a search can reach exactly this value: an integer, a step, or a value of the row; a particular real
        number is never reached by chance.
        """
        if not self.contains(value):
            return False
        return bool(self.integer) or self.step is not None or any(same(value, own) for own in self.row())

    @property
    def rims(self) -> tuple[Number, Number]:
        """The bounds as values of the axis."""
        return self._exact(self.low), self._exact(self.high)

    def between(self, a: Any, b: Any, parts: int) -> tuple[Number, ...]:
        """The interval from ``a`` to ``b``, split into ``parts`` equal parts on the axis' scale, including both ends.

        Integers are rounded and duplicates dropped, so a narrow interval gives fewer than ``parts + 1`` values.
        """
        if parts < 1:
            raise ValueError(f"an interval is split into 1 part or more, not {parts}")
        start, end = self.to_unit(a), self.to_unit(b)
        inner = [self.from_unit(start + (end - start) * i / parts) for i in range(1, parts)]
        return tuple(sorted({self._exact(a), *inner, self._exact(b)}))

    def neighbours(self, value: Any) -> tuple[Number, ...]:
        """The adjacent values in the row: two inside the row, one at its ends."""
        row = self.row()
        below = [v for v in row if v < value]
        above = [v for v in row if v > value]
        return tuple(below[-1:] + above[:1])

    def interval(self, value: Any) -> tuple[Number, Number]:
        """From the adjacent row value below to the one above; at the ends of the row, to the bound of the axis."""
        row = self.row()
        below = [v for v in row if v < value]
        above = [v for v in row if v > value]
        return (below[-1] if below else self._exact(self.low)), (above[0] if above else self._exact(self.high))

    def on_rim(self, value: Any) -> bool:
        """Whether ``value`` is the first or last of the row, so that better values may lie beyond; a limit that is
        reached does not count.
        """
        row = self.row()
        if len(row) < 2:
            return False
        low = self.limit_low is None or row[0] > self.limit_low
        high = self.limit_high is None or row[-1] < self.limit_high
        return (value == row[0] and low) or (value == row[-1] and high)

    @property
    def bounds(self) -> tuple[Number, Number]:
        """The lowest and the highest value that it may ever have, including limits."""
        low = self.low if self.limit_low is None else self.limit_low
        return low, self.high if self.limit_high is None else self.limit_high

    def describe(self) -> dict[str, Any]:
        """The axis as plain data; ``Space.parse`` reads it back."""
        rule = list(self.row_rule) if isinstance(self.row_rule, tuple) else self.row_rule
        told = {"low": self.low, "high": self.high, "scale": self.scale, "integer": self.integer, "row": rule}
        prior = {} if self.prior is None else {"prior": self.prior.describe()}
        role = {"role": self.role} if self.role else {}
        more = {key: getattr(self, key) for key in ("step", "limit_low", "limit_high")}
        return {
            **told,
            **{key: value for key, value in more.items() if value is not None},
            **said_when(self.when),
            **prior,
            **role,
        }


@dataclass(frozen=True, eq=False)
class Choice:
    """A hyperparameter with a few unordered values (names, switches, None, lists).

    Values keep their types: ``True``, ``1``, ``1.0``, ``"1"``, ``None`` and ``"None"`` are six choices.

    Raises:
        SpaceError: there are no values, or duplicates.
    """

    name: str
    values: tuple[Value, ...]
    when: When = ()

    def __post_init__(self) -> None:
        try:
            values = tuple(plain(value) for value in self.values)
        except TypeError as error:
            raise SpaceError(f'axis "{self.name}": {error}') from None
        if not values:
            raise SpaceError(f'axis "{self.name}": the row is empty; give at least one value')
        object.__setattr__(self, "values", _kept_apart(values))
        object.__setattr__(self, "when", read_when(self.name, self.when))
        if len(self._places) < len(values):
            raise SpaceError(f'axis "{self.name}": a choice appears twice in {list(values)}')

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Choice):
            return NotImplemented
        return (self.name, list(self._places), self.when) == (other.name, list(other._places), other.when)

    def __hash__(self) -> int:
        return hash((self.name, tuple(self._places)))

    @cached_property
    def _places(self) -> dict[Hashable, int]:
        return {told_apart(value): i for i, value in enumerate(self.values)}

    def place(self, value: Any) -> int:
        """The index of ``value`` in the row.

        Raises:
            ValueError: it is not one of the choices.
        """
        try:
            return self._places[told_apart(value)]
        except (KeyError, TypeError):
            raise ValueError(f"{value!r} is not one of {list(self.values)}") from None

    @property
    def ordered(self) -> bool:
        return False

    def row(self) -> tuple[Value, ...]:
        """All values, in the given order."""
        return self.values

    def to_unit(self, value: Any) -> float:
        """The middle of the value's part of 0..1."""
        return (self.place(value) + 0.5) / len(self.values)

    def from_unit(self, u: float) -> Value:
        """The value whose part of 0..1 contains ``u``."""
        return self.values[min(int(min(max(u, 0.0), 1.0) * len(self.values)), len(self.values) - 1)]

    def contains(self, value: object) -> bool:
        """Whether ``value`` is one of the choices."""
        try:
            return told_apart(value) in self._places
        except TypeError:
            return False

    def takes(self, value: object) -> bool:
        """Whether it is one of the choices."""
        return self.contains(value)

    def between(self, a: Any, b: Any, parts: int) -> tuple[Value, ...]:
        """All values, since choices have no order."""
        return self.values

    def neighbours(self, value: Any) -> tuple[Value, ...]:
        """Every other value."""
        return tuple(other for other in self.values if not same(other, value))

    def interval(self, value: Any) -> tuple[Value, ...]:
        """All values."""
        return self.values

    def on_rim(self, value: Any) -> bool:
        """False, since choices have no edge."""
        return False

    def describe(self) -> dict[str, Any]:
        """The axis as plain data; ``Space.parse`` reads it back (numbers as "values" would be a numeric axis)."""
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)
        return {"choices" if numeric else "values": list(self.values), **said_when(self.when)}


AnyAxis = Axis | Choice


def _shortest(value: float) -> float:
    """``value`` without rounding artefacts: 0.30000000000000004 becomes 0.3, but a third stays exact."""
    short = float(f"{value:.12g}")
    return short if abs(short - value) <= 1e-15 * abs(value) else float(value)


def _kept_apart(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """The choices, with a whole-number float marked if the equal integer is a choice too."""
    whole = {value for value in values if type(value) is int}
    return tuple(
        ChosenFloat(value) if type(value) is float and value.is_integer() and int(value) in whole else value
        for value in values
    )
