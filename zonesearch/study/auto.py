"""``stages = "auto"``: which stages a search has when nobody names them.

One or two axes get the whole map (grid, interval, polish) as long as the grid fits: into the budget with its first
seeds in half of it, and into memory. Beyond two axes a grid that can be paid for is too coarse to say anything, so a
Gaussian process places the trainings (surrogate, polish); where there are fewer than two of them an axis it has nothing
to go by, and a climb along the axes takes its place (coordinate, polish). Settings of a grid or of intervals, and
limits as far as which a grid may go on, say that a map is meant; beliefs, that a process places the trainings.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from zonesearch.core.axes import Axis
from zonesearch.core.coarse import CELLS_MOST
from zonesearch.core.seeds import Seeds
from zonesearch.core.space import Space
from zonesearch.core.widening import has_limits
from zonesearch.search.budget import Budget

__all__ = ["AUTO", "BEGUN", "CLIMBED", "MAPPED", "PLACED", "auto_stages", "is_auto"]

AUTO = "auto"
MAPPED = ("grid", "interval", "polish")
PLACED = ("surrogate", "polish")
CLIMBED = ("coordinate", "polish")
BEGUN = (MAPPED, PLACED, CLIMBED)
"""All that "auto" ever took, in which a run may have been begun."""

_FEW_AXES = 2  # a full grid of so many can be paid for
_SPARSE = 2  # trainings an axis: with fewer a process knows less than one step on each axis tells


def is_auto(stages: object) -> bool:
    """Whether ``stages``, as they were given, leave the choice to the space and the budget."""
    return stages == AUTO or (isinstance(stages, Sequence) and list(stages) == [AUTO])


def auto_stages(
    space: Space, seeds: Seeds, epochs: int, budget: Budget | None, settings: Collection[str] = ()
) -> tuple[str, ...]:
    """The names of the stages.

    Args:
        space, seeds, epochs, budget: of the study. Of a budget of time nobody knows yet what it pays for: it counts as
            enough, and the grid gets coarser when the first trainings have shown their time.
        settings: the names of the stages that have settings.
    """
    if PLACED[0] not in settings and ("grid" in settings or "interval" in settings or has_limits(space)):
        return MAPPED
    if any(isinstance(axis, Axis) and axis.prior is not None for axis in space.axes):
        return PLACED
    if PLACED[0] not in settings and _is_sparse(space, seeds, epochs, budget):
        return CLIMBED
    if len(space.axes) > _FEW_AXES or space.n_cells > CELLS_MOST:
        return PLACED
    if budget is None or budget.unit == "seconds":
        return MAPPED
    price = epochs if budget.unit == "epochs" else 1
    return MAPPED if space.n_cells * seeds.first * price <= budget.amount / 2 else PLACED


def _is_sparse(space: Space, seeds: Seeds, epochs: int, budget: Budget | None) -> bool:
    """Whether a budget has too few trainings an axis for a process.

    A climb gives every cell all first seeds, and begins in every branch: neither pays with so few trainings.
    """
    if budget is None or budget.unit == "seconds" or seeds.first > 1 or space.conditional:
        return False
    n = budget.amount / (epochs if budget.unit == "epochs" else 1)
    return n < _SPARSE * len(space.axes)
