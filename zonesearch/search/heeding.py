"""Features of a space that stages must support: a setting that no stage would use is refused.

A stage class lists them in ``heeds``. Limits and beliefs need one stage that supports them; conditions and constraints
must be supported by every stage, since any other would train forbidden points.
"""

from __future__ import annotations

from collections.abc import Sequence

from zonesearch.core.space import Space
from zonesearch.core.widening import has_limits
from zonesearch.errors import StudyError
from zonesearch.search.stage import Stage

__all__ = ["check_heeded"]


def check_heeded(space: Space, stages: Sequence[Stage], *, limits: bool = True) -> None:
    """Check that the stages support the space, except for its ``limits`` where these may be left without a use.

    Raises:
        StudyError: naming the feature that no stage, or one of them, does not support.
    """
    heeded: list[frozenset[str]] = [getattr(stage, "heeds", frozenset()) for stage in stages]
    if limits and has_limits(space) and not any("limits" in each for each in heeded):
        raise StudyError(
            "limit_low and limit_high are for the stage grid, which extends the grid beyond an edge, and "
            "none of the stages is "
            "one: leave them out, or let low and high reach further"
        )
    believed = [axis.name for axis in space.axes if getattr(axis, "prior", None) is not None]
    if believed and not any("prior" in each for each in heeded):
        raise StudyError(
            f"prior of {believed[0]} is for the stage surrogate, and none of the stages is one: leave it out, or take "
            'stages = ["surrogate", "polish"]'
        )
    for wanted, what, there in (
        ("when", "when", space.conditional),
        ("constraints", "constraints", bool(space.constraints)),
    ):
        blind = [stage.name for stage, each in zip(stages, heeded, strict=True) if there and wanted not in each]
        if blind:
            raise StudyError(
                f"stage {blind[0]} does not support {what}, and would train settings that do not apply or "
                f"are not allowed: leave "
                f"them out, or take another stage"
            )
