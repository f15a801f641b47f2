"""zonesearch: find the zones of hyperparameters where a network works best, and say how sure that is.

    from zonesearch import run_pipeline

    result = run_pipeline({"x": {"low": 0.0, "high": 1.0}, "y": [1, 2, 4, 8]}, objective=my_function, seeds=3)
    print(result.verdict.sentence)

The names below are the public ones; each is imported when it is first used, so that ``import zonesearch`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zonesearch.benchmark.comparing import compare_methods
    from zonesearch.core.axes import Axis, Choice
    from zonesearch.core.metric import Metric
    from zonesearch.core.objective import Job, Objective
    from zonesearch.core.space import Space
    from zonesearch.core.trials import Training, Trial, Trials
    from zonesearch.errors import (
        MergeError,
        ObjectiveError,
        SpaceError,
        StoreError,
        StudyError,
        ZoneSearchError,
    )
    from zonesearch.optuna.sampler import ZoneSampler
    from zonesearch.run.loading import load_run
    from zonesearch.run.pipeline import advance
    from zonesearch.run.result import Result
    from zonesearch.run.running import run_pipeline
    from zonesearch.search.stage import Plan, Stage
    from zonesearch.study.files import read_study
    from zonesearch.study.study import Study
    from zonesearch.training.network_file import load_network
    from zonesearch.training.reporting import report_epoch

__version__ = "0.2.0"

__all__ = [
    "Axis",
    "Job",
    "Choice",
    "MergeError",
    "Metric",
    "Objective",
    "ObjectiveError",
    "Plan",
    "Result",
    "Space",
    "SpaceError",
    "Stage",
    "StoreError",
    "Study",
    "StudyError",
    "Training",
    "Trial",
    "Trials",
    "ZoneSampler",
    "ZoneSearchError",
    "advance",
    "compare_methods",
    "load_network",
    "load_run",
    "read_study",
    "report_epoch",
    "run_pipeline",
]

_HOMES = {
    "zonesearch.benchmark.comparing": ("compare_methods",),
    "zonesearch.core.axes": ("Axis", "Choice"),
    "zonesearch.core.metric": ("Metric",),
    "zonesearch.core.objective": ("Job", "Objective"),
    "zonesearch.core.space": ("Space",),
    "zonesearch.core.trials": ("Training", "Trial", "Trials"),
    "zonesearch.errors": (
        "MergeError",
        "ObjectiveError",
        "SpaceError",
        "StoreError",
        "StudyError",
        "ZoneSearchError",
    ),
    "zonesearch.run.loading": ("load_run",),
    "zonesearch.run.pipeline": ("advance",),
    "zonesearch.run.result": ("Result",),
    "zonesearch.run.running": ("run_pipeline",),
    "zonesearch.optuna.sampler": ("ZoneSampler",),
    "zonesearch.search.stage": ("Plan", "Stage"),
    "zonesearch.study.files": ("read_study",),
    "zonesearch.study.study": ("Study",),
    "zonesearch.training.network_file": ("load_network",),
    "zonesearch.training.reporting": ("report_epoch",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'zonesearch' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
