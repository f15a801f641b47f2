"""What is exported of a training, for any tracker, as plain data.

A tracker identifies a training by its key, and its progress by its epochs: a training that was continued is exported
from where the tracker's curves end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zonesearch.core.trials import Trial, Value
from zonesearch.statistics.search_results import SearchResults

__all__ = ["Tracked", "study_facts", "study_values", "tracked"]


@dataclass(frozen=True)
class Tracked:
    """One training as a tracker shows it.

    Args:
        key: of the training; ``name`` is a short form of its parameters.
        epochs: number of epochs trained.
        complete: whether it has a value.
        params: the parameters and the seed.
        curves: by quantity, one value per epoch, from epoch 1 on.
        values: at its end: the metric first, then everything else that was measured.
        facts: as text: state, stage, zone, error, where it ran.
        started: seconds since 1970; the time of the export if it was not recorded.
        seconds: its duration.
    """

    key: str
    name: str
    epochs: int
    complete: bool
    params: Mapping[str, Value]
    curves: Mapping[str, tuple[float, ...]]
    values: Mapping[str, float]
    facts: Mapping[str, str]
    started: float
    seconds: float


def tracked(trial: Trial, described: Mapping[str, Any], now: float) -> Tracked:
    """``trial`` for a tracker.

    Args:
        trial: the trial.
        described: its stage and zone.
        now: seconds since 1970, for trials without a start time.
    """
    metric = trial.metric.name
    values = {metric: trial.accuracy, f"test_{metric}": trial.test_accuracy, "seconds": trial.seconds}
    values |= {"n_parameters": trial.n_parameters, "cost": trial.cost, **trial.noted}
    facts = {
        "state": trial.state,
        **described,
        "error": trial.reason if trial.error else "",
        "host": trial.provenance.get("host"),
        "device": trial.provenance.get("device"),
    }
    words = ", ".join(
        f"{name} {value:.4g}" if _is_number(value) else f"{name} {value}" for name, value in _items(trial)
    )
    return Tracked(
        key=trial.training.key,
        name=f"{words}, seed {trial.seed}",
        epochs=trial.epochs,
        complete=trial.complete,
        params={**trial.params, "seed": trial.seed},
        curves={_quantity(name, metric): tuple(curve) for name, curve in trial.curve.items() if name != "step_loss"},
        values={name: float(value) for name, value in values.items() if value is not None},
        facts={name: str(fact) for name, fact in facts.items() if fact not in (None, "")},
        started=_seconds(trial.provenance.get("started"), now),
        seconds=trial.seconds,
    )


def study_facts(results: SearchResults) -> dict[str, str]:
    """What is exported of a study as text: its state, its search space and stages, notes."""
    sentence = results.verdict.sentence if results.verdict else f"{len(results.trials)} trainings, no verdict yet."
    return {
        "verdict": sentence,
        "notes": "\n".join(results.notes),
        "space": "; ".join(f"{name}: {table}" for name, table in results.space.describe().items()),
        "stages": ", ".join(stage.name for stage in results.stages),
        "metric": f"{results.metric.name} ({results.metric.direction})",
        "fingerprint": results.fingerprint,
    }


def study_values(results: SearchResults) -> dict[str, float]:
    """What is exported of a study as numbers: the best value, the number of trainings, the verdict's measurements."""
    values = {"trainings": float(len(results.trials)), "zones": float(len(results.zones))}
    known = [trial.accuracy for trial in results.trials if trial.accuracy is not None]
    if known:
        values[f"best_{results.metric.name}"] = results.metric.best(known)
    if results.verdict is not None and results.verdict.best is not None:
        values[f"verdict_{results.metric.name}"] = results.verdict.best.mean
    return values


def _items(trial: Trial) -> list[tuple[str, Value]]:
    return list(trial.params.items())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _quantity(name: str, metric: str) -> str:
    """The name of a curve; the searched one is named after the metric."""
    return name.replace("accuracy", metric) if name == "validation_accuracy" else name


def _seconds(started: object, now: float) -> float:
    try:
        return datetime.fromisoformat(str(started)).timestamp()
    except ValueError:
        return now
