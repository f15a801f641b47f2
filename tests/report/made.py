"""Searches over analytic surfaces, with curves, costs and test accuracies as a network would give them, in no time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from zonesearch import Study, Training, Trial, Trials
from zonesearch.run.pipeline import find, next_round
from zonesearch.statistics.search_results import SearchResults

SPACE: dict[str, Any] = {
    "width": {"low": 32, "high": 2048, "scale": "log", "row": "doubling"},
    "batch": {"low": 8, "high": 512, "scale": "log", "row": "doubling"},
}
EPOCHS = 12
Train = Callable[[Training], Trial]


def height(params: Mapping[str, Any]) -> float:
    """Two peaks over the first two parameters, a slope over further numbers; choices lift by their length."""
    ordered = [params[name] for name in ("width", "batch") if name in params]
    ordered += [value for name, value in params.items() if name not in ("width", "batch")]
    u = [math.log2(v) if isinstance(v, int | float) and v > 0 else 0.1 * len(str(v)) for v in ordered]
    u += [5.0] * (2 - len(u))
    peaks = math.exp(-((u[0] - 7) ** 2 + (u[1] - 4) ** 2) / 3) + 0.97 * math.exp(
        -((u[0] - 10) ** 2 + (u[1] - 7) ** 2) / 3
    )
    return 0.85 + 0.1 * peaks + 0.002 * sum(u[2:])


def trained(training: Training) -> Trial:
    """A trial as a network would give it: an exponential approach to ``height``, noise between seeds and epochs."""
    params = {name: value for name, value in training.params.items() if name != "schedule"}
    schedule = training.params.get("schedule", "constant")
    rng = np.random.default_rng([training.seed, *(ord(c) for c in str(sorted(params.items())))])
    rate = 0.001 * np.where(np.arange(training.epochs) > training.epochs / 2, 1 if schedule == "constant" else 0.5, 1)
    top = height(params) + rng.normal(0, 0.003)
    curve = top * (1 - 0.6 * np.exp(-np.arange(1, training.epochs + 1) / 3)) + rng.normal(0, 0.002, training.epochs)
    accuracy = float(curve.max())
    return Trial(
        training,
        accuracy=accuracy,
        curve={"validation_accuracy": curve.tolist(), "learning_rate": rate.tolist()},
        test_accuracy=accuracy - 0.004 if training.test else None,
        seconds=0.001 * training.epochs * math.log(2 + sum(v for v in params.values() if isinstance(v, int | float))),
        n_parameters=int(10 * sum(v for v in params.values() if isinstance(v, int | float))) + 10,
        n_validation=5000,
        n_test=5000 if training.test else None,
        provenance={"host": "north", "torch": "2.0"},
    )


def diverging(training: Training) -> Trial:
    """Large widths at the smallest batch diverge, the largest batch fails at the smallest width."""
    if training.params["width"] >= 1024 and training.params["batch"] == 8:
        return Trial(training, "diverged", seconds=0.1)
    if training.params["width"] == 32 and training.params["batch"] == 512:
        return Trial(training, "failed", error="Traceback\nValueError: no <memory> left")
    return trained(training)


def failing(training: Training) -> Trial:
    """Every training fails."""
    return Trial(training, "failed", error="Traceback\nRuntimeError: boom")


def searched(
    space: Mapping[str, Any] | None = None,
    train: Train = trained,
    *,
    name: str = "made",
    at_most: int | None = None,
    epochs: int = EPOCHS,
    seeds: int = 2,
    **settings: Any,
) -> SearchResults:
    """The results of a search.

    Args:
        space: by default two axes with two known zones.
        train: what answers for a network.
        name: of the study.
        at_most: the search is interrupted after so many trainings.
        epochs, seeds: of the map.
        settings: of the stages.
    """
    settings.setdefault("polish", {"keep": 3, "repeats": 4, "schedules": ["constant", "step(every=7, factor=0.5)"]})
    settings.setdefault("stages", ["grid", "interval", "polish"])
    study = Study.of(space or SPACE, _nothing, name=name, epochs=epochs, seeds=seeds, **settings)
    trials = Trials()
    while missing := next_round(study.stages, trials).missing:
        left = len(missing) if at_most is None else at_most - len(trials)
        trials = trials | Trials(train(training) for training in missing[:left])
        if left < len(missing) or not any(trial.complete for trial in trials):
            break
    return find(study, trials, "0123456789abcdef")


def _nothing(params: Mapping[str, Any]) -> float:
    raise AssertionError("the trials are made, nothing is trained")
