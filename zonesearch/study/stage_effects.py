"""Settings of stages that have no effect, or duplicate another setting, are refused.

Stages check their own values on creation; this module checks what only the study knows: which keys were given, the
axes, and the order of stages. An existing run is read without these checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zonesearch.core.space import Space
from zonesearch.core.widening import has_limits
from zonesearch.errors import StudyError
from zonesearch.search.stage import Stage

__all__ = ["check_order", "check_stage_keys"]


def check_order(stages: Sequence[Stage]) -> None:
    """Check that each stage can start from the output of the previous one, as far as their classes declare it
    (``takes``, ``gives``), and that names are unique.

    Raises:
        StudyError: naming the stage and what it needs.
    """
    before: Stage | None = None
    for stage in stages:
        takes = getattr(stage, "takes", ())
        gives = getattr(before, "gives", "zones") if before is not None else "nothing"
        if takes and gives not in takes:
            said = f'the stage "{before.name}" before it hands on' if before is not None else "it comes first and has"
            raise StudyError(
                f'[search] stages: the stage "{stage.name}" begins from {" or ".join(takes)}, but {said} {gives}; '
                f'such as ["grid", "interval", "polish"] goes together'
            )
        before = stage
    names = [stage.name for stage in stages]
    for name in names:
        if names.count(name) > 1:
            raise StudyError(
                f'[search] stages names "{name}" {names.count(name)} times; give each a name of its own, whose table '
                f'says kind = "{name}"'
            )


def check_stage_keys(
    stages: Sequence[tuple[Stage, Mapping[str, Any]]], space: Space, schedule: str | None = None
) -> None:
    """Check that the keys given for stages have an effect.

    Args:
        stages: each with the keys given for it.
        space: what is searched.
        schedule: of the map's trainings; None if trainings have no schedule.

    Raises:
        StudyError: naming the table, the key and why it has no effect.
    """
    for stage, table in stages:
        if "own_schedule" in table:
            if not getattr(stage, "schedules", ()):
                raise StudyError(f"[{stage.name}] own_schedule has no effect: there are no schedules to choose among")
            own = str(table["own_schedule"])
            if schedule is not None and _bare(own) != _bare(schedule):
                raise StudyError(
                    f'[{stage.name}] own_schedule = "{own}", but [training] schedule = "{schedule}"; leave it out: it '
                    "is that of the trainings"
                )
        if table.get("schedules") and "schedule" in space.names:
            raise StudyError(
                f'[{stage.name}] schedules and the axis "schedule" set the same thing; leave out one of them'
            )
        if table.get("widen") and not has_limits(space):
            raise StudyError(f"[{stage.name}] widen has no effect: no axis has limit_low or limit_high")
        epochs = getattr(stage, "epochs", 1)
        if table.get("rivals") and not _named(stage, stages):
            raise StudyError(
                f"[{stage.name}] rivals has no effect: they are further cells of the zones of a grid, after "
                'which no stage may have choose = "mean"'
            )
        late = [rung for rung in table.get("rungs", ()) if rung >= epochs]
        if late:
            raise StudyError(f"[{stage.name}] rungs: {late[0]} has no effect, for all trainings end after {epochs}")


def _named(stage: Stage, stages: Sequence[tuple[Stage, Mapping[str, Any]]]) -> bool:
    """Whether rivals may reach the stage."""
    before = [other for other, _ in stages]
    before = before[: before.index(stage)]
    chosen = [getattr(other, "choose", "posterior") for other in (*before, stage)]
    return any(hasattr(other, "peaks") for other in before) and all(choose == "posterior" for choose in chosen)


def _bare(schedule: str) -> str:
    return schedule.replace(" ", "").removesuffix("()")
