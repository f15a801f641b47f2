"""Coarser rows for a space, so that its grid has no more cells than can be paid for."""

from __future__ import annotations

import math
from dataclasses import replace

from zonesearch.core.axes import Axis
from zonesearch.core.space import Space

__all__ = ["coarser"]


def coarser(space: Space, n: int) -> Space:
    """The space with rows of equal steps, as many as make a grid of at most ``n`` cells.

    Steps are added axis by axis, so that axes differ by one step at most. Where two values on every axis are more than
    ``n`` cells already, the last axes keep only their middle. Choices stay; they may make the grid larger than ``n``.
    """
    numeric = [axis for axis in space.axes if isinstance(axis, Axis)]
    n_choices = math.prod(len(axis.row()) for axis in space.axes if not isinstance(axis, Axis))
    steps = dict.fromkeys((axis.name for axis in numeric), 0)
    grown = True
    while grown:
        grown = False
        for axis in numeric:
            more = {**steps, axis.name: steps[axis.name] + 1}
            room = len(_stepped(axis, more[axis.name]).row()) > len(_stepped(axis, steps[axis.name]).row())
            if room and n_choices * math.prod(len(_stepped(a, more[a.name]).row()) for a in numeric) <= n:
                steps, grown = more, True
    axes = tuple(_stepped(axis, steps[axis.name]) if isinstance(axis, Axis) else axis for axis in space.axes)
    return replace(space, axes=axes)


def _stepped(axis: Axis, steps: int) -> Axis:
    return replace(axis, row_rule=steps) if steps else replace(axis, row_rule=(axis.from_unit(0.5),))
