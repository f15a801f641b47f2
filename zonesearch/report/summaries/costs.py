"""The cost of a search, its completeness, its failures, and where it ran."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from zonesearch.core.trials import Trial
from zonesearch.core.wording import point_text
from zonesearch.statistics.search_results import SearchResults

__all__ = ["failures_table", "provenance_table", "reasons_table", "stages_table", "trials_table"]


def stages_table(results: SearchResults) -> pd.DataFrame:
    """One row per stage: planned, done, diverged, failed, missing, epochs, seconds of training; pruned, if any.

    A training requested by two stages counts for the first. A stage that has not started has nothing planned yet.
    """
    seen: set[Any] = set()
    rows = []
    pruned = any(trial.state == "pruned" for trial in results.trials)
    for record in results.stages:
        mine = [t for t in dict.fromkeys(record.wanted) if t.identity not in seen]
        mine = list({training.identity: training for training in mine}.values())
        seen.update(training.identity for training in mine)
        back = [trial for training in mine if (trial := results.trials.get(training)) is not None]
        states = [trial.state for trial in back]
        rows.append(
            {
                "stage": record.name,
                "planned": len(mine),
                "done": states.count("complete"),
                "diverged": states.count("diverged"),
                "failed": states.count("failed"),
                **({"pruned": states.count("pruned")} if pruned else {}),
                "missing": len(mine) - len(back),
                "epochs": sum(trial.epochs if trial.complete else len(trial.validation_curve) for trial in back),
                "seconds": math.fsum(trial.seconds for trial in back),
                "state": "finished" if record.finished else "under way" if record.wanted else "not begun",
            }
        )
    return pd.DataFrame(rows)


def failures_table(results: SearchResults) -> pd.DataFrame:
    """One row per diverged or failed training, with the last line of its traceback."""
    return pd.DataFrame(
        [
            {
                "training": point_text(trial.params),
                "seed": trial.seed,
                "state": trial.state,
                "what": (trial.error.strip().splitlines() or [""])[-1],
            }
            for trial in results.trials
            if trial.state in ("diverged", "failed")
        ]
    )


def provenance_table(results: SearchResults) -> pd.DataFrame:
    """One row per distinct machine, device, precision and set of versions, with its number of trainings."""
    groups: dict[tuple[tuple[str, str], ...], list[Trial]] = {}
    for trial in results.trials:
        where = {
            k: str(v)
            for k, v in trial.provenance.items()
            if k not in ("started", "round", "elapsed", "worker", "shard", "optuna_trial")
        }
        groups.setdefault(tuple(sorted(where.items())), []).append(trial)
    rows = [
        {**dict(where), "trainings": len(trials), "seconds": math.fsum(t.seconds for t in trials)}
        for where, trials in sorted(groups.items())
    ]
    return pd.DataFrame(rows)


def reasons_table(results: SearchResults) -> pd.DataFrame:
    """One row per training for which its stage gave a reason, in order of proposal."""
    rows = []
    for number, (training, why) in enumerate(results.reasons.items(), start=1):
        trial = results.trials.get(training)
        value = trial.value(results.reading) if trial is not None and trial.complete else None
        shown = {name: training.params.get(name) for name in results.space.names}
        rows.append({"proposal": number, **shown, f"{results.metric.name} of the training": value, "why": why})
    return pd.DataFrame(rows)


def trials_table(results: SearchResults) -> pd.DataFrame:
    """Every training that finished, the columns (params..., value) first."""
    frame = results.trials.frame(results.metric)
    names = [name for name in results.space.names if name in frame.columns]
    return frame[[*names, *(column for column in frame.columns if column not in names)]]
