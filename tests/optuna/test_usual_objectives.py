"""Objectives such as Optuna's own examples have, rewritten, under ``ZoneSampler``, with what TPE reaches beside.

What TPE reaches with as many trials is computed here as well, so that the comparison is of this version of Optuna.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, TPESampler
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.svm import SVC

from zonesearch import ZoneSampler

N_TRIALS = 40
iris = functools.cache(lambda: load_iris(return_X_y=True))


def quadratic(trial: optuna.Trial) -> float:
    """The first one of the documentation; negative, since all of these are maximized."""
    return -((trial.suggest_float("x", -10, 10) - 2) ** 2)


def of_several_kinds(trial: optuna.Trial) -> float:
    """A real number, a whole one and a choice."""
    x = trial.suggest_float("x", 1e-3, 1e3, log=True)
    n = trial.suggest_int("n", 1, 20)
    kind = trial.suggest_categorical("kind", ["a", "b", None])
    return -abs(np.log10(x) - 1) - abs(n - 7) / 4 - {"a": 0.5, "b": 0.0, None: 1.0}[kind]


def classifier(trial: optuna.Trial) -> float:
    """Which kind of classifier, and the settings that only this kind has."""
    x, y = iris()
    if trial.suggest_categorical("classifier", ["SVC", "forest"]) == "SVC":
        made = SVC(C=trial.suggest_float("svc_c", 1e-10, 1e10, log=True), gamma="auto")
    else:
        made = RandomForestClassifier(
            max_depth=trial.suggest_int("depth", 2, 32, log=True), n_estimators=5, random_state=0
        )
    return float(cross_val_score(made, x, y, cv=3).mean())


def pruned(trial: optuna.Trial) -> float:
    """Steps of gradient descent, reported one by one, that a pruner may end."""
    x, y = iris()
    x_train, x_valid, y_train, y_valid = train_test_split(x, y, test_size=0.25, random_state=0)
    x_train, x_valid = (part - x_train.mean(0) for part in (x_train, x_valid))
    alpha = trial.suggest_float("alpha", 1e-5, 1e-1, log=True)
    made = SGDClassifier("log_loss", alpha=alpha, average=True, random_state=0)
    for step in range(15):
        made.partial_fit(x_train, y_train, classes=np.unique(y))
        trial.report(made.score(x_valid, y_valid), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(made.score(x_valid, y_valid))


OBJECTIVES = {quadratic: 0.05, of_several_kinds: 0.5, classifier: 0.02, pruned: 0.05}
"""How much less than TPE the best of one search may be: both are lucky or not."""


def best(objective: Callable[[optuna.Trial], float], sampler: BaseSampler) -> tuple[float, int]:
    """The best value of a search, and the number of different points that it asked for."""
    pruner = MedianPruner(n_warmup_steps=5) if objective is pruned else None
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.optimize(objective, n_trials=N_TRIALS)
    assert all(trial.state.is_finished() for trial in study.trials)
    return study.best_value, len({tuple(sorted(trial.params.items(), key=str)) for trial in study.trials})


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.__name__)
def test_usual_objectives_reach_what_tpe_reaches(objective: Callable[[optuna.Trial], float]) -> None:
    ours, n_points = best(objective, ZoneSampler(seed=0))
    theirs, _ = best(objective, TPESampler(seed=0))
    said = f"{objective.__name__}: {ours:.4f} with {n_points} points, TPE {theirs:.4f}"
    assert n_points >= N_TRIALS // 2, said
    assert ours >= theirs - OBJECTIVES[objective], said
