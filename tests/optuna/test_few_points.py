"""A space of few points: each gets a trial before any gets a second one, unless a second one is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest

from zonesearch import ZoneSampler
from zonesearch.core.space import Space

optuna.logging.set_verbosity(optuna.logging.ERROR)

Suggest = Callable[[optuna.Trial], float]


def whole(trial: optuna.Trial) -> float:
    return -float((trial.suggest_int("a", 1, 4) - 3) ** 2 + (trial.suggest_int("b", 0, 2) - 1) ** 2)


def chosen(trial: optuna.Trial) -> float:
    kind = trial.suggest_categorical("kind", ["p", "q", None])
    return float(trial.suggest_categorical("size", [1, 2, 4]) * (1.5 if kind is None else 1.0))


def stepped(trial: optuna.Trial) -> float:
    return -abs(trial.suggest_float("x", 0.1, 0.9, step=0.2) - 0.5) - trial.suggest_int("n", 1, 9, step=4) / 10


def logarithmic(trial: optuna.Trial) -> float:
    return -abs(trial.suggest_int("width", 1, 9, log=True) - 7.0)


def of_three(trial: optuna.Trial) -> float:
    return float(sum(trial.suggest_int(name, 0, 2) for name in "abc"))


def branching(trial: optuna.Trial) -> float:
    if trial.suggest_categorical("kind", ["flat", "deep"]) == "flat":
        return float(trial.suggest_int("width", 1, 3))
    return float(trial.suggest_int("depth", 1, 5))


def points(study: optuna.Study) -> list[Any]:
    return [tuple(sorted(trial.params.items())) for trial in study.trials]


def asked(objective: Suggest, n: int, parallel: int = 1, noise: float = 0.0, space: Any = None, **more: Any) -> Any:
    """The study after ``n`` trials, ``parallel`` of them at a time."""
    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(space, seed=0, **more))
    rng = np.random.default_rng(0)
    while len(study.trials) < n:
        trials = [study.ask() for _ in range(min(parallel, n - len(study.trials)))]
        values = [objective(trial) for trial in trials]
        for trial, value in zip(trials, values, strict=True):
            study.tell(trial, value + float(rng.normal(0, noise)))
    return study


@pytest.mark.parametrize(
    ("objective", "n"), [(whole, 12), (chosen, 9), (stepped, 15), (logarithmic, 9), (of_three, 27), (branching, 8)]
)
@pytest.mark.parametrize("parallel", [1, 5])
def test_all_points_are_tried_before_one_is_repeated(objective: Suggest, n: int, parallel: int) -> None:
    assert len(set(points(asked(objective, n, parallel)))) == n


@pytest.mark.parametrize("parallel", [1, 4])
def test_noise_makes_no_difference_to_that_and_then_gives_the_best_further_seeds(parallel: int) -> None:
    study = asked(whole, 40, parallel, noise=0.5)
    assert len(set(points(study)[:12])) == 12
    often = Counter(points(study)[12:])
    assert often.most_common(1)[0][0] == (("a", 3), ("b", 1))


@pytest.mark.parametrize("settings", [{}, {"afterwards": "random"}, {"seeds": 2}, {"stages": ["surrogate"]}])
def test_whatever_the_settings(settings: Any) -> None:
    assert len(set(points(asked(whole, 12, 3, **settings)))) == 12


def test_points_outside_the_constraints_are_none() -> None:
    space = Space.parse({"a": {"low": 1, "high": 5}, "b": {"low": 1, "high": 5}}, ["a + b <= 5"])

    def objective(trial: optuna.Trial) -> float:
        return float(trial.suggest_int("a", 1, 5) * trial.suggest_int("b", 1, 5))

    for parallel in (1, 4):
        at = [(t.params["a"], t.params["b"]) for t in asked(objective, 10, parallel, space=space).trials]
        assert set(at) == {(a, b) for a in range(1, 6) for b in range(1, 6) if a + b <= 5}


def test_a_branch_has_its_own_points() -> None:
    space = {"kind": ["flat", "deep"], "depth": {"low": 1, "high": 5, "when": {"kind": "deep"}}}

    def objective(trial: optuna.Trial) -> float:
        deep = trial.suggest_categorical("kind", ["flat", "deep"]) == "deep"
        return float(trial.suggest_int("depth", 1, 5)) if deep else 0.0

    assert len(set(points(asked(objective, 6, space=space)))) == 6


def test_pruned_and_failed_points_were_tried() -> None:
    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(seed=0))
    for i in range(12):
        trial = study.ask()
        value = whole(trial)
        trial.report(value, 1)
        state = (None, optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.FAIL)[i % 3]
        study.tell(trial, None if state else value, state=state)
    assert len(set(points(study))) == 12


@pytest.mark.parametrize("objective", [whole, chosen, stepped, logarithmic])
def test_trials_that_begin_before_the_space_is_known_are_different_too(objective: Suggest) -> None:
    study = optuna.create_study(sampler=ZoneSampler(seed=0))
    trials = [study.ask() for _ in range(8)]
    for trial in trials:
        objective(trial)
    assert len(set(points(study))) == 8


def test_failures_before_the_space_is_known_are_not_repeated() -> None:
    study = optuna.create_study(sampler=ZoneSampler(seed=0))
    for _ in range(12):
        trial = study.ask()
        whole(trial)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    assert len(set(points(study))) == 12


def test_random_draws_repeat_no_point_of_a_larger_space() -> None:
    def objective(trial: optuna.Trial) -> float:
        return float(trial.suggest_int("a", 1, 7) + trial.suggest_int("b", 1, 7))

    study = asked(objective, 40, stages=["grid"], afterwards="random")
    assert len(set(points(study))) == 40


@pytest.mark.parametrize("seed", range(3))
def test_no_point_is_repeated_before_the_first_result_in_branches_of_unequal_size(seed: int) -> None:
    def suggested(trial: optuna.Trial) -> str:
        if trial.suggest_categorical("kind", ["single", "few", "many"]) == "few":
            trial.suggest_int("n", 1, 2)
        elif trial.params["kind"] == "many":
            trial.suggest_float("x", 0, 1)
        return repr(sorted(trial.params.items()))

    study = optuna.create_study(sampler=ZoneSampler(seed=seed))
    points = [suggested(study.ask()) for _ in range(9)]
    assert len(set(points)) == len(points)
