"""A training of n epochs equals the first n of one of 2n, or the two are different experiments."""

from __future__ import annotations

from typing import Any

import pytest

from zonesearch import Job, Training, Trial, Trials
from zonesearch.core.objective import whole
from zonesearch.run.engines.worker import train_job
from zonesearch.run.storage.record import parse, to_trial, trial_line
from zonesearch.training.function import FunctionObjective
from zonesearch.training.recipe import Recipe
from zonesearch.training.schedules.parsing import known_schedules
from zonesearch.training.techniques import TECHNIQUE_TABLES

N = 3
BASE: dict[str, dict[str, Any]] = {
    "data": {"name": "digits", "limit": 150},
    "network": {"width": 6},
    "training": {"batch": 32},
}
SCHEDULES = {
    "constant": ["constant"],
    "step": ["step(every=2)"],
    "plateau": ["plateau(patience=1)"],
    "linear": ["linear", "linear(length=4)"],
    "exponential": ["exponential", "exponential(length=4)"],
    "cosine": ["cosine", "cosine(length=4)"],
    "onecycle": ["onecycle"],
    "triangular": ["triangular(low=0.0001, high=0.01, half_cycle=1)"],
    "triangular2": ["triangular2(low=0.0001, high=0.01, half_cycle=1)"],
    "exp_range": ["exp_range(low=0.0001, high=0.01, half_cycle=1, gamma=0.99)"],
    "sgdr": ["sgdr(low=0.0001, period=1)"],
    "snapshot": ["snapshot(cycles=2)"],
    "fge": ["fge(low=0.0001, cycle=1)", "fge(low=0.0001, length=2, cycle=1)"],
    "swa": ["swa(low=0.0001)", "swa(low=0.0001, length=2)"],
    "sweep": ["sweep(n_steps=12)"],
    "warmup": ["warmup(1)", "warmup(1, then=cosine)", "warmup(1, then=step(every=1))"],
}
TECHNIQUES: dict[str, list[dict[str, Any]]] = {
    "averaging": [{}, {"start": 0.0}, {"start": 0.5}, {"kind": "ensemble", "keep": 2}],
    "evolution": [{"every": 2, "children": 4}, {"kind": "strategies", "every": 2, "children": 4}],
    "gradient_noise": [{}],
    "noise_scale": [{"n_batches": 2}],
    "early_stopping": [{"patience": 1}, {"rise": 1.0}, {"after": 2}],
}
TABLES = [
    *({"training": {**BASE["training"], "schedule": spec}} for specs in SCHEDULES.values() for spec in specs),
    *({name: table} for name, tables in TECHNIQUES.items() for table in tables),
    {"training": {**BASE["training"], "schedule": "sgdr(low=0.0001, period=1)"}, "averaging": {}},
    {"training": {**BASE["training"], "schedule": "swa(low=0.0001, length=2)"}, "averaging": {}},
    {"training": {**BASE["training"], "tested": "last"}},
]


def test_every_schedule_and_technique_is_under_the_law() -> None:
    assert set(SCHEDULES) == set(known_schedules())
    assert set(TECHNIQUES) == set(TECHNIQUE_TABLES)


def come(objective: Any, epochs: int, test: bool = False) -> Trial:
    wanted = Training({"learning_rate": 0.01}, 1, epochs, test)
    (trial,) = train_job(objective, Job((wanted,)), lambda share: None)
    record = parse(trial_line(trial, "study"))
    assert record is not None
    return to_trial(record)  # as a run would know it


def curves(trial: Trial) -> dict[str, list[str]]:
    """To six digits, as text, so that NaN is NaN."""
    return {name: [f"{value:.6g}" for value in values] for name, values in trial.curve.items()}


def check_law(short: Trial, long: Trial, wanted: Training) -> None:
    if short.key != long.key:
        assert Trials([long]).missing([wanted]) == [wanted]
        assert len(Trials([short, long])) == 2
    else:
        answer = Trials([long]).get(wanted)
        if answer is not None:
            assert (answer.state, answer.accuracy) == (short.state, short.accuracy)
            assert curves(answer) == curves(short)
    assert not Trials([short, long]).conflicts
    known = Trials([short]) | Trials([long])
    found = known.get(wanted)
    assert found is not None
    assert (found.epochs, found.accuracy, curves(found)) == (short.epochs, short.accuracy, curves(short))


@pytest.mark.parametrize("tables", TABLES, ids=str)
def test_a_training_is_the_beginning_of_a_longer_one_or_another_experiment(tables: dict[str, Any]) -> None:
    recipe = Recipe.from_tables({**BASE, **tables})
    short, long = come(recipe, N), come(recipe, 2 * N)
    check_law(short, long, short.training)


def by_share(params: dict[str, Any], seed: int, epochs: int) -> Any:
    for epoch in range(epochs):
        yield params["learning_rate"] + (epoch + 1) / epochs


def plainly(params: dict[str, Any], seed: int, epochs: int) -> Any:
    for epoch in range(epochs):
        yield params["learning_rate"] + epoch


def one_number(params: dict[str, Any], seed: int, epochs: int) -> float:
    return params["learning_rate"] / epochs  # type: ignore[no-any-return]


def diverging(params: dict[str, Any], seed: int, epochs: int) -> Any:
    for epoch in range(epochs):
        yield 0.5 + epoch / 10 if epoch < 4 else float("nan")


@pytest.mark.parametrize(
    "objective",
    [
        FunctionObjective(by_share, whole=True),
        FunctionObjective(plainly),
        FunctionObjective(one_number),
        FunctionObjective(diverging),
    ],
    ids=lambda objective: objective.name,
)
def test_the_law_holds_for_functions(objective: FunctionObjective) -> None:
    short, long = come(objective, N), come(objective, 2 * N)
    assert (short.key != long.key) == objective.whole
    check_law(short, long, short.training)


def test_a_function_says_itself_that_it_looks_at_the_length() -> None:
    def train(params: dict[str, Any], seed: int, epochs: int) -> float:
        return 0.5

    train.looks_at_length = True  # type: ignore[attr-defined]
    assert come(FunctionObjective(train), 2).whole


def test_what_diverged_over_its_whole_length_says_nothing_of_a_shorter_training() -> None:
    lost = Trial(Training({"x": 1}, 0, 6), "diverged", curve={"validation_accuracy": (0.5,)}, whole=True)
    wanted = Training({"x": 1}, 0, 3)
    assert Trials([lost]).missing([wanted]) == [wanted]
    assert Trials([lost]).missing([lost.training]) == []
    failed = Trial(Training({"x": 1}, 0, 6), "failed", error="boom", whole=True)
    assert Trials([failed]).missing([wanted]) == [wanted]


def test_a_failure_of_a_training_that_looks_at_the_length_is_marked() -> None:
    recipe = Recipe.from_tables({**BASE, "training": {"schedule": "cosine"}})
    trial = Trial(Training({}, 0, 3), "failed", error="boom")
    assert whole(trial, recipe).whole
    assert not whole(trial, Recipe.from_tables(BASE)).whole
