"""Optuna's distributions as the axes of a space, with conversion of points in both directions.

Stages handle numeric axes without gaps and choices of plain values. A distribution with a step becomes an axis of whole
numbers that count its steps; a categorical becomes a choice among the indices of its values, since Optuna also accepts
None and objects as values.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from zonesearch.core.constraints import Constraint
from zonesearch.core.space import AnyAxis, Axis, Choice, Space
from zonesearch.core.trials import Params, Value
from zonesearch.errors import StudyError
from zonesearch.statistics.gp.cube import Cube

__all__ = ["OptunaSpace", "distribution_of", "indistinct", "least_used", "narrowed", "searched"]

_RARE = 0.05  # fraction of the trials: parameters suggested less often are drawn at random
_MOST_AXES = 24
_FEW = 64  # values of a parameter, of which the least used is drawn
_STEPS = 4  # steps of the default row of an axis


@dataclass(frozen=True)
class OptunaSpace:
    """An Optuna search space and the equivalent space of ours.

    Args:
        distributions: by name, at least one.
        axes: axes with rows given by the user. If the distribution is not the axis's own (it has steps, or a narrower
            range), only those row values that the distribution contains are used.
    """

    distributions: Mapping[str, BaseDistribution]
    axes: Mapping[str, AnyAxis]
    constraints: tuple[Constraint, ...] = ()

    @cached_property
    def space(self) -> Space:
        """One axis per distribution; without a given axis, its row has four equal steps on its scale."""
        axes = tuple(
            self.axes[name] if self._given(name) else _axis(name, distribution, self.axes.get(name))
            for name, distribution in self.distributions.items()
        )
        bound = self.constraints or any(axis.when for axis in self.axes.values())
        if bound and not all(self._given(name) for name in self.distributions):
            other = next(name for name in self.distributions if not self._given(name))
            raise StudyError(
                f'the objective suggests "{other}" from another range than the space of the sampler has, which has '
                "conditions or constraints: let both say the same"
            )
        return Space(axes, self.constraints)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(self.distributions)

    def encode(self, params: Mapping[str, Any]) -> dict[str, Value] | None:
        """An Optuna point as a point of our space (other parameters are dropped); None if it does not belong to it."""
        point = self.encode_known(params)
        if point is None:
            return None
        if self.space.conditional:
            point = self.space.bare(point)
        return point if len(point) == len(self.space.active(point)) else None

    def encode_known(self, params: Mapping[str, Any]) -> dict[str, Value] | None:
        """Like :meth:`encode`, for the parameters present; None if one has a value outside the space."""
        point: dict[str, Value] = {}
        for name, distribution in self.distributions.items():
            if name not in params:
                continue
            try:
                inner = distribution.to_internal_repr(params[name])
            except ValueError:  # not a choice of this categorical
                return None
            if not math.isfinite(inner) or not distribution._contains(inner):
                return None
            point[name] = self._value(name, distribution, params[name], inner)
        return point

    def decode(self, point: Params) -> dict[str, Any]:
        """A point of our space as Optuna values."""
        return {name: self._parameter(name, d, point[name]) for name, d in self.distributions.items() if name in point}

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
    """The distribution of an axis, over the widest range it may ever be extended to."""
    if isinstance(axis, Choice):
        return CategoricalDistribution(axis.values)  # type: ignore[arg-type]  # lists are for one process only
    log = axis.scale == "log"
    low, high = axis.bounds  # a range widened later then has the same distribution from the start
    step = None if log else axis.step  # Optuna has no steps on a log scale
    if step is not None:
        below, above = math.ceil(round((low - axis.low) / step, 6)), math.floor(round((high - axis.low) / step, 6))
        # in the shortest decimal form, as on the axis: Optuna divides the written decimals, not the computed floats
        low, high = (float(f"{axis.low + step * n:.12g}") for n in (below, above))
    if axis.integer:
        return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
    return FloatDistribution(float(low), float(high), log=log, step=step)


def _stepped(distribution: BaseDistribution) -> bool:
    if isinstance(distribution, FloatDistribution):
        return distribution.step is not None
    return isinstance(distribution, IntDistribution) and distribution.step != 1


def _axis(name: str, distribution: BaseDistribution, wanted: AnyAxis | None = None) -> AnyAxis:
    if isinstance(distribution, CategoricalDistribution):
        return Choice(name, tuple(range(len(distribution.choices))))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    values = wanted.row() if isinstance(wanted, Axis) else ()
    inside = [value for value in values if distribution.low <= value <= distribution.high]
    if _stepped(distribution):
        steps = round((distribution.high - distribution.low) / distribution.step)  # type: ignore[operator]
        row = tuple(sorted({round((v - distribution.low) / distribution.step) for v in inside}))  # type: ignore[operator]
        return Axis(name, 0, steps, "linear", True, row or _STEPS)
    whole = isinstance(distribution, IntDistribution)
    scale: Any = "log" if distribution.log else "linear"
    return Axis(name, distribution.low, distribution.high, scale, whole, tuple(inside) or _STEPS)


def narrowed(own: Mapping[str, BaseDistribution], evaluations: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """``own`` distributions, or those that the objective uses instead: of the same kind, with steps or a narrower
    range.

    Only if all complete trials agree, so that ranges that change between trials do not change the space.
    """
    found = dict(own)
    theirs: dict[str, set[BaseDistribution]] = {name: set() for name in own}
    for evaluation in evaluations:
        if evaluation.state == TrialState.COMPLETE:
            for name in own.keys() & evaluation.distributions.keys():
                theirs[name].add(evaluation.distributions[name])
    for name, seen in theirs.items():
        mine = own[name]
        if len(seen) != 1 or not isinstance(mine, FloatDistribution | IntDistribution):
            continue
        [other] = seen
        if not isinstance(other, FloatDistribution | IntDistribution) or type(other) is not type(mine):
            continue
        if other.log == mine.log and not other.single() and mine.low <= other.low <= other.high <= mine.high:
            found[name] = other
    return found


def searched(evaluations: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """The parameters that a study searches, by name: those with the same distribution in every trial that suggested
    them.

    A parameter of a branch is included unless it is rare. Parameters without a stable range are excluded, and if there
    are very many, the most frequent are used.
    """
    seen: dict[str, Counter[BaseDistribution]] = {}
    n = 0
    for evaluation in evaluations:
        if evaluation.state in (TrialState.COMPLETE, TrialState.PRUNED):
            n += 1
            for name, distribution in evaluation.distributions.items():
                seen.setdefault(name, Counter())[distribution] += 1
    often = {name: found.total() for name, found in seen.items() if len(found) == 1}
    frequent = sorted((name for name in often if often[name] >= _RARE * n), key=lambda name: (-often[name], name))
    return {name: next(iter(seen[name])) for name in sorted(frequent[:_MOST_AXES])}


def least_used(
    name: str, distribution: BaseDistribution, trial: FrozenTrial, others: Sequence[FrozenTrial]
) -> list[Any]:
    """The values of a parameter that the fewest ``others`` have, of those that agree with ``trial`` on all parameters
    suggested before; none if the parameter has many values.

    Values under which every point has been tried come last, so trials that follow this rule repeat no point of a finite
    space while one is left, however it branches.
    """
    values = _few_values(name, distribution)
    if not values:
        return []
    before = trial.params.items()
    alike = [other for other in others if all(k in other.params and other.params[k] == v for k, v in before)]
    groups = [_having(alike, name, distribution, value) for value in values]
    known = frozenset((*trial.params, name))
    left = [not _is_exhausted(group, known) for group in groups]
    counts = [len(group) for group, is_left in zip(groups, left, strict=True) if is_left or not any(left)]
    return [
        value
        for value, group, is_left in zip(values, groups, left, strict=True)
        if (is_left or not any(left)) and len(group) == min(counts)
    ]


def _few_values(name: str, distribution: BaseDistribution) -> list[Any]:
    """The values of a parameter; none if it has many."""
    space = OptunaSpace({name: distribution}, {})
    cube = Cube(space.space)
    return [space.decode(cube.params(point))[name] for point in cube.every(_FEW)]


def _having(trials: Sequence[FrozenTrial], name: str, distribution: BaseDistribution, value: Any) -> list[FrozenTrial]:
    """Those with this value of a parameter."""
    wanted = distribution.to_internal_repr(value)
    return [t for t in trials if name in t.params and distribution.to_internal_repr(t.params[name]) == wanted]


def _is_exhausted(trials: Sequence[FrozenTrial], known: frozenset[str]) -> bool:
    """Whether ``trials``, which agree on the parameters ``known``, are at every point that has these values."""
    further = [trial for trial in trials if trial.params.keys() - known]
    if not further:
        return bool(trials)
    shared = [name for name in further[0].params if name not in known and all(name in t.params for t in further)]
    if not shared:
        return False
    name, distribution = shared[0], further[0].distributions[shared[0]]
    values = [further[0].params[name]] if distribution.single() else _few_values(name, distribution)
    rest = known | {name}
    return bool(values) and all(_is_exhausted(_having(further, name, distribution, v), rest) for v in values)


def indistinct(distribution: BaseDistribution) -> tuple[Any, Any] | None:
    """Two choices that Optuna cannot distinguish because they compare equal (True and 1); None if there are none."""
    if isinstance(distribution, CategoricalDistribution):
        for i, choice in enumerate(distribution.choices):
            first = int(distribution.to_internal_repr(choice))
            if first != i:
                return distribution.choices[first], choice
    return None
