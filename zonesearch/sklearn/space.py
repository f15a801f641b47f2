"""The space of a scikit-learn search: axes as elsewhere in zonesearch, or the inputs of ``RandomizedSearchCV``.

A search needs the range and scale of each parameter, whereas ``RandomizedSearchCV`` only draws: ``uniform`` becomes an
axis with its two ends, ``loguniform`` the same on a log scale, ``randint`` an axis of whole numbers. Values that are
neither numbers nor strings (None, tuples, estimators) are searched under a label and passed to the estimator unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from zonesearch.core.constraints import Constraint
from zonesearch.core.space import AnyAxis, Axis, Choice, Space, parse_axis, read_constraints
from zonesearch.core.trials import Params, Value
from zonesearch.errors import SpaceError

__all__ = ["ParamSpace"]

_LOG = frozenset({"loguniform", "reciprocal", "lognorm", "loggamma", "pareto"})
"""scipy distributions whose values span orders of magnitude: searched on a log scale."""

_TAIL = 0.01
"""Tail probability on each side of an unbounded distribution that is not searched."""

_N_STEPS = 4
"""Steps of the coarse row of a distribution."""


@dataclass(frozen=True)
class ParamSpace:
    """A space, and the objects that the labels of its choices represent.

    Args:
        space: the axes.
        objects: objects by axis and label; only for axes whose values are not their own labels.
    """

    space: Space
    objects: Mapping[str, Mapping[Value, Any]] = field(default_factory=dict)

    @classmethod
    def parse(cls, given: Any, constraints: Sequence[str | Constraint] = ()) -> ParamSpace:
        """Read a space.

        Args:
            given: a :class:`Space`, or for each parameter a table (``low``, ``high``, ``scale``, ``row``, ...; see
                :meth:`Space.parse`), an axis, a distribution of ``scipy.stats`` or a list of choices. Numbers in a list
                are choices too, as in ``RandomizedSearchCV``; ``{"values": [...]}`` gives an axis.
            constraints: expressions that must hold at each point, for example ``max_depth * n_estimators <= 500``, with
                parameters by name and choices by label.

        Raises:
            SpaceError: names the invalid parameter.
        """
        held = read_constraints(constraints)
        if isinstance(given, Space):
            return cls(replace(given, constraints=(*given.constraints, *held)) if held else given)
        if isinstance(given, list | tuple):
            raise SpaceError("a list of spaces is not supported: give one table of parameters, or search each")
        if not isinstance(given, Mapping):
            raise SpaceError(f"a space is a table of parameters, not {type(given).__name__}")
        axes: list[AnyAxis] = []
        objects: dict[str, dict[Value, Any]] = {}
        for name, axis in given.items():
            if isinstance(axis, list | tuple | np.ndarray):
                labels, behind = _labelled(axis)
                axes.append(Choice(str(name), labels))
                if behind:
                    objects[str(name)] = behind
            elif hasattr(axis, "rvs") or hasattr(axis, "sample"):
                axes.append(_axis_of(str(name), axis))
            else:
                axes.append(parse_axis(name, axis))
        return cls(Space(tuple(axes), held), objects)

    def params(self, found: Params) -> dict[str, Any]:
        """The estimator's parameters for the parameters ``found``, in the order of the axes."""
        return {
            name: self.objects[name][found[name]] if name in self.objects else found[name]
            for name in self.space.names
            if name in found
        }


def _labelled(values: Any) -> tuple[tuple[Value, ...], dict[Value, Any]]:
    """The unique labels of choices, and the objects they represent if labels and values differ."""
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    kinds = {type(value) for value in plain}
    numbers = kinds <= {int, float} and all(map(math.isfinite, plain))
    if numbers or kinds <= {str, type(None)} or kinds == {bool}:
        return tuple(dict.fromkeys(plain)), {}
    behind: dict[Value, Any] = {}
    for value in plain:
        text = " ".join(repr(value).split())
        label = text if len(text) <= 60 else f"{text[:57]}..."
        n = 2
        while label in behind:
            label, n = f"{text[:54]} #{n}", n + 1
        behind[label] = value
    return tuple(behind), behind


def _axis_of(name: str, distribution: Any) -> Axis:
    """The axis that covers a frozen distribution of ``scipy.stats``."""
    kind = getattr(getattr(distribution, "dist", None), "name", "")
    if not kind or not hasattr(distribution, "ppf"):
        raise SpaceError(
            f'axis "{name}": the ends and scale of {type(distribution).__name__} are unknown; give uniform, '
            f"loguniform or randint of scipy.stats, or a table with low, high and scale"
        )
    low, high = (float(end) for end in distribution.support())
    low = low if math.isfinite(low) else float(distribution.ppf(_TAIL))
    high = high if math.isfinite(high) else float(distribution.ppf(1 - _TAIL))
    whole = not hasattr(distribution.dist, "pdf")  # discrete ones have a probability mass, no density
    log = kind in _LOG
    if log and low <= 0:
        low = float(distribution.ppf(_TAIL))
        log = low > 0
    low, high = (round(low), round(high)) if whole else (low, high)
    return Axis(name, low, high, "log" if log else "linear", whole, _N_STEPS)
