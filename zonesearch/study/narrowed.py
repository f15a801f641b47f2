"""An axis ``arm`` that was narrowed: conditions on arms that it no longer takes are left out.

Arms whose tables stay in the file are idle (:mod:`zonesearch.study.objectives`), and so are conditions on them: an axis
applies to those of its arms that are left, and one without any is not searched. A value that is no arm at all is still
refused, as a spelling mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zonesearch.core.space import Space
from zonesearch.errors import ZoneSearchError

__all__ = ["without_idle_arms"]

_ARM = "arm"


def without_idle_arms(axes: Any, arms: Any) -> Any:
    """The table ``[space]``, without conditions on arms that the axis ``arm`` does not take.

    Args:
        axes: the table as given, valid or not.
        arms: the tables ``[arms]``.
    """
    if not isinstance(axes, Mapping) or not isinstance(arms, Mapping) or _ARM not in axes:
        return axes
    try:
        taken = set(Space.parse({_ARM: axes[_ARM]})[_ARM].row())
    except (ZoneSearchError, TypeError):  # which reading the whole space says more about
        return axes
    idle = set(arms) - taken
    kept: dict[str, Any] = {}
    for name, axis in axes.items():
        when = axis.get("when") if isinstance(axis, Mapping) else None
        if not isinstance(when, Mapping) or _ARM not in when:
            kept[name] = axis
            continue
        asked = when[_ARM] if isinstance(when[_ARM], list | tuple) else [when[_ARM]]
        left = [value for value in asked if not (isinstance(value, str) and value in idle)]
        if left or not asked:
            kept[name] = {**axis, "when": {**when, _ARM: left}} if len(left) < len(asked) else axis
    return _reachable(kept, set(axes) - set(kept))


def _reachable(axes: Mapping[str, Any], gone: set[str]) -> dict[str, Any]:
    """The axes without those that apply only with an axis that is ``gone``."""
    kept = dict(axes)
    while gone:
        lost = {
            name
            for name, axis in kept.items()
            if isinstance(axis, Mapping) and isinstance(axis.get("when"), Mapping) and gone & set(axis["when"])
        }
        kept = {name: axis for name, axis in kept.items() if name not in lost}
        gone = lost
    return kept
