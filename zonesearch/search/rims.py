"""Edges beyond which a grid continues, and notes about that."""

from __future__ import annotations

from collections.abc import Mapping

from zonesearch.core.axes import Axis
from zonesearch.core.space import Space
from zonesearch.core.widening import Side, beyond, widened
from zonesearch.statistics.map import Map

__all__ = ["to_widen", "widening_notes"]

_SIDES: tuple[Side, Side] = ("low", "high")


def to_widen(base: Space, rounds: Mapping[tuple[str, Side], int], found: Map) -> tuple[tuple[str, Side], ...]:
    """The edges on which the peak of a zone lies and beyond which there is a value, in the order of the axes.

    Args:
        base: the space before it was widened; ``rounds`` is how often each of its edges was widened.
        found: the map of the widened space.
    """
    sides = []
    for axis in base.axes:
        if not isinstance(axis, Axis):
            continue
        row = found.space[axis.name].row()
        for side in _SIDES:
            n = rounds.get((axis.name, side), 0)
            further = len(beyond(axis, side, n + 1)) > len(beyond(axis, side, n))
            if further and _on_side(found, axis.name, row[0 if side == "low" else -1]):
                sides.append((axis.name, side))
    return tuple(sides)


def _on_side(found: Map, name: str, end: object) -> bool:
    return any(zone.peak.get(name) == end for zone in found.zones)


def widening_notes(base: Space, rounds: Mapping[tuple[str, Side], int], found: Map, most: int) -> tuple[str, ...]:
    """Where the grid went beyond its edges and why it stopped there, one sentence per edge."""
    wide = widened(base, rounds)
    notes = []
    for (name, side), n in rounds.items():
        end = 0 if side == "low" else -1
        before, now = base[name].row()[end], wide[name].row()[end]
        axis = base[name]
        assert isinstance(axis, Axis)
        if not _on_side(found, name, now):
            why = "no zone has its peak on that edge any more"
        elif len(beyond(axis, side, n + 1)) == len(beyond(axis, side, n)):
            why = f"{now} is as far as its limit allows"
        else:
            why = f"[grid] widen = {most} allows no more rounds, and a peak still lies on that edge"
        times = "once" if n == 1 else f"{n} times"
        went = f"peaks on the edge of {name} extended the grid {times}, from {before} to {now}"
        notes.append(f"{went}; it stopped because {why}.")
    return tuple(notes)
