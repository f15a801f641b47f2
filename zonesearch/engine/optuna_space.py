"""Optuna's distributions as the axes of a space, and points there and back.

A stage knows numeric axes without gaps and choices of plain values. A distribution with a step is an axis of whole
numbers, which count its steps; a categorical is a choice among the numbers of its values, since Optuna also takes None
and objects as values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from zonesearch.domain.space import AnyAxis, Axis, Choice, Space
from zonesearch.domain.trials import Params, Value

__all__ = ["OptunaSpace", "distribution_of"]

_STEPS = 4  # of the row of an axis that nobody gave a row


@dataclass(frozen=True)
class OptunaSpace:
    """A search space of Optuna, and the same as a space of ours.

    Args:
        distributions: by name, at least one.
        axes: axes of ours, with the rows that somebody wants, for the parameters whose distribution is the axis' own.
    """

    distributions: Mapping[str, BaseDistribution]
    axes: Mapping[str, AnyAxis]

    @cached_property
    def space(self) -> Space:
        """One axis per distribution; where none was given, with a row of four equal steps on its scale."""
        return Space(
            tuple(
                self.axes[name] if self._given(name) else _axis(name, distribution)
                for name, distribution in self.distributions.items()
            )
        )

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(self.distributions)

    def encode(self, params: Mapping[str, Any]) -> dict[str, Value] | None:
        """A point of Optuna's as one of our space (further parameters left out); None where it is not one."""
        point: dict[str, Value] = {}
        for name, distribution in self.distributions.items():
            if name not in params:
                return None
            try:
                inner = distribution.to_internal_repr(params[name])
            except ValueError:  # no choice of this categorical
                return None
            if not math.isfinite(inner) or not distribution._contains(inner):
                return None
            point[name] = self._value(name, distribution, params[name], inner)
        return point

    def decode(self, point: Params) -> dict[str, Any]:
        """A point of our space as Optuna's values."""
        return {name: self._parameter(name, d, point[name]) for name, d in self.distributions.items()}

    def _given(self, name: str) -> bool:
        return name in self.axes and distribution_of(self.axes[name]) == self.distributions[name]

    def _value(self, name: str, distribution: BaseDistribution, parameter: Any, inner: float) -> Value:
        if self._given(name):
            value: Value = parameter
            return value
        if isinstance(distribution, CategoricalDistribution):
            return int(inner)
        if _stepped(distribution):
            return int(round((inner - distribution.low) / distribution.step))  # type: ignore[attr-defined]  # noqa: RUF046
        return int(inner) if isinstance(distribution, IntDistribution) else float(inner)

    def _parameter(self, name: str, distribution: BaseDistribution, value: Any) -> Any:
        if isinstance(distribution, CategoricalDistribution):
            return value if self._given(name) else distribution.choices[int(value)]
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        if _stepped(distribution):
            value = distribution.low + int(value) * distribution.step  # type: ignore[operator]
        whole = isinstance(distribution, IntDistribution)
        return int(value) if whole else min(max(float(value), distribution.low), distribution.high)


def distribution_of(axis: AnyAxis) -> BaseDistribution:
    """The distribution of an axis."""
    if isinstance(axis, Choice):
        return CategoricalDistribution(axis.values)
    log = axis.scale == "log"
    if axis.integer:
        return IntDistribution(int(axis.low), int(axis.high), log=log)
    return FloatDistribution(float(axis.low), float(axis.high), log=log)


def _stepped(distribution: BaseDistribution) -> bool:
    if isinstance(distribution, FloatDistribution):
        return distribution.step is not None
    return isinstance(distribution, IntDistribution) and distribution.step != 1


def _axis(name: str, distribution: BaseDistribution) -> AnyAxis:
    if isinstance(distribution, CategoricalDistribution):
        return Choice(name, tuple(range(len(distribution.choices))))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if _stepped(distribution):
        steps = round((distribution.high - distribution.low) / distribution.step)  # type: ignore[operator]
        return Axis(name, 0, steps, "linear", True, _STEPS)
    whole = isinstance(distribution, IntDistribution)
    return Axis(name, distribution.low, distribution.high, "log" if distribution.log else "linear", whole, _STEPS)
