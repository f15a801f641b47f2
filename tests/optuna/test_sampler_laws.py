"""Whatever an Optuna study is made of, a suggestion ends: with a trial, or with one sentence."""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import dataclass
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from zonesearch import StudyError, ZoneSampler

CHOICES = (["a", "b"], ["a", None, 2], [True, 1, "a"], [0, 0.0], ["only"], [False, "0", 0.5])
OUTCOMES = ("value", "value", "value", "nan", "inf", "raise", "prune", "early")


@dataclass(frozen=True)
class Parameter:
    """How an objective suggests a parameter; ``branch``: only where the one before it has a large value."""

    kind: str
    low: float
    step: float | None
    choices: tuple[Any, ...]
    branch: bool
    moving: bool

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        high = self.low + 4 + (trial.number % 3 if self.moving else 0)
        if self.kind == "float":
            return trial.suggest_float(name, self.low, high, step=self.step)
        if self.kind == "log":
            return trial.suggest_float(name, 10.0**-self.low, 10.0, log=True)
        if self.kind == "int":
            return trial.suggest_int(name, int(self.low), int(high), step=2 if self.step else 1)
        if self.kind == "constant":
            return trial.suggest_float(name, self.low, self.low)
        return trial.suggest_categorical(name, self.choices)

    @property
    def axis(self) -> Any:
        """The axis that a user gives for it."""
        if self.kind == "log":
            return {"low": 10.0**-self.low, "high": 10.0, "scale": "log", "row": 3}
        if self.kind == "choice":
            return list(self.choices)
        low, high = (self.low, self.low) if self.kind == "constant" else (self.low, self.low + 4)
        whole = self.kind == "int"
        return {"low": int(low) if whole else low, "high": int(high) if whole else high, "row": 2, "integer": whole}

    @property
    def example(self) -> Any:
        """A value that it can have."""
        return {"choice": self.choices[0], "log": 1.0, "int": int(self.low)}.get(self.kind, self.low)

    @property
    def giveable(self) -> bool:
        """Whether our own space can say it; numbers as choices are an axis there, which Optuna would not compare."""
        numbers = all(isinstance(choice, int | float) for choice in self.choices)
        return self.kind != "choice" or not (numbers or None in self.choices)


parameters = st.builds(
    Parameter,
    kind=st.sampled_from(["float", "log", "int", "constant", "choice"]),
    low=st.sampled_from([0.0, 1.0, 2.0]),
    step=st.sampled_from([None, None, 0.5]),
    choices=st.sampled_from([tuple(choices) for choices in CHOICES]),
    branch=st.booleans(),
    moving=st.sampled_from([False, False, True]),
)


def large(value: Any) -> bool:
    return value not in (0, None, "a", "only") and (not isinstance(value, float) or value > 1.5)


def indistinct(parameter: Parameter) -> bool:
    choices = parameter.choices
    return parameter.kind == "choice" and any(a == b for a, b in itertools.combinations(choices, 2))


@pytest.fixture(autouse=True)
def _quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    yield
    optuna.logging.set_verbosity(before)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    found=st.lists(parameters, min_size=1, max_size=4),
    outcomes=st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=7),
    is_given=st.booleans(),
    missing=st.booleans(),
    enqueued=st.booleans(),
    n_parallel=st.sampled_from([1, 1, 4]),
    direction=st.sampled_from(["maximize", "minimize"]),
    seeds=st.sampled_from([1, 2]),
)
@pytest.mark.timeout(120)
def test_every_ask_ends(found, outcomes, is_given, missing, enqueued, n_parallel, direction, seeds) -> None:
    outcome = itertools.cycle(outcomes)

    def objective(trial: optuna.Trial) -> float:
        what = next(outcome)
        total, value = 0.0, 9.0
        for i, parameter in enumerate(found):
            if what == "early" and i:
                raise RuntimeError("out of memory")
            if i and parameter.branch and not large(value):
                continue
            value = parameter.suggest(trial, f"p{i}")
            total += value if isinstance(value, float | int) else 0.1 * len(str(value))
        trial.report(total, 1)
        if what == "raise":
            raise RuntimeError("out of memory")
        if what == "prune":
            raise optuna.TrialPruned
        return {"nan": math.nan, "inf": math.inf}.get(what, total)

    space: dict[str, Any] | None = None
    if is_given and all(parameter.giveable and not indistinct(parameter) for parameter in found):
        space = {f"p{i}": parameter.axis for i, parameter in enumerate(found)}
        space |= {"forgotten": {"low": 0.0, "high": 1.0, "row": 2}} if missing else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's, about steps that do not fit and objects as choices
        study = optuna.create_study(direction=direction, sampler=ZoneSampler(space, seeds=seeds, seed=0))
        if enqueued:
            study.enqueue_trial({"p0": found[0].example})
        error = None
        try:
            if n_parallel == 1:
                study.optimize(objective, n_trials=24, catch=RuntimeError)
            else:
                for _ in range(6):
                    for trial in [study.ask() for _ in range(n_parallel)]:
                        _evaluate(study, trial, objective)
        except StudyError as refused:
            error = str(refused)
    if error is None:
        assert len(study.trials) == 24
    else:
        assert "\n" not in error
        assert any(indistinct(p) for p in found) or (space is not None and _unsuggested(study, space, error)), error
    states = [trial.state for trial in study.trials]
    assert TrialState.RUNNING not in states or (error and n_parallel > 1)
    if any(indistinct(p) and not p.branch for p in found[:1]) and error is None:
        assert not any(trial.state == TrialState.COMPLETE for trial in study.trials)


def _unsuggested(study: optuna.Study, space: dict[str, Any], error: str) -> bool:
    """Whether the error names an axis that is in no trial indeed."""
    ever = {name for trial in study.trials if trial.state == TrialState.COMPLETE for name in trial.params}
    return any(name in error for name in space.keys() - ever)


def _evaluate(study: optuna.Study, trial: optuna.Trial, objective: Any) -> None:
    try:
        value = objective(trial)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except RuntimeError:
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, value, skip_if_finished=True) if math.isfinite(value) else study.tell(
            trial, state=TrialState.FAIL
        )


@pytest.mark.timeout(60)
@pytest.mark.parametrize("n_parallel", [1, 5])
def test_no_point_is_asked_twice_while_another_is_wanted(n_parallel: int) -> None:
    """Of a deterministic search the points of one round, and of the grid, are all different."""
    study = optuna.create_study(
        direction="maximize", sampler=ZoneSampler({"x": {"low": 0.0, "high": 1.0, "row": 4}, "y": ["a", "b"]})
    )
    points = []
    for _ in range(10 // n_parallel):
        trials = [study.ask() for _ in range(n_parallel)]
        at = [(t.suggest_float("x", 0, 1), t.suggest_categorical("y", ["a", "b"])) for t in trials]
        for trial, (x, y) in zip(trials, at, strict=True):
            study.tell(trial, -((x - 0.3) ** 2) + (y == "b"))
        points += at
    assert len(set(points)) == 10
