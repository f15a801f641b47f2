"""The forecast of a study before anything is trained, from the prior of the stage ``controller``, for any stages."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from zonesearch.core.objective import Objective
from zonesearch.errors import StoreError, StudyError
from zonesearch.run.learning import learned_stages
from zonesearch.search.controller.context import known_optimizer
from zonesearch.search.controller.foresight import Foresight, foresee
from zonesearch.search.controller.prior import load_prior
from zonesearch.search.controller.stage import Controller
from zonesearch.search.controller.view import View
from zonesearch.statistics.gp.cube import Cube
from zonesearch.study.study import Study

__all__ = ["foresight_of"]


def foresight_of(study: Study, objective: Objective) -> Foresight | None:
    """The forecast for ``study``; None if no axis has a role.

    Earlier runs count as in a run of its stage ``controller``; without that stage, those in the user's cache count,
    unless it cannot be read: a cache that the study does not use must not prevent planning.

    Raises:
        StudyError, StoreError, MergeError: an earlier run cannot be read.
    """
    own = next((stage for stage in study.stages if isinstance(stage, Controller)), None)
    stage: Any = own or _stage(study, objective)
    with suppress(*(() if own else (StoreError, StudyError))):
        (stage,) = learned_stages([stage], cache=True)
    view = View.of(Cube(study.space), load_prior(), study.epochs, stage.optimizer, stage.lessons)
    return foresee(view, stage.level)


def _stage(study: Study, objective: Objective) -> Controller:
    named: Any = getattr(getattr(objective, "optimizer", None), "name", "")
    searched = {"optimizer", "optimizer.name", "arm"} & set(study.space.names)
    level = next((float(level) for stage in study.stages if (level := getattr(stage, "level", None))), 0.95)
    return Controller(study.space, study.epochs, level=level, optimizer="" if searched else known_optimizer(named))
