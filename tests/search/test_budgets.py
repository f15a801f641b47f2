"""Budgets for the whole pipeline: never exceeded, shared by the rule, the same for a run that was interrupted."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import surfaces

from zonesearch import Plan, Study, StudyError, Training, Trial, Trials, run_pipeline
from zonesearch.cli.main import main
from zonesearch.core.trials import Params
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.summaries.state import state_sentence
from zonesearch.run.pipeline import find, forecast, next_round
from zonesearch.run.recorded import read_run
from zonesearch.search.budget import Budget
from zonesearch.search.stage import Forecast
from zonesearch.statistics.verdict import Verdict

EPOCHS = 6
MAPPED = ["grid", "interval", "polish"]
PIPELINES: dict[str, dict[str, Any]] = {
    "auto": {},
    "grid": {"stages": MAPPED},
    "rungs": {"grid": {"rungs": [1, 2]}},
    "race": {"stages": MAPPED, "polish": {"race": True, "repeats": 20, "keep": 4}},
    "schedules": {
        "stages": MAPPED,
        "polish": {"schedules": ["constant", "step(every=7, factor=0.5)", "plateau(patience=3)"]},
    },
    "surrogate": {"stages": ["surrogate", "polish"], "surrogate": {"n_trainings": 60}},
    "coordinate": {"stages": ["coordinate", "interval", "polish"]},
    "optuna": {"stages": ["optuna", "polish"]},
    "compare": {"stages": ["compare"], "compare": {"repeats": 9}},
}


def height(params: Params, seed: int) -> float:
    known = {name: params[name] for name in ("width", "batch")}
    return surfaces.noisy(surfaces.two_peaks, 0.004)(known, seed, 1)


def trained(training: Training, seconds: float = 1.0) -> Trial:
    value = height(training.params, training.seed)
    curve = [value - 0.02 * (EPOCHS - epoch) for epoch in range(1, training.epochs + 1)]
    cost = seconds * training.epochs * training.params["width"] / 500
    return Trial(training, accuracy=max(curve), curve={"validation_accuracy": curve}, seconds=cost)


def study_of(budget: Any, seeds: int = 2, **settings: Any) -> Study:
    if "compare" in settings.get("stages", ()):
        space: Any = {"width": [64, 256, 1024], "batch": [8, 64]}
    else:
        space = surfaces.SPACE
    return Study.of(space, lambda params: 0.0, seeds=seeds, epochs=EPOCHS, budget=budget, **settings)


def played(study: Study, seconds: float = 1.0, cut: int = 10**6) -> tuple[list[Trial], Any]:
    """Every record in the order of its coming, and the last round; each round is broken off after ``cut`` trainings."""
    records: list[Trial] = []
    while True:
        at = next_round(study.stages, Trials(records), study.budget)
        if at.finished:
            return records, at
        records += [trained(training, seconds) for training in at.missing[:cut]]


def spent(records: list[Trial]) -> tuple[int, int]:
    """Trainings and epochs, a training that goes on counted by what it adds."""
    longest: dict[Any, int] = {}
    for trial in records:
        longest[trial.training.identity] = max(trial.epochs, longest.get(trial.training.identity, 0))
    return len(longest), sum(longest.values())


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("budget", [{"trainings": 41}, {"trainings": 150}, {"epochs": 400}])
def test_a_budget_is_never_exceeded_and_the_verdict_says_that_it_ended_the_search(name: str, budget: Any) -> None:
    study = study_of(budget, **PIPELINES[name])
    records, at = played(study)
    n_trainings, n_epochs = spent(records)
    (unit,) = budget
    assert (n_trainings if unit == "trainings" else n_epochs) <= budget[unit]
    assert isinstance(at.output, Verdict)
    assert at.output.standings
    assert at.output.best is not None
    cut = [record.name for record in at.records if record.budget_cut]
    if cut:
        left = (n_trainings if unit == "trainings" else n_epochs) < 0.95 * budget[unit]
        did = "made the search smaller" if left else "ended the search early"
        assert f"The budget of {study.budget} {did}: it cut {cut[0]}" in at.output.sentence
    else:
        assert "budget" not in at.output.sentence


@pytest.mark.parametrize("name", [name for name in PIPELINES if name != "compare"])
@pytest.mark.parametrize(
    ("budget", "seeds"),
    [
        ({"trainings": 10}, 1),
        ({"trainings": 50}, {"first": 1, "zone": 3}),
        ({"trainings": 100}, 1),
        ({"epochs": 400}, 1),
    ],
)
def test_a_budget_is_spent_unless_the_verdict_is_settled_and_says_so(name: str, budget: Any, seeds: Any) -> None:
    records, at = played(study_of(budget, seeds, **PIPELINES[name]))
    n_trainings, n_epochs = spent(records)
    (unit,) = budget
    n = n_trainings if unit == "trainings" else n_epochs
    if n < 0.95 * budget[unit]:
        assert at.output.settled
        assert f"The verdict is settled after {n} of {budget[unit]} {unit}." in at.output.sentence
    else:
        assert "settled" not in at.output.sentence


def test_a_comparison_repeats_its_cells_as_often_as_the_budget_pays_for() -> None:
    records, at = played(study_of({"trainings": 125}, **PIPELINES["compare"]))
    assert spent(records)[0] == 120
    assert {len(standing.accuracies) for standing in at.output.standings} == {20}


@pytest.mark.parametrize("noise", [0.0, 0.004])
def test_a_budget_that_is_enough_changes_nothing_but_the_seeds_of_what_cannot_be_told_apart(noise: float) -> None:
    def answer(training: Training) -> Trial:
        params = {name: training.params[name] for name in ("width", "batch")}
        return Trial(training, accuracy=surfaces.noisy(surfaces.two_peaks, noise)(params, training.seed, 1))

    found = {}
    for budget in (None, {"trainings": 1000}):
        study, trials = study_of(budget), Trials()
        while (at := next_round(study.stages, trials, study.budget)).missing:
            trials |= Trials(map(answer, at.missing))
        found[budget is None] = at
    plain, rich = found[True], found[False]
    assert [record.output for record in rich.records[:2]] == [record.output for record in plain.records[:2]]
    finalists = [sorted(s.finalist.number for s in each.output.standings) for each in (plain, rich)]
    assert finalists[0] == finalists[1]
    assert rich.output.race.ending == ("best" if rich.output.settled else "seeds")
    if noise:
        best = rich.output.alike[0]
        assert len(best.accuracies) > len(plain.output.best.accuracies)


@pytest.mark.parametrize("budget", [{"trainings": 90}, {"epochs": 350}, {"minutes": 5}])
@pytest.mark.parametrize("name", ["auto", "grid", "rungs", "race", "surrogate"])
def test_an_interrupted_run_in_any_order_is_allocated_the_same_as_an_unbroken_one(name: str, budget: Any) -> None:
    study = study_of(budget, **PIPELINES[name])
    records, at = played(study)
    broken, again = played(study, cut=7)
    assert {t.training.key for t in broken} == {t.training.key for t in records}
    assert again.output == at.output
    rng = random.Random(3)
    for n in (5, 40, len(records)):
        some = records[:n]
        rng.shuffle(some)
        one, other = (next_round(study.stages, Trials(r), study.budget) for r in (records[:n], some))
        assert one == other
    assert next_round(study.stages, Trials(records) | Trials(broken), study.budget) == at


def test_a_grid_gets_coarser_rows_and_no_holes() -> None:
    study = study_of({"trainings": 80}, **PIPELINES["grid"])
    records, at = played(study)
    grid = at.records[0]
    assert grid.settings["cells_max"] == 20
    cells = {tuple(t.params.values()) for t in grid.wanted}
    widths, batches = ({cell[i] for cell in cells} for i in (0, 1))
    assert cells == set(itertools.product(batches, widths)) or cells == set(itertools.product(widths, batches))
    assert 12 <= len(cells) <= 20
    summary = MapSummary(find(study, Trials(records)))
    assert summary.n_mapped == len(summary.points) == len(cells)


def test_what_a_stage_leaves_over_goes_to_the_next() -> None:
    study = study_of({"trainings": 100}, stages=["coordinate", "polish"], coordinate={"n_trainings": 20})
    records, at = played(study)
    assert len(at.records[0].wanted) == 20
    assert spent(records)[0] > 60 or not at.records[1].budget_cut


def test_time_is_shared_by_the_speed_of_what_came_before() -> None:
    slow, quick = (study_of({"seconds": 600}, stages=MAPPED) for _ in range(2))
    n_slow, n_quick = len(played(slow, 1.0)[0]), len(played(quick, 0.1)[0])
    assert n_slow < n_quick
    records, at = played(slow, 1.0)
    taken = sum(trial.seconds for trial in records)
    assert 0.3 * 600 < taken < 1.2 * 600
    assert re.search("The budget of 10 minutes (made the search smaller|ended the search early)", at.output.sentence)
    first = next_round(slow.stages, Trials(), slow.budget)
    assert len(first.missing) == 9
    assert not first.finished


@dataclass(frozen=True)
class Greedy:
    """A plug-in that knows nothing of budgets and wants one training after the other."""

    name: str = "greedy"
    epochs: int = EPOCHS

    def plan(self, given: Any, trials: Trials) -> Plan:
        trainings = [Training({"width": 64 + i, "batch": 8}, 0, self.epochs) for i in range(60)]
        missing = trials.missing(trainings)
        known = [t for t in trainings if t not in missing]
        if missing:
            return Plan((*known, *missing[:10]))
        best = [t for t in trainings if (trial := trials.get(t)) is not None and trial.complete]
        return Plan(tuple(trainings), len(best))

    def forecast(self, given: Any) -> Forecast:
        return Forecast(60, self.epochs, 1, (Training({"width": 64, "batch": 8}, 0, self.epochs),))


@pytest.mark.parametrize(("budget", "n"), [({"trainings": 33}, 33), ({"epochs": 100}, 16)])
def test_a_plug_in_gets_the_first_of_what_it_wants(budget: Any, n: int) -> None:
    study = Study.of(surfaces.SPACE, lambda params: 0.0, stages=[Greedy()], epochs=EPOCHS, budget=budget)
    records, at = played(study)
    assert spent(records)[0] == n
    assert at.output == n
    assert f"{60 - n} trainings fewer" in at.records[0].budget_cut
    assert any(f"The budget of {study.budget} ended the search early" in n for n in find(study, Trials(records)).notes)


@pytest.mark.parametrize(("stages", "n"), [(["grid", "interval", "polish"], 9), (["surrogate", "polish"], 5)])
def test_a_budget_too_small_for_a_stage_is_refused_with_the_least(stages: Any, n: int) -> None:
    with pytest.raises(StudyError, match=rf"budget of {n} trainings is too small: stage .* give at least") as refused:
        study_of({"trainings": n}, seeds=4, stages=stages)
    least = int(str(refused.value).split()[-1])
    records, at = played(study_of({"trainings": least}, seeds=4, stages=stages))
    assert at.output.best is not None
    assert spent(records)[0] <= least
    with pytest.raises(StudyError, match="too small"):
        study_of({"trainings": least - 1}, seeds=4, stages=stages)


def test_a_run_with_a_budget_is_resumed_read_and_goes_on_with_another(tmp_path: Path) -> None:
    def objective(params: Any, seed: int) -> float:
        return height(params, seed)

    into: Any = {"into": tmp_path / "run"}
    first = run_pipeline(surfaces.SPACE, objective=objective, seeds=2, **into, budget={"trainings": 70})
    again = run_pipeline(surfaces.SPACE, objective=objective, seeds=2, **into, budget={"trainings": 70})
    assert len(first.trials) <= 70
    assert again.verdict == first.verdict == read_run(tmp_path / "run")[0].verdict
    assert first.verdict is not None
    said = first.verdict.describe()["budget"]
    assert said in str(first)
    assert re.match(r"The verdict is settled after \d+ of 70 trainings\.$|The budget of 70 trainings ", said)
    more = run_pipeline(surfaces.SPACE, objective=objective, seeds=2, **into, budget={"trainings": 90})
    assert 0.95 * 90 <= len(more.trials) <= 90, "what the smaller budget paid for counts"
    assert {trial.training.key for trial in first.trials} <= {trial.training.key for trial in more.trials}


def test_a_real_time_budget_ends_a_run() -> None:
    import time

    def slow(params: Any, seed: int) -> float:
        time.sleep(0.01)
        return height(params, seed)

    result = run_pipeline(surfaces.SPACE, objective=slow, seeds=2, budget={"seconds": 0.6})
    assert result.verdict is not None
    assert "The budget of 0.6 seconds" in result.verdict.budget
    assert 0.1 < sum(trial.seconds for trial in result.trials) < 0.8


STUDY = """
name = "small"
[space]
width = [4, 8, 16, 32]
batch = [32, 64, 128]
[data]
name = "digits"
[training]
epochs = 2
[search]
seeds = 2
{budget}
"""


def written(tmp_path: Path, budget: str) -> str:
    path = tmp_path / "small.toml"
    path.write_text(STUDY.format(budget=budget))
    return str(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("budget = 200", "budget must be a table with one of"),
        ("budget = {training = 20}", 'did you mean "trainings"'),
        ("budget = {trainings = 0}", "whole number, at least 1"),
        ("budget = {hours = -1}", "above 0"),
        ("budget = {trainings = 3}", "too small"),
    ],
)
def test_a_study_with_a_budget_that_makes_no_sense_gives_one_sentence(
    tmp_path: Path, capsys: Any, line: str, said: str
) -> None:
    assert main(["plan", written(tmp_path, line), "--no-probe"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "small.toml" in error
    assert "Traceback" not in error


def test_plan_shows_the_shares(tmp_path: Path, capsys: Any) -> None:
    path = written(tmp_path, 'budget = {trainings = 40}\nstages = ["grid", "interval", "polish"]')
    assert main(["plan", path, "--no-probe"]) == 0
    printed = capsys.readouterr().out
    assert "Budget 40 trainings" in printed
    from zonesearch.study.files import read_study

    study = read_study(path)
    costs = forecast(study, study.objective())
    assert [cost.n_trainings for cost in costs] == [20, 10, 10]
    assert Budget("trainings", 40) == study.budget


def test_a_range_test_before_a_grid_with_rungs_within_a_budget(tmp_path: Path, monkeypatch: Any) -> None:
    """Its sweep diverges, as it should, and ends no run."""
    from zonesearch.run.running import run_study

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tables = {
        "space": {"learning_rate": {"low": 0.001, "high": 1.0, "scale": "log", "row": 6}, "width": [8, 16, 32]},
        "data": {"name": "digits"},
        "optimizer": {"name": "sgd"},
        "training": {"epochs": 4},
        "search": {"stages": ["lr-range", "grid", "polish"], "budget": {"epochs": 150}},
        "grid": {"rungs": [1, 2]},
    }
    result = run_study(Study.from_tables(tables))
    assert result.verdict is not None
    assert [t.state for t in result.trials if "sweep" in str(t.params.get("schedule"))] == ["diverged"]
    assert spent(list(result.trials.records()))[1] <= 150
    assert any("% of the epochs saved" in note for note in result.results.notes)


def test_run_whose_trainings_used_a_smaller_budget_up_says_so(tmp_path: Path) -> None:
    def error(params: dict[str, float], seed: int, epochs: int) -> Iterator[float]:
        for epoch in range(epochs):
            yield 1 + (math.log10(params["x"]) + 2) ** 2 + 2 / (epoch + 1) + 0.01 * ((seed * 7 + epoch) % 3)

    def of(row: int = 6, **budget: Any) -> Study:
        return Study.of(
            {"x": {"low": 0.001, "high": 1.0, "row": row}},
            error,
            metric="rmse",
            epochs=6,
            stages=["grid", "interval", "polish"],
            grid={"rungs": [2, 4]},
            polish={"keep": 3, "repeats": 4},
            **budget,
        )

    def run(**settings: Any) -> Any:
        return run_pipeline(of(**settings), into=tmp_path / "run")

    before = run().verdict.sentence
    assert run(budget={"epochs": 60}).verdict.sentence == before
    noted = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(StudyError, match=r"budget of 60 epochs is spent.* larger budget, or another folder"):
        run(row=5, budget={"epochs": 60})  # a plan that is not complete
    assert (tmp_path / "run" / "run.json").read_bytes() == noted
    said = state_sentence(find(of(row=5, budget={"epochs": 60}), run().trials))
    assert "the budget is spent before stage grid" in said
    assert "yet" not in said
    assert run().verdict.sentence == before
