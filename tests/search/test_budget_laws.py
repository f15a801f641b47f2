"""Whatever the space and the budget: it is never exceeded, and it is spent unless the run says why not."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zonesearch import Study, Training, Trial, Trials
from zonesearch.run.pipeline import next_round

FEW = settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
AXES: dict[str, Any] = {
    "rate": {"low": 0.001, "high": 1.0, "scale": "log", "row": 5},
    "width": {"low": 8, "high": 256, "scale": "log", "row": "doubling"},
    "share": {"low": 0.0, "high": 0.9, "row": 4},
}


@st.composite
def spaces(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    names = draw(st.lists(st.sampled_from(sorted(AXES)), min_size=1, max_size=3, unique=True))
    space = {name: AXES[name] for name in names}
    if draw(st.booleans()):
        space["kind"] = {"choices": ["a", "b"]}
    bound = "width <= 100" if "width" in names else None
    return space, [bound] if bound and draw(st.booleans()) else []


def trained(training: Training, seed: int, share_failing: float) -> Trial:
    rng = random.Random(repr((sorted(training.params.items()), training.seed, seed)))
    if random.Random(repr((sorted(training.params.items()), seed))).random() < share_failing:
        return Trial(training, "failed", error="out of luck")
    params: Any = training.params
    apart = (params.get("width", 64) / 64 - 1) ** 2 / 9 + (params.get("share", 0.3) - 0.3) ** 2
    value = 0.9 - 0.1 * apart - 0.1 * abs(params.get("rate", 0.1) - 0.1) - 0.02 * (params.get("kind") == "b")
    return Trial(training, accuracy=value + rng.gauss(0, 0.004), seconds=1.0)


@pytest.mark.parametrize("stages", ["auto", ["surrogate", "polish"]], ids=str)
@FEW
@given(spaces(), st.integers(10, 40), st.sampled_from([1, 2]), st.sampled_from([0.0, 0.0, 0.2]), st.integers(0, 99))
def test_a_budget_is_spent_or_the_run_says_why_not(
    stages: Any, made: tuple[dict[str, Any], list[str]], budget: int, seeds: int, share_failing: float, seed: int
) -> None:
    space, constraints = made
    named: dict[str, Any] = {"stages": stages} | ({"constraints": constraints} if constraints else {})
    study = Study.of(space, lambda params: 0.0, seeds=seeds, epochs=1, budget={"trainings": budget}, seed=seed, **named)
    trials = Trials()
    while not (at := next_round(study.stages, trials, study.budget)).finished:
        assert len(trials) + len(at.missing) <= budget
        trials |= Trials(trained(training, seed, share_failing) for training in at.missing)
    said = at.output.sentence if at.output.standings else ""
    failed_all = not any(trial.complete for trial in trials)
    why = f"settled after {len(trials)} of" in said or f"wanted no more than {len(trials)} of" in said
    assert len(trials) >= 0.95 * budget or why or failed_all, (at.output, len(trials), budget)
