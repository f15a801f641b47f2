"""Derived facts about a study and its trials: the progress of shards, the stage and zone of each training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from zonesearch.core.trials import Params, Trial, Trials
from zonesearch.core.values import same
from zonesearch.run.pipeline import find, next_round
from zonesearch.run.shards import Deal, ShardStatus, shard_statuses
from zonesearch.statistics.zones import Zone
from zonesearch.study.study import Study

__all__ = ["Describe", "describe_by", "shards_of"]

Describe = Callable[[Trial], Mapping[str, Any]]
"""What is shown of a trial in addition to its own values: its ``stage`` and its ``zone``."""


def shards_of(study: Study, deals: Iterable[Deal], trials: Trials) -> list[ShardStatus]:
    """The progress of each shard with what the study wants now.

    Empty if nothing more is wanted, or if what is wanted now has not been assigned yet.

    Args:
        study: the study; its objective is not needed.
        deals: the assignments recorded with the trials.
        trials: known here.
    """
    at = next_round(study.stages, trials, study.budget)
    return [] if at.finished else shard_statuses(at.plan.trainings, deals, trials)


def describe_by(study: Study, trials: Trials) -> Describe:
    """For the Optuna view: the stage that first wanted a training, and the zone that its parameters belong to."""
    results = find(study, trials)
    stages: dict[Any, str] = {}
    for record in results.stages:
        for training in record.wanted:
            stages.setdefault(training.identity, record.name)

    def describe(trial: Trial) -> Mapping[str, Any]:
        zone = next((zone for zone in results.zones if _belongs(zone, trial.params)), None)
        return {"stage": stages.get(trial.training.identity, ""), "zone": zone.number if zone else None}

    return describe


def _belongs(zone: Zone, params: Params) -> bool:
    """Whether ``params`` is a cell of the zone, or on a line through its peak within its intervals."""
    own = {name: params.get(name) for name in zone.peak}
    if any(own == dict(cell) for cell in zone.cells):
        return True
    moved = [name for name in own if own[name] != zone.peak[name]]
    if len(moved) != 1:
        return not moved
    value, interval = own[moved[0]], zone.intervals[moved[0]]
    if isinstance(value, int | float) and all(isinstance(end, int | float) for end in interval):
        return min(interval) <= value <= max(interval)  # type: ignore[operator, type-var]
    return any(same(value, other) for other in interval)
