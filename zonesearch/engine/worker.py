"""One bundle, trained to the end whatever happens: the part of an engine that runs on the worker.

A training that fails is a result. An exception that escapes the objective costs a second try, one training at a time
so that one bad training does not take its bundle with it; after that it is recorded as failed with its traceback.
Only errors that a person has to mend (``ZoneSearchError``: data that is not there, a function that returns a word)
go through, because the next thousand trainings would meet them too.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from zonesearch.domain.objective import Bundle, Objective, Report
from zonesearch.domain.trials import Training, Trial
from zonesearch.engine.provenance import machine
from zonesearch.errors import ZoneSearchError

__all__ = ["failed", "train_bundle"]


def train_bundle(
    objective: Objective, bundle: Bundle, report: Report, provenance: Mapping[str, Any] | None = None
) -> Iterator[Trial]:
    """Exactly one trial for each training of ``bundle``, as they finish.

    Args:
        objective: what trains.
        bundle: what is trained.
        report: called with the share that is done, 0 to 1.
        provenance: what the engine knows about where this runs; the machine and the start are added.

    Raises:
        ZoneSearchError: the objective cannot be trained as asked; nothing to be recorded.
    """
    where = {**machine(), **(provenance or {}), "started": datetime.now(UTC).isoformat(timespec="milliseconds")}
    missing = {training.identity: training for training in bundle.trainings}
    error = ""
    try:
        for trial in _asked_for(objective, bundle, report, missing):
            yield _placed(trial, where)
        error = "the objective returned no trial for this training"
    except ZoneSearchError:
        raise
    except (Exception, SystemExit):
        error = traceback.format_exc()
    for training in list(missing.values()):
        alone = {training.identity: training}
        try:
            for trial in _asked_for(objective, Bundle((training,), bundle.cost), report, alone):
                yield _placed(trial, where)
        except ZoneSearchError:
            raise
        except (Exception, SystemExit):
            error = traceback.format_exc()
        if alone:
            yield failed(training, error, where)


def failed(training: Training, error: str, provenance: Mapping[str, Any]) -> Trial:
    """The trial of a training that brought nothing but an error."""
    return Trial(training, "failed", error=error, provenance=dict(provenance))


def _asked_for(objective: Objective, bundle: Bundle, report: Report, missing: dict[Any, Training]) -> Iterator[Trial]:
    """What the objective yields, each training once; takes it out of ``missing``."""
    for trial in objective.train(bundle, report):
        if missing.pop(trial.training.identity, None) is not None:
            yield trial


def _placed(trial: Trial, where: Mapping[str, Any]) -> Trial:
    return replace(trial, provenance={**where, **trial.provenance})
