"""Trials that are asked for at one time are at different points, whatever the stages are at."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest

from zonesearch import ZoneSampler

optuna.logging.set_verbosity(optuna.logging.ERROR)


def rounds(n_axes: int, parallel: int, n: int, noise: float = 0.3, kind: str = "float", **settings: Any) -> list[Any]:
    """The points of each round of ``parallel`` asks, and the study."""
    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(seed=0, **settings))
    rng = np.random.default_rng(0)
    found = []
    for _ in range(n):
        trials = [study.ask() for _ in range(parallel)]
        points = []
        for trial in trials:
            if kind == "whole":
                units = [trial.suggest_int(f"x{i}", 0, 63) / 63 for i in range(n_axes)]
            elif kind == "mixed":
                units = ["abc".index(trial.suggest_categorical("x0", list("abc"))) / 2]
                units += [trial.suggest_float(f"x{i}", 0, 1) for i in range(1, n_axes)]
            else:
                units = [trial.suggest_float(f"x{i}", 0, 1) for i in range(n_axes)]
            points.append(tuple(units))
        for trial, point in zip(trials, points, strict=True):
            study.tell(trial, 90 - 60 * sum((u - 0.63) ** 2 for u in point) + float(rng.normal(0, noise)))
        found.append(points)
    return found


@pytest.mark.parametrize(
    ("n_axes", "more"),
    [
        (1, {}),
        (2, {}),
        (2, {"noise": 0.0}),
        (2, {"kind": "whole"}),
        (2, {"stages": ["grid", "polish"]}),
        (2, {"seeds": 2}),
        (3, {"kind": "mixed"}),
        (4, {"surrogate": {"n_trainings": 40}}),
        (4, {"stages": ["surrogate"], "surrogate": {"n_trainings": 16}}),
        (4, {"stages": ["coordinate", "interval", "polish"], "coordinate": {"n_trainings": 24}}),
    ],
)
def test_all_asks_of_a_round_are_distinct_to_the_end_of_the_stages_and_beyond(n_axes: int, more: Any) -> None:
    for points in rounds(n_axes, 8, 8, **more):
        assert len(set(points)) == 8


def test_asks_go_on_distinct_when_all_of_a_stage_is_running() -> None:
    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(stages=["grid"], seed=0))
    first = study.ask()
    study.tell(first, -((first.suggest_float("x", 0, 1) - 0.3) ** 2))
    asked = [study.ask().suggest_float("x", 0, 1) for _ in range(12)]  # the grid has five values
    assert len(set(asked)) == 12


def test_a_space_with_few_points_gives_further_seeds() -> None:
    space = {"x": {"low": 1, "high": 2}, "y": ["a", "b"]}
    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(space, seed=0))
    rng = np.random.default_rng(0)
    for _ in range(4):
        trials = [study.ask() for _ in range(6)]
        points = [(t.suggest_int("x", 1, 2), t.suggest_categorical("y", ["a", "b"])) for t in trials]
        assert len(set(points)) == 4
        for trial, (x, y) in zip(trials, points, strict=True):
            study.tell(trial, x + (y == "a") + float(rng.normal(0, 1)))


def test_trials_that_begin_before_anything_is_known_are_a_latin_hypercube() -> None:
    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(seed=0))
    trials = [study.ask() for _ in range(8)]
    values = [[trial.suggest_float("x", 0, 1), trial.suggest_float("y", 1, 256, log=True)] for trial in trials]
    assert {int(8 * x) for x, _ in values} == set(range(8))
    assert {int(np.log2(y)) for _, y in values} == set(range(8))
    assert len({int(np.log2(y)) - int(8 * x) for x, y in values}) > 1  # and the two are not in step


def test_what_was_there_before_the_stages_is_a_part_of_their_first_design() -> None:
    """A study that begins with eight trials of its own is where one stands after eight trainings, not at the start."""
    space = {f"x{i}": {"low": 0.0, "high": 1.0} for i in range(3)}
    settings = {"stages": ["surrogate"], "surrogate": {"n_trainings": 50}}  # a first design of ten
    asked = []
    for n_before in (0, 8):
        study = optuna.create_study(direction="maximize", sampler=ZoneSampler(space, seed=0, **settings))
        rng = np.random.default_rng(0)
        for point in rng.random((n_before, 3)):
            study.enqueue_trial({f"x{i}": u for i, u in enumerate(point)})
        for _ in range(12):
            trial = study.ask()
            point = np.array([trial.suggest_float(f"x{i}", 0, 1) for i in range(3)])
            study.tell(trial, -float(np.sum((point - 0.3) ** 2)))
        asked.append(np.array([[t.params[f"x{i}"] for i in range(3)] for t in study.trials]))
    away = np.linalg.norm(asked[1][10:] - 0.3, axis=1)  # two of the design follow the eight, then the search begins
    assert away.max() < np.median(np.linalg.norm(asked[1][:10] - 0.3, axis=1))


def test_an_ask_keeps_away_from_all_that_is_running() -> None:
    space = {f"x{i}": {"low": 0.0, "high": 1.0} for i in range(2)}
    settings = {"stages": ["surrogate"], "surrogate": {"n_trainings": 60}}
    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(space, seed=0, **settings))
    running: list[tuple[Any, Any]] = []
    nearest = []
    for _ in range(40):  # they come back one by one, always the oldest
        trial = study.ask()
        point = np.array([trial.suggest_float(f"x{i}", 0, 1) for i in range(2)])
        if len(running) == 7:
            nearest.append(min(float(np.linalg.norm(point - other)) for _, other in running))
            done, at = running.pop(0)
            study.tell(done, -float(np.sum((at - 0.6) ** 2)))
        running.append((trial, point))
    assert min(nearest) > 1e-4
    assert np.median(nearest) > 0.01
