"""The forecast of a study before anything is trained, by the prior of the stage ``controller``, whatever its stages."""

from __future__ import annotations

from typing import Any

from zonesearch.core.objective import Objective
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
    """What is foretold of ``study``; None where no axis has a role.

    Earlier runs count as they would in a run of its stage ``controller``; where it has none, those in the user's cache.

    Raises:
        StudyError, StoreError, MergeError: an earlier run cannot be read.
    """
    own = next((stage for stage in study.stages if isinstance(stage, Controller)), None) or _stage(study, objective)
    stage: Any = learned_stages([own], cache=True)[0]
    view = View.of(Cube(study.space), load_prior(), study.epochs, stage.optimizer, stage.lessons)
    return foresee(view, stage.level)


def _stage(study: Study, objective: Objective) -> Controller:
    named: Any = getattr(getattr(objective, "optimizer", None), "name", "")
    searched = {"optimizer", "optimizer.name", "arm"} & set(study.space.names)
    level = next((float(level) for stage in study.stages if (level := getattr(stage, "level", None))), 0.95)
    return Controller(study.space, study.epochs, level=level, optimizer="" if searched else known_optimizer(named))
