"""Fewer cells of a space: coarser rows, so that its grid can be paid for, and a few cells as examples of all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from zonesearch.core.axes import Axis
from zonesearch.core.space import Space
from zonesearch.core.trials import Training
from zonesearch.core.values import Value
from zonesearch.errors import StudyError

__all__ = ["CELLS_MOST", "coarser", "example_cells", "examples", "listed"]

CELLS_MOST = 100_000
"""A grid with more cells is never listed: its cells alone would take gigabytes before the first training."""

_EXAMPLES = 512
"""Of a grid with more cells, as many stand for all: every row value is among them, and so are rims and middles."""

_GOLDEN = (math.sqrt(5) - 1) / 2


def coarser(space: Space, n: int) -> Space:
    """The space with rows of cell centres, as many as make a grid of at most ``n`` cells.

    Values are added axis by axis, so that axes differ by one at most: k values stand in the middle of k equal parts of
    the axis. A row of rims would make a small grid nothing but corners, where a network seldom works best; the rims
    themselves belong to the intervals of the outermost cells. Choices stay; they may make the grid larger than ``n``.
    """
    numeric = [axis for axis in space.axes if isinstance(axis, Axis)]
    n_choices = math.prod(len(axis.row()) for axis in space.axes if not isinstance(axis, Axis))
    parts = dict.fromkeys((axis.name for axis in numeric), 1)
    grown = True
    while grown:
        grown = False
        for axis in numeric:
            more = {**parts, axis.name: parts[axis.name] + 1}
            room = len(_centred(axis, more[axis.name]).row()) > len(_centred(axis, parts[axis.name]).row())
            if room and n_choices * math.prod(len(_centred(a, more[a.name]).row()) for a in numeric) <= n:
                parts, grown = more, True
    return Space(tuple(_centred(axis, parts[axis.name]) if isinstance(axis, Axis) else axis for axis in space.axes))


@lru_cache(maxsize=1024)
def _centred(axis: Axis, parts: int) -> Axis:
    centres = (axis.from_unit((i + 0.5) / parts) for i in range(parts))
    return replace(axis, row_rule=tuple(dict.fromkeys(centres)))


def listed(space: Space, name: str) -> None:
    """Check that the grid of the stage ``name`` can be listed.

    Raises:
        StudyError: it has more than ``CELLS_MOST`` cells.
    """
    if space.n_cells > CELLS_MOST:
        raise StudyError(
            f"[{name}] the rows make a grid of {space.n_cells:,} cells, more than {CELLS_MOST:,}: give coarser rows, "
            'a [search] budget, or stages = "auto", which takes the surrogate where a grid is too large'
        )


def example_cells(space: Space, n: int = _EXAMPLES) -> Iterator[dict[str, Value]]:
    """The cells of the grid; of a grid with more than ``n`` cells that many, spread over it.

    Among them are all first, all last and all middle row values together, and every value of each row.
    """
    if space.n_cells <= n:
        yield from space.grid()
        return
    rows = [axis.row() for axis in space.axes]
    sizes = [len(row) for row in rows]
    places = [tuple(0 for _ in sizes), tuple(size - 1 for size in sizes), tuple(size // 2 for size in sizes)]
    # Each axis turns at its own pace, so that values meet in ever other combinations.
    paces = [max(1, round(size * _GOLDEN ** (i + 1))) for i, size in enumerate(sizes)]
    for k in range(max(n - len(places), *sizes)):
        turns = [k // size for size in sizes]
        places.append(tuple((k + pace * turn) % size for size, pace, turn in zip(sizes, paces, turns, strict=True)))
    for place in dict.fromkeys(places):
        yield {axis.name: row[i] for axis, row, i in zip(space.axes, rows, place, strict=True)}


@lru_cache(maxsize=64)
def examples(space: Space, epochs: int, seed: int = 0) -> tuple[Training, ...]:
    """Trainings of the example cells, to ask an objective whether they can work and how long they take."""
    return tuple(Training(cell, seed, epochs) for cell in example_cells(space))
