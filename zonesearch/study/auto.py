"""``stages = "auto"``: the stages of a search that names none.

One or two axes get the whole map (grid, interval, polish) if the grid fits into memory and, with its first seeds, into
half of the budget. Beyond two axes, an affordable grid is too coarse, so a Gaussian process places the trainings
(surrogate, polish); with fewer than two trainings per axis it has too little data, and a climb along the axes is used
instead (coordinate, polish). Settings of a grid or of intervals, and limits up to which a grid may grow, mean that a
map is wanted; beliefs mean that a process places the trainings, after a grid if there are limits as well. A budget that
does not even pay for the smallest grid leaves limits without a use, which a note says.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from zonesearch.core.axes import Axis
from zonesearch.core.coarse import CELLS_MOST, coarser
from zonesearch.core.seeds import Seeds
from zonesearch.core.space import Space
from zonesearch.core.widening import has_limits
from zonesearch.search.budget import Budget

__all__ = ["AUTO", "BEGUN", "CLIMBED", "MAPPED", "PLACED", "Chosen", "auto_stages", "is_auto"]

AUTO = "auto"
MAPPED = ("grid", "interval", "polish")
PLACED = ("surrogate", "polish")
CLIMBED = ("coordinate", "polish")
BOTH = ("grid", *PLACED)
BEGUN = (MAPPED, PLACED, CLIMBED, BOTH)
"""All stages that "auto" has ever selected, with which a run may have been started."""

_FEW_AXES = 2  # the largest affordable full grid
_SPARSE = 2  # trainings per axis: with fewer, a process knows less than one step along each axis tells


class Chosen(tuple[str, ...]):
    """The names of stages that "auto" has selected: they may leave limits of the space without a use."""


def is_auto(stages: object) -> bool:
    """Whether ``stages``, as given, leave the choice to the space and the budget."""
    return stages == AUTO or (isinstance(stages, Sequence) and list(stages) == [AUTO])


def auto_stages(
    space: Space, seeds: Seeds, epochs: int, budget: Budget | None, settings: Collection[str] = ()
) -> Chosen:
    """The names of the stages.

    Args:
        space, seeds, epochs, budget: of the study. A time budget counts as sufficient, since its number of trainings is
            not known yet; the grid gets coarser once the first trainings have been timed.
        settings: the names of the stages that have settings.
    """
    return Chosen(_stages(space, seeds, epochs, budget, settings))


def _stages(
    space: Space, seeds: Seeds, epochs: int, budget: Budget | None, settings: Collection[str]
) -> tuple[str, ...]:
    believed = any(isinstance(axis, Axis) and axis.prior is not None for axis in space.axes)
    if PLACED[0] not in settings:
        if "grid" in settings or "interval" in settings:
            return MAPPED
        wanted = BOTH if believed else MAPPED
        if has_limits(space) and _is_enough(space, seeds, epochs, budget, len(wanted) - 1):
            return wanted
    if believed:
        return PLACED
    if PLACED[0] not in settings and _is_sparse(space, seeds, epochs, budget):
        return CLIMBED
    if len(space.axes) > _FEW_AXES or space.n_cells > CELLS_MOST:
        return PLACED
    if budget is None or budget.unit == "seconds":
        return MAPPED
    price = epochs if budget.unit == "epochs" else 1
    fits = space.n_cells * seeds.first * price <= budget.amount / 2
    return MAPPED if fits and _is_enough(space, seeds, epochs, budget, len(MAPPED) - 1) else PLACED


def _is_enough(space: Space, seeds: Seeds, epochs: int, budget: Budget | None, n_later: int) -> bool:
    """Whether a budget pays for a grid, of which a later stage leaves half, and for ``n_later`` stages after it."""
    if budget is None or budget.unit == "seconds":
        return True
    n = budget.amount // (epochs if budget.unit == "epochs" else 1)
    least = max(seeds.first + 1, coarser(space, 1).n_cells * seeds.first)
    return n // 2 >= least and n - least >= n_later * (seeds.first + 1) - seeds.first


def _is_sparse(space: Space, seeds: Seeds, epochs: int, budget: Budget | None) -> bool:
    """Whether a budget has too few trainings per axis for a process.

    A climb gives every cell all first seeds and starts in every branch; neither is worthwhile with so few trainings.
    """
    if budget is None or budget.unit == "seconds" or seeds.first > 1 or space.conditional:
        return False
    n = budget.amount / (epochs if budget.unit == "epochs" else 1)
    return n < _SPARSE * len(space.axes)
