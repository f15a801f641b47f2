"""The part of an engine that runs on the worker: train one job to the end, whatever happens.

A failed training is a result. After an exception from the objective, the job is tried again, one training at a time so
that one bad training does not fail its whole job; if it fails again, it is recorded with its traceback. Only errors
that the user must fix (``ZoneSearchError``: missing data, a function that returns a string) propagate, since the next
thousand trainings would meet them too.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from zonesearch.core.objective import Job, Objective, Report
from zonesearch.core.trials import Training, Trial
from zonesearch.errors import ZoneSearchError
from zonesearch.run.storage.provenance import machine

__all__ = ["failed", "train_job"]

_LONGEST_LINE, _MOST_LINES = 1_000, 200
"""The most characters of a line, and lines of an error, that are recorded."""


def train_job(
    objective: Objective,
    job: Job,
    report: Report,
    provenance: Mapping[str, Any] | None = None,
    on_try: Callable[[int], None] = lambda n_trainings: None,
) -> Iterator[Trial]:
    """Exactly one trial for each training of ``job``, as they finish.

    Args:
        objective: to train.
        job: the trainings.
        report: called with the completed fraction, 0 to 1.
        provenance: what the engine knows about where this runs; machine and start time are added.
        on_try: called before each try with its number of trainings, for time limits.

    Raises:
        ZoneSearchError: the objective cannot be trained; there is nothing to record.
    """
    where = {**machine(), **(provenance or {}), "started": datetime.now(UTC).isoformat(timespec="milliseconds")}
    missing = {training.identity: training for training in job.trainings}
    error = ""
    on_try(len(job.trainings))
    try:
        for trial in _asked_for(objective, job, report, missing):
            yield _placed(trial, where)
        error = "the objective returned no trial for this training"
    except ZoneSearchError:
        raise
    except (Exception, SystemExit):
        error = traceback.format_exc()
    for training in list(missing.values()):
        alone = {training.identity: training}
        on_try(1)
        try:
            for trial in _asked_for(objective, Job((training,), job.cost), report, alone):
                yield _placed(trial, where)
        except ZoneSearchError:
            raise
        except (Exception, SystemExit):
            error = traceback.format_exc()
        if alone:
            yield failed(training, error, where)


def failed(training: Training, error: str, provenance: Mapping[str, Any], seconds: float = 0.0) -> Trial:
    """The trial of a training that ended with an error after this many seconds."""
    return Trial(training, "failed", error=shortened(error), seconds=seconds, provenance=dict(provenance))


def shortened(error: str) -> str:
    """``error``, cut to a readable length: a message may hold a whole tensor, a traceback a thousand calls.

    Long lines lose their middle, then the text loses its middle lines, since beginning and end are the most
    informative.
    """
    if len(error) <= _LONGEST_LINE:
        return error
    lines = [
        line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 200]} ... {line[-200:]}"
        for line in error.splitlines()
    ]
    if len(lines) > _MOST_LINES:
        left_out = len(lines) - _MOST_LINES
        head, tail = lines[: _MOST_LINES // 4], lines[-(_MOST_LINES - _MOST_LINES // 4) :]
        lines = [*head, f"  ... ({left_out:,} lines left out) ...", *tail]
    return "\n".join(lines) + ("\n" if error.endswith("\n") else "")


def _asked_for(objective: Objective, job: Job, report: Report, missing: dict[Any, Training]) -> Iterator[Trial]:
    """The trials that the objective yields, each training once; removes it from ``missing``."""
    for trial in objective.train(job, report):
        if missing.pop(trial.training.identity, None) is not None:
            yield trial


def _placed(trial: Trial, where: Mapping[str, Any]) -> Trial:
    return replace(trial, provenance={**where, **trial.provenance}, error=shortened(trial.error))
