"""A larger budget in the same folder: what the smaller one paid for counts, and the search goes on from there."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zonesearch import Study, Training, Trial, Trials, run_pipeline
from zonesearch.core.coarse import coarser, refined
from zonesearch.core.space import Space
from zonesearch.core.trials import Params
from zonesearch.run.pipeline import Round, next_round
from zonesearch.run.recorded import read_recorded
from zonesearch.search.budget import Budget
from zonesearch.statistics.verdict import Verdict

MAPPED = ["grid", "interval", "polish"]
WIDTH = {"low": 16, "high": 1024, "scale": "log", "row": "doubling"}
BATCH = {"low": 8, "high": 512, "scale": "log", "row": "doubling"}
SPACES: dict[str, Any] = {"one": {"width": WIDTH}, "two": {"width": WIDTH, "batch": BATCH}}
SPACES["mixed"] = {**SPACES["two"], "kind": {"choices": ["a", "b"]}}
MANY = {"first": 1, "zone": 3}


def height(params: Params, seed: int) -> float:
    known: Any = {name: params[name] for name in ("width", "batch", "kind") if name in params}
    noise = random.Random(repr((sorted(known.items()), seed))).gauss(0, 0.004)
    apart = (math.log2(known["width"]) - 7.3) ** 2 / 9 + (math.log2(known.get("batch", 64)) - 6) ** 2 / 12
    return float(0.9 - 0.2 * apart - 0.05 * (known.get("kind") == "b") + noise)


def trained(training: Training) -> Trial:
    value = height(training.params, training.seed)
    curve = [value - 0.02 * (training.epochs - i) for i in range(1, training.epochs + 1)]
    return Trial(training, accuracy=max(curve), curve={"validation_accuracy": curve}, seconds=1.0)


def played(space: str, budgets: list[Any], seeds: Any, cut: int = 10**6, **settings: Any) -> tuple[list[Trial], Round]:
    """One budget after the other on the same trials; each round is broken off after ``cut`` trainings."""
    records: list[Trial] = []
    for budget in budgets:
        settings = {"stages": MAPPED} | settings
        study = Study.of(SPACES[space], lambda params: 0.0, seeds=seeds, epochs=3, budget=budget, **settings)
        while not (at := next_round(study.stages, Trials(records), study.budget)).finished:
            records += [trained(training) for training in at.missing[:cut]]
    return records, at


def lost(records: list[Trial], at: Round) -> int:
    wanted = {training.identity for record in at.records for training in record.wanted}
    return sum(trial.training.identity not in wanted for trial in records)


@pytest.mark.parametrize("seeds", [1, 2, MANY], ids=str)
@pytest.mark.parametrize("pair", [(12, 30), (20, 50), (25, 60), (20, 25)], ids=str)
@pytest.mark.parametrize("space", SPACES)
def test_a_grid_goes_on_with_a_larger_budget_from_what_was_trained(space: str, pair: Any, seeds: Any) -> None:
    small, large = ({"trainings": n} for n in pair)
    records, at = played(space, [small, large], seeds)
    assert isinstance(at.output, Verdict)
    assert at.output.standings
    assert len(records) <= pair[1]
    assert len(records) >= 0.95 * pair[1] or f"settled after {len(records)} of {pair[1]}" in at.output.sentence
    assert lost(records, at) <= max(1, pair[1] // 4)
    if space != "mixed":  # there one that is broken off may find out sooner that a training is not needed
        broken, again = played(space, [small, large], seeds, cut=7)
        assert {trial.training.key for trial in broken} == {trial.training.key for trial in records}
        assert again == at


@pytest.mark.parametrize("budgets", [[12, 20, 30, 60], [20, 21, 22], [20, 150]], ids=str)
@pytest.mark.parametrize("seeds", [1, MANY], ids=str)
def test_budgets_that_grow_step_by_step_or_tenfold(budgets: list[int], seeds: Any) -> None:
    records, at = played("two", [{"trainings": n} for n in budgets], seeds)
    assert at.output.standings
    assert len(records) <= budgets[-1]
    assert lost(records, at) <= budgets[-1] / 3


@pytest.mark.parametrize("pair", [(60, 150), (90, 400)], ids=str)
def test_epochs_go_on_too(pair: Any) -> None:
    records, at = played("two", [{"epochs": n} for n in pair], 1)
    assert at.output.standings
    assert 3 * len(records) <= pair[1]
    assert lost(records, at) <= len(records) / 4


def test_a_grid_that_was_broken_off_goes_on() -> None:
    study = Study.of(SPACES["two"], lambda params: 0.0, seeds=1, epochs=3, budget={"trainings": 30}, stages=MAPPED)
    records = [trained(training) for training in next_round(study.stages, Trials(), study.budget).missing[:8]]
    more = Study.of(SPACES["two"], lambda params: 0.0, seeds=1, epochs=3, budget={"trainings": 60}, stages=MAPPED)
    while not (at := next_round(more.stages, Trials(records), more.budget)).finished:
        records += [trained(training) for training in at.missing]
    assert at.output.standings
    assert len(records) <= 60
    assert lost(records, at) <= 8


def test_a_run_folder_goes_on_with_a_larger_budget(tmp_path: Path) -> None:
    into: Any = {"into": tmp_path / "run", "stages": MAPPED, "seeds": 1}
    first = run_pipeline(SPACES["two"], objective=height, budget={"trainings": 12}, **into)
    more = run_pipeline(SPACES["two"], objective=height, budget={"trainings": 30}, **into)
    assert len(first.trials) <= 12 < len(more.trials) <= 30
    assert more.verdict is not None
    assert more.verdict.standings
    assert "of 12" not in more.verdict.sentence
    assert {t.training.key for t in first.trials} <= {t.training.key for t in more.trials}


@pytest.mark.parametrize("space", SPACES)
def test_a_refined_grid_contains_the_coarse_one_and_every_smaller_refined_one(space: str) -> None:
    whole = Space.parse(SPACES[space])
    small = coarser(whole, 6)
    before = {repr(cell) for cell in small.grid()}
    for n in range(6, 60, 5):
        grid = refined(whole, small, n)
        cells = {repr(cell) for cell in grid.grid()}
        assert before <= cells
        assert len(cells) <= max(n, small.n_cells)
        before = cells
    assert len(before) > 6


@pytest.mark.parametrize("budget", [{"trainings": 10}, {"epochs": 40}])
def test_finished_run_keeps_its_verdict_under_a_smaller_budget(tmp_path: Path, budget: dict[str, int]) -> None:
    space = {"x": {"low": 0.0, "high": 1.0, "row": 4}}
    search: dict[str, Any] = {"epochs": 2, "seeds": 2, "stages": ["grid", "interval", "polish"], "progress": False}
    whole = run_pipeline(space, objective=hill, into=tmp_path / "run", **search)
    again = run_pipeline(space, objective=hill, into=tmp_path / "run", budget=budget, **search)
    assert again.trials == whole.trials
    assert again.verdict is not None
    assert whole.verdict is not None
    assert again.verdict.sentence == whole.verdict.sentence
    assert any("more than the budget of" in note for note in again.results.notes)


def hill(params: dict[str, Any], seed: int, epochs: int) -> float:
    return 0.9 - (params["x"] - 0.4) ** 2 + 0.001 * ((7 * seed) % 5)


def _bowl(params: Any, seed: int = 0, epochs: int = 1) -> float:
    place = [seed, int(1e6 * params["x"]), int(1e6 * params["y"])]
    noise = 0.01 * float(np.random.default_rng(place).normal())
    return 0.9 - (params["x"] - 0.3) ** 2 - (params["y"] - 0.6) ** 2 + noise


_PLAIN = {name: {"low": 0.0, "high": 1.0} for name in ("x", "y")}


def test_a_budget_looks_between_the_cells_of_one_zone_before_it_repeats_the_only_finalist() -> None:
    """Half of what 60 trainings leave after the grid is a little less than the lines of one zone need."""
    found = run_pipeline(_PLAIN, objective=_bowl, stages=["grid", "interval", "polish"], budget={"trainings": 60})
    assert len(found.trials) >= 57
    cells = {(trial.params["x"], trial.params["y"]) for trial in found.trials}
    rows = [{x for x, _ in cells}, {y for _, y in cells}]
    assert max(map(len, rows)) > 5  # of the grid


def test_kept_rows_do_not_settle_a_larger_budget_without_lines(tmp_path: Path) -> None:
    """Twenty trainings pay for six cells and no line; thirty more are not seeds of the only cell that was found."""
    for budget in (20, 50):
        found = run_pipeline(
            _PLAIN,
            objective=_bowl,
            stages=["grid", "interval", "polish"],
            budget={"trainings": budget},
            into=tmp_path / "run",
        )
    assert len(found.trials) >= 45
    assert found.verdict is not None
    assert found.verdict.recommended is not None
    best = found.verdict.recommended.finalist.params
    assert _bowl(best) > 0.88


def bowl(k: int, sd: float) -> Any:
    def score(params: Params, seed: int, epochs: int) -> float:
        drawn = random.Random(repr((k, sorted(params.items()), seed)))
        apart = sum((params[name] - random.Random(f"{k}{name}").random()) ** 2 for name in sorted(params))
        return 0.9 - 0.2 * apart + drawn.gauss(0, sd)

    return score


@pytest.mark.parametrize("stages", ["auto", ["controller", "polish"], ["optuna", "polish"]], ids=str)
@pytest.mark.parametrize("k", range(2))
def test_with_noise_too_the_new_trainings_of_a_larger_budget_are_wanted(tmp_path: Path, stages: Any, k: int) -> None:
    space = {name: {"low": 0.0, "high": 1.0} for name in ("a", "b", "c")[: 2 + k]}
    known: set[str] = set()
    for amount in (20, 50, 100) if stages == "auto" else (20, 40):
        budget = {"trainings": amount}
        result = run_pipeline(space, objective=bowl(k, 0.01), budget=budget, stages=stages, into=tmp_path)
        trained = {trial.training.key for trial in result.trials}
        wanted = {training.key for stage in result.results.stages for training in stage.wanted}
        assert len(trained) <= amount
        assert wanted <= trained
        in_vain = (trained - wanted) - known
        assert len(in_vain) <= 0.05 * amount, "what this budget paid for is in what it found"
        assert result.verdict is not None
        assert len(trained) > 0.9 * amount or result.verdict.settled
        for standing in result.verdict.standings:
            assert standing.n_lost == 0
        if result.verdict.race is not None:
            assert result.verdict.race.n_seeds == tuple(len(s.accuracies) for s in result.verdict.standings)
        again = run_pipeline(space, objective=bowl(k, 0.01), budget=budget, stages=stages, into=tmp_path)
        assert again.verdict == result.verdict
        known |= trained


@pytest.mark.parametrize(
    ("stages", "k", "steps"),
    [
        (["coordinate", "polish"], 1, (20, 25, 40, 41, 100)),
        (["coordinate", "polish"], 0, (40, 45, 50)),
        (["coordinate", "interval", "polish"], 0, (12, 30, 60, 120)),
        (["surrogate", "polish"], 1, (40, 45, 50)),
        (["controller", "polish"], 0, (6, 12, 40)),
    ],
    ids=str,
)
def test_small_and_large_steps_of_a_budget_pay_for_what_is_wanted(stages: Any, k: int, steps: Any) -> None:
    """Also where a step pays for little but the verdict: no later training changes how an earlier step is replayed."""
    score, trials, budget = bowl(k, 0.02), Trials(), None
    for amount in steps:
        new = Budget("trainings", amount)
        budget = new if budget is None else new.continuing(budget)
        space = {name: {"low": 0.0, "high": 1.0} for name in ("a", "b", "c")[: 2 + k]}
        study = Study.of(space, lambda params: 0.0, stages=stages, epochs=1, budget=budget)
        before = {trial.training.identity for trial in trials}
        while not (at := next_round(study.stages, trials, study.budget)).finished:
            trials |= Trials(Trial(t, accuracy=score(t.params, t.seed, 1), seconds=1.0) for t in at.missing)
        wanted = {training.identity for record in at.records for training in record.wanted}
        in_vain = {trial.training.identity for trial in trials} - wanted - before
        assert len(trials) <= amount
        assert len(trials) >= 0.95 * amount or at.output.settled
        assert len(in_vain) <= 0.05 * amount


def test_a_lowered_and_raised_budget_goes_on_from_the_largest_one(tmp_path: Path) -> None:
    settings: Any = {"stages": ["surrogate", "polish"], "objective": bowl(0, 0.01)}
    space = {name: {"low": 0.0, "high": 1.0} for name in "ab"}

    def run(into: str, *amounts: int) -> Any:
        for amount in amounts:
            result = run_pipeline(space, budget={"trainings": amount}, into=tmp_path / into, **settings)
        return result

    def keys(result: Any) -> set[str]:
        return {trial.training.key for trial in result.trials}

    straight, there_and_back = run("straight", 12, 24, 36), run("back", 12, 24, 18, 10, 36)
    assert keys(there_and_back) == keys(straight)
    assert there_and_back.verdict.sentence == straight.verdict.sentence
    lowered = run("back", 12)
    assert keys(lowered) == keys(straight)
    assert [s.accuracies for s in lowered.verdict.standings] == [s.accuracies for s in straight.verdict.standings]
    former = Budget.parse(read_recorded(tmp_path / "back").study.settings()["budget"])
    assert former == Budget("trainings", 12, (12, 24, 36))
    assert Budget("trainings", 50).continuing(former).earlier == tuple(Budget("trainings", n) for n in (12, 24, 36))


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("amounts", [(40, 30), (60, 42), (20, 12)], ids=str)
@pytest.mark.parametrize(
    "stages",
    [
        ["grid", "interval", "polish"],
        ["surrogate", "polish"],
        ["controller", "polish"],
        ["coordinate", "polish"],
        ["optuna", "polish"],
    ],
    ids=lambda stages: stages[0],
)
def test_a_lowered_budget_trains_nothing_and_keeps_the_verdict(
    stages: Any, amounts: Any, noise: float, tmp_path: Path
) -> None:
    """Also if the run spent less than even the lowered budget, since its verdict was settled."""
    settings: Any = {"stages": stages, "objective": bowl(0, noise), "into": tmp_path / "run"}
    space: Any = {"a": {"low": 3, "high": 9, "step": 2}, "b": {"low": 2.0, "high": 16.0, "scale": "log"}}
    if stages[0] != "grid":
        space = {name: {"low": 0.0, "high": 1.0} for name in "ab"}
    *before, lowered = (run_pipeline(space, budget={"trainings": amount}, **settings) for amount in amounts)
    kept = before[-1]
    assert len(lowered.trials) == len(kept.trials)
    assert lowered.verdict is not None
    assert lowered.verdict.standings == kept.verdict.standings
    assert any("nothing more is trained" in note for stage in lowered.results.stages for note in stage.notes)


@pytest.mark.parametrize("unit", ["trainings", "epochs"])
def test_a_slightly_larger_budget_keeps_the_fresh_seeds_of_the_finalist(tmp_path: Path, unit: str) -> None:
    def train(params: Any, seed: int) -> float:
        draws = random.Random(repr((sorted(params.items()), seed)))
        width, batch = math.log2(params["width"]), math.log2(params["batch"])
        return 0.9 - 0.01 * (width - 7) ** 2 - 0.01 * (batch - 4) ** 2 + draws.gauss(0, 0.01)

    space = {"width": {"low": 16, "high": 1024, "scale": "log", "row": "doubling"}, "batch": [4, 8, 16, 32]}
    for amount in (40, 41):
        result = run_pipeline(
            space, objective=train, epochs=1, stages=["grid", "polish"], budget={unit: amount}, into=tmp_path / "run"
        )
        assert result.verdict is not None
        assert result.verdict.best is not None
        assert len(result.verdict.best.accuracies) == amount - 20  # each of the grid's cells was trained once
        assert len(result.trials) == amount
