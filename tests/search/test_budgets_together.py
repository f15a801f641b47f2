"""Budgets together with everything else: violations, raised budgets, searches without a verdict, times, refusals."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from zonesearch import Study, StudyError, Training, Trial, Trials, ZoneSampler, run_pipeline
from zonesearch.run.pipeline import next_round
from zonesearch.search.budget import Budget
from zonesearch.statistics.noise import cell_of

AB = {name: {"low": 0.0, "high": 1.0} for name in "ab"}


def noisy(params: Mapping[str, Any], seed: int) -> float:
    draws = random.Random(repr((sorted(params.items()), seed)))
    return 0.9 - sum((v - 0.4) ** 2 for v in params.values() if isinstance(v, float)) / 9 + draws.gauss(0, 0.005)


@pytest.mark.parametrize("stages", [["surrogate", "polish"], ["surrogate", "interval", "polish"], ["grid", "polish"]])
def test_another_trained_point_is_judged_when_fresh_seeds_of_every_candidate_violate(stages: list[str]) -> None:
    def train(params: Mapping[str, Any], seed: int) -> dict[str, float]:
        return {"score": -abs(params["x"] - 0.3), "violation": float(seed >= 1000 and _is_bad(params["x"]))}

    result = run_pipeline(
        {"x": {"low": 0.0, "high": 1.0, "row": 9}},
        objective=train,
        metric="score",
        stages=stages,
        seeds=1,
        budget={"trainings": 40},
        polish={"keep": 1},
    )
    assert result.verdict is not None
    assert [_is_bad(standing.finalist.params["x"]) for standing in result.verdict.standings] == [False]
    assert "Left out, since fresh seeds report a violation: x 0." in result.verdict.sentence
    assert 38 <= len(result.trials) <= 40 or "is settled" in result.verdict.sentence


def _is_bad(x: float) -> bool:
    return abs(x - 0.3) < 0.003 or abs(x - 1 / 3) < 0.01


def test_where_every_setting_violates_under_some_seed_the_verdict_is_on_the_others() -> None:
    def train(params: Mapping[str, Any], seed: int) -> dict[str, float]:
        return {"score": params["x"] + 0.01 * (seed % 3), "violation": float(seed == 1001)}

    result = run_pipeline(
        {"x": {"low": 0.0, "high": 1.0, "row": 3}}, objective=train, metric="score", seeds=1, polish={"repeats": 4}
    )
    assert result.verdict is not None
    (standing,) = result.verdict.standings
    assert 1001 not in standing.accuracies
    assert standing.n_violating == 1
    assert "1 of its 4 fresh seeds reports a violation and does not count" in result.verdict.sentence


@pytest.mark.parametrize("n", [12, 20])
def test_a_raised_budget_counts_what_an_earlier_plan_trained_once(n: int) -> None:
    """A search after a grid takes over trainings of the smaller plan, which then are in both."""
    trials, budget = Trials(), None
    for amount in (n, 60):
        now = Budget("trainings", amount)
        budget = now if budget is None else now.continuing(budget)
        study = Study.of(
            {"a": AB["a"]}, lambda params: 0.0, stages=["grid", "surrogate", "polish"], seeds=2, budget=budget
        )
        while not (at := next_round(study.stages, trials, study.budget)).finished:
            trials |= Trials(Trial(t, accuracy=noisy(t.params, t.seed)) for t in at.missing)
    said = at.output.sentence
    wanted = {t.identity for record in at.records for t in record.wanted}
    assert len({trial.training.identity for trial in trials} - wanted) <= 9
    assert len(trials) <= 60
    assert len(trials) >= 57 or "settled after" in said or "wanted no more" in said


@pytest.mark.parametrize("stages", [["grid", "interval"], ["coordinate", "interval"], ["coordinate"], ["grid"]])
@pytest.mark.parametrize("n", [20, 60])
def test_a_search_without_a_verdict_spends_its_budget_or_says_what_it_wanted(stages: list[str], n: int) -> None:
    axes = {"a": AB["a"], "k": {"choices": ["x", "y"]}, "m": {"low": 0.0, "high": 0.9, "when": {"k": "x"}}}
    result = run_pipeline(
        axes, objective=noisy, stages=stages, seeds=1, budget={"trainings": n}, constraints=["a + m <= 1.5"]
    )
    spent = len(result.trials)
    said = " ".join(result.results.notes)
    assert spent <= n
    is_spent = spent >= 0.95 * n
    assert is_spent != bool(re.search(f"(wanted no more than|ended after) {spent} of {n} trainings", said))
    if not is_spent:
        assert "ended the search early" not in said


@pytest.mark.parametrize("stages", [["grid", "interval", "polish"], ["surrogate", "polish"]])
def test_a_raised_time_budget_goes_on_from_where_the_smaller_one_ended(stages: list[str]) -> None:
    trials, budget, before = Trials(), None, 0
    for amount in (30.0, 60.0, 20.0):
        now = Budget("seconds", amount)
        budget = now if budget is None else now.continuing(budget)
        study = Study.of(AB, lambda params: 0.0, stages=stages, seeds=1, budget=budget)
        while not (at := next_round(study.stages, trials, study.budget)).finished:
            trials |= Trials(Trial(t, accuracy=noisy(t.params, t.seed), seconds=1.0) for t in at.missing)
        wanted = {t.identity for record in at.records for t in record.wanted} | {t.identity for t in at.probed}
        lost = {trial.training.identity for trial in trials} - wanted  # fresh seeds of finalists that were overtaken
        assert len(lost) <= 0.15 * len(trials)
        assert at.output.standings
        assert len(trials) > before if amount > 20.0 else len(trials) == before, "a lowered one trains nothing"
        before = len(trials)


def test_a_raised_budget_that_a_grid_alone_has_no_use_for_is_left_with_a_note(tmp_path: Path) -> None:
    for n in (30, 60):
        result = run_pipeline(
            {"k": {"choices": ["x", "y", "z"]}}, objective=lambda params: 0.5, stages=["grid"], seeds=1,
            budget={"trainings": n}, into=tmp_path / "run",
        )  # fmt: skip
        assert f"The search wanted no more than 3 of {n} trainings." in result.results.notes


@pytest.mark.parametrize("budgets", [(30, 31, 33, 40, 60), (12, 13, 24, 25)], ids=str)
def test_a_grid_alone_keeps_its_cells_under_every_raised_budget(budgets: tuple[int, ...], tmp_path: Path) -> None:
    axes = {
        "q": {"low": 1, "high": 9, "step": 2},
        "k": {"choices": [True, False]},
        "l": {"choices": [[64], [64, 64], None]},
        "m": {"low": 0.0, "high": 0.9, "when": {"k": True}},
    }
    most = 0
    for n in budgets:
        result = run_pipeline(
            axes, objective=lambda params: params["q"] / 10, stages=["grid"], seeds=1, budget={"trainings": n},
            into=tmp_path / "run",
        )  # fmt: skip
        assert result.results.map is not None
        assert most <= len(result.results.map.cells) == len(result.trials) <= n
        most = len(result.trials)


@pytest.mark.parametrize(
    ("stages", "why"),
    [(["grid", "interval"], "stage interval wanted no more"), (["grid"], "the rest does not pay for a larger one")],
)
def test_a_search_without_a_verdict_says_why_it_leaves_something(stages: list[str], why: str) -> None:
    axes = {"q": {"low": 1, "high": 8}, "b": {"low": 1, "high": 6}}
    n = 23 if len(stages) == 1 else 26
    result = run_pipeline(
        axes, objective=lambda params: -abs(params["q"] - 3) / 9, stages=stages, seeds=1, budget={"trainings": n}
    )
    spent = len(result.trials)
    assert f"The search ended after {spent} of {n} trainings: {why}." in result.results.notes


_KJ = {"k": {"choices": ["x", "y", "z"]}, "j": {"choices": [1, 2, 4, 8]}}


@pytest.mark.parametrize("axes", [AB, {"a": AB["a"], **_KJ}, _KJ], ids=lambda axes: "".join(axes))
@pytest.mark.parametrize("seeds", [1, 2, {"first": 1, "zone": 3}], ids=str)
@pytest.mark.parametrize(
    "stages",
    [
        "auto",
        "grid",
        "grid interval",
        "grid interval polish",
        "surrogate polish",
        "grid surrogate polish",
        "coordinate interval polish",
        "controller polish",
    ],
)
@pytest.mark.parametrize("epochs", [1, 3])
def test_the_least_budget_that_is_advised_is_enough_and_no_smaller_one_is(
    stages: str, seeds: Any, axes: dict[str, Any], epochs: int
) -> None:
    def study(n: int) -> Study:
        names: Any = "auto" if stages == "auto" else stages.split()
        return Study.of(axes, lambda params: 0.0, stages=names, seeds=seeds, epochs=epochs, budget={"epochs": n})

    least = 1
    try:
        study(least)
    except StudyError as error:
        least = int(re.findall(r"give at least ([\d,]+)", str(error))[0])
        with pytest.raises(StudyError, match=f"give at least {least}"):
            study(least - 1)
    enough, trials = study(least), Trials()
    while not (at := next_round(enough.stages, trials, enough.budget)).finished:
        trials |= Trials(Trial(t, accuracy=noisy(t.params, t.seed)) for t in at.missing)
    assert len(trials) * epochs <= least
    if "polish" in stages or stages == "auto":
        assert at.output.standings


W = {"low": 8, "high": 256, "scale": "log", "row": "doubling"}
N = {"low": 1, "high": 8, "step": 1}
SPACES: dict[str, Any] = {
    "two": {"axes": AB},
    "integers": {"axes": {"w": W, "n": N}},
    "branches": {
        "axes": {"a": AB["a"], "k": {"choices": ["x", "y"]}, "m": {"low": 0.0, "high": 0.9, "when": {"k": "x"}}},
        "constraints": ["a + m <= 1.5"],
    },
}


@pytest.mark.parametrize("seeds", [1, {"first": 1, "zone": 3}], ids=str)
@pytest.mark.parametrize("amounts", [(30,), (20, 45), (30, 70)], ids=str)
@pytest.mark.parametrize("space", SPACES)
def test_what_intervals_do_not_want_goes_to_the_grid_and_to_further_rounds(
    space: str, amounts: tuple[int, ...], seeds: Any
) -> None:
    """Nothing is trained in vain, and what is left is little or has nothing to tell."""

    def played(at_once: int) -> tuple[Trials, Any]:
        trials, budget = Trials(), None
        for amount in amounts:
            now = Budget("trainings", amount)
            budget = now if budget is None else now.continuing(budget)
            study = Study.of(
                SPACES[space]["axes"],
                lambda params: 0.0,
                stages=["grid", "interval"],
                seeds=seeds,
                budget=budget,
                constraints=SPACES[space].get("constraints", []),
            )
            while not (at := next_round(study.stages, trials, study.budget)).finished:
                some = at.missing[:at_once]
                trials |= Trials(Trial(t, accuracy=noisy(t.params, t.seed)) for t in some)
        return trials, at

    trials, at = played(10**6)
    wanted = {t.identity for record in at.records for t in record.wanted}
    lost = {trial.training.identity for trial in trials} - wanted
    assert len(trials) <= amounts[-1]
    assert len(lost) <= (amounts[-1] // 8 if len(amounts) > 1 else 0)
    assert len(trials) >= 0.95 * amounts[-1] or f"{len(trials)} of {amounts[-1]} trainings" in at.left
    if amounts[-1] > 45:
        return
    again, same = played(11)
    assert {trial.training.key for trial in again} == {trial.training.key for trial in trials}
    assert same == at


def test_a_longer_run_under_a_spent_budget_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    def train(params: Mapping[str, Any], seed: int, epochs: int) -> Iterator[float]:
        for epoch in range(epochs):
            yield noisy(params, seed) - 0.1 / (epoch + 1)

    def run(epochs: int) -> Any:
        return run_pipeline(
            AB, objective=train, into=tmp_path / "run", epochs=epochs, seeds=1, budget={"epochs": 45},
            stages=["grid", "polish"],
        )  # fmt: skip

    run(3)
    files = sorted(path for path in (tmp_path / "run").rglob("*") if path.is_file() and path.suffix != ".lock")
    before = [path.read_bytes() for path in files]
    with pytest.raises(StudyError, match=r"budget of 45 epochs is spent.* give a larger budget, or another folder"):
        run(6)
    assert [path.read_bytes() for path in files] == before


def test_an_attempt_that_fails_before_it_records_anything_changes_no_run(tmp_path: Path) -> None:
    given: list[Any] = [0.5]

    def train(params: Mapping[str, Any], seed: int) -> Any:
        return given[0]

    def run(n: int) -> Any:
        return run_pipeline(AB, objective=train, into=tmp_path / "run", seeds=1, budget={"trainings": n})

    run(12)
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(StudyError, match="too small"):
        run(1)
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    assert not math.isnan(given[0])


def test_choices_that_constraints_exclude_are_named() -> None:
    axes = {"arm": {"choices": ["p", "q", "r"]}, "a": AB["a"], "k": {"choices": ["x", "y"], "when": {"arm": "q"}}}
    result = run_pipeline(
        axes, objective=noisy, stages=["grid"], seeds=1, constraints=["arm != 'r'", "k == 'x'", "a <= 0.9"]
    )
    said = [note for note in result.results.notes if "exclude it" in note]
    assert said == [
        "No setting with arm r was trained: the constraints exclude it.",
        "No setting with k y was trained: the constraints exclude it.",
    ]


def test_a_metric_that_a_function_named_itself_may_be_named_later(tmp_path: Path) -> None:
    def train(params: Mapping[str, Any], seed: int) -> dict[str, float]:
        return {"rmse": 1 - noisy(params, seed), "mae": 2.0}

    def run(**settings: Any) -> Any:
        return run_pipeline(AB, objective=train, into=tmp_path / "run", seeds=1, stages=["grid"], **settings)

    first = run(budget={"trainings": 9})
    more = run(budget={"trainings": 16}, metric="rmse")
    assert len(more.trials) > len(first.trials)
    assert more.trials | first.trials == more.trials
    for other in ({"metric": "mae"}, {"metric": "rmse", "direction": "maximize"}):
        with pytest.raises(StudyError, match="another experiment"):
            run(**other)


@pytest.mark.parametrize("direction", [{}, {"direction": "minimize"}, {"direction": "maximize"}], ids=str)
def test_a_metric_that_is_left_out_later_is_that_of_the_run(direction: dict[str, Any], tmp_path: Path) -> None:
    def train(params: Mapping[str, Any], seed: int) -> dict[str, float]:
        return {"rmse": 1 - noisy(params, seed), "mae": 2.0 + params["a"]}

    def run(**settings: Any) -> Any:
        return run_pipeline(AB, objective=train, into=tmp_path / "run", seeds=1, stages=["grid"], **settings)

    first = run(budget={"trainings": 9}, metric="mae", **direction)
    more = run(budget={"trainings": 16})
    assert len(more.trials) > len(first.trials)
    assert more.results.metric == first.results.metric
    said = f"This run was begun with the metric mae ({first.results.metric.direction}), and keeps it"
    assert any(note.startswith(said) for note in more.results.notes)
    with pytest.raises(StudyError, match="another experiment"):
        run(metric="rmse")


def test_an_optuna_sampler_hands_on_zones() -> None:
    result = run_pipeline(AB, objective=noisy, stages=["optuna", "polish"], seeds=1, budget={"trainings": 40})
    assert result.verdict is not None
    assert result.verdict.standings
    assert all(len(zone.cells) > 1 for zone in result.zones)
    assert all(zone.intervals["a"][0] < zone.peak["a"] < zone.intervals["a"][-1] for zone in result.zones)


def test_intervals_of_fractions_stay_within_them() -> None:
    result = run_pipeline(
        {"x": {"low": 0.0, "high": 1.0, "row": 3}},
        objective=lambda params, seed: 0.97 if seed % 2 else 0.99,
        stages=["grid", "polish"],
        seeds=1,
        polish={"repeats": 2, "keep": 2},
    )
    assert result.verdict is not None
    assert result.verdict.best is not None
    assert result.verdict.best.seed_interval[1] == 1.0
    assert "98.00 % (" in result.verdict.sentence
    assert " to 100.00)" in result.verdict.sentence


@pytest.mark.parametrize("n", [20, 40, 70])
@pytest.mark.parametrize("race", [False, True])
@pytest.mark.parametrize("bad", [{1001}, {1003}, {1000, 1001}, {1000, 1002, 1004}, set(range(1005, 1020))], ids=str)
def test_fresh_seeds_that_violate_train_the_same_one_by_one(bad: set[int], race: bool, n: int) -> None:
    """In the first look of a race, and in later ones."""

    def known(training: Training) -> Trial:
        violates = training.seed in bad and training.params["q"] in (5, 7)
        value = -abs(training.params["q"] - 5) / 9
        return Trial(
            training, accuracy=noisy(training.params, training.seed) + value, noted={"violation": float(violates)}
        )

    study = Study.of(
        {"q": {"low": 1, "high": 15, "step": 2}}, lambda params: 0.0, stages=["grid", "polish"], seeds=2,
        budget={"trainings": n}, polish={"race": race},
    )  # fmt: skip
    found = []
    for at_once in (1, 3, 1000):
        trials = Trials()
        while not (at := next_round(study.stages, trials, study.budget)).finished:
            trials |= Trials(known(training) for training in at.missing[:at_once])
        found.append(({trial.training.key for trial in trials}, at.output.sentence))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("stages", [["grid", "interval", "polish"], ["surrogate", "polish"], ["coordinate", "polish"]])
def test_a_budget_in_another_unit_goes_on_or_is_refused_in_a_sentence(stages: list[str], tmp_path: Path) -> None:
    def train(params: Mapping[str, Any], seed: int, epochs: int) -> Iterator[float]:
        yield from (noisy(params, seed) - 0.01 * (epochs - i) for i in range(1, epochs + 1))

    def run(budget: dict[str, Any], into: str) -> Any:
        return run_pipeline(
            AB, objective=train, stages=stages, seeds=1, epochs=2, budget=budget, into=tmp_path / into
        )  # fmt: skip

    run({"trainings": 20}, "plain")
    plain = run({"trainings": 40}, "plain")
    run({"trainings": 20}, "other")
    other = run({"epochs": 80}, "other")
    keys = {trial.training.key for trial in plain.trials}
    assert {trial.training.key for trial in other.trials} == keys
    assert run({"trainings": 40}, "other").trials == other.trials, "and back"
    for budget in ({"epochs": 60}, {"trainings": 30}):  # lowered: nothing is trained, and the verdict stays
        lower = run(budget, "other")
        assert lower.trials == other.trials
        assert lower.verdict is not None
        assert plain.verdict is not None
        assert [s.accuracies for s in lower.verdict.standings] == [s.accuracies for s in plain.verdict.standings]
    with pytest.raises(StudyError, match=r"begun with .*, and would be planned anew with a budget in seconds"):
        run({"minutes": 5}, "other")


@pytest.mark.parametrize("stages", [["grid", "polish"], ["grid", "interval", "polish"], ["coordinate", "polish"]])
@pytest.mark.parametrize("chance", [0.2, 0.4])
def test_one_bad_seed_excludes_no_point(stages: list[str], chance: float) -> None:
    """A violation that is only true or false, under some seeds of every point."""
    for run in range(3):

        def train(params: Mapping[str, Any], seed: int, _run: int = run) -> dict[str, float]:
            luck = random.Random(repr((params["x"], seed, _run)))
            return {"score": params["x"] + luck.gauss(0, 0.01), "violation": luck.random() < chance}

        result = run_pipeline(
            {"x": {"low": 0, "high": 1}}, objective=train, metric="score", stages=stages, seeds=1,
            budget={"trainings": 24},
        )  # fmt: skip
        assert result.verdict is not None
        assert result.verdict.best is not None, "two cells, and all of a budget to find out"
        assert result.verdict.best.n_violating <= len(result.verdict.best.accuracies)
        n_all = {s.finalist.params["x"]: s.n_violating for s in result.verdict.standings}
        fresh = [trial for trial in result.trials if trial.seed >= 1000 and not trial.feasible]
        assert sum(n_all.values()) + sum(trial.params["x"] not in n_all for trial in fresh) == len(fresh)


def test_what_violates_mostly_is_left_out_after_two_fresh_seeds() -> None:
    def train(params: Mapping[str, Any], seed: int) -> dict[str, float]:
        return {"score": params["x"] + 0.001 * (seed % 3), "violation": seed >= 1000 and params["x"] > 0.9}

    result = run_pipeline(
        {"x": {"low": 0.0, "high": 1.0, "row": 4}}, objective=train, metric="score", seeds=1,
        stages=["grid", "polish"], polish={"keep": 1, "repeats": 5},
    )  # fmt: skip
    assert sum(trial.seed >= 1000 and trial.params["x"] > 0.9 for trial in result.trials) == 2
    assert result.verdict is not None
    assert [standing.finalist.params["x"] for standing in result.verdict.standings] == [0.75]


@pytest.mark.parametrize(
    ("violations", "feasible"),
    [([], True), ([1], False), ([0, 1], True), ([1, 1, 0], False), ([-0.1, -0.1, 5], True), ([0.1, 0.2, -9], False)],
)
def test_a_point_violates_if_more_than_half_of_its_trainings_do(violations: list[float], feasible: bool) -> None:
    trainings = [Training({"x": 1}, seed) for seed in range(3)]
    noted = zip(trainings, violations, strict=False)
    trials = [Trial(training, accuracy=0.5, noted={"violation": value}) for training, value in noted]
    trials += [Trial(training, accuracy=0.5) for training in trainings[len(violations) :]]
    assert cell_of({"x": 1}, trainings, Trials(trials)).feasible == feasible


def test_a_search_without_stages_is_refused_in_a_sentence() -> None:
    with pytest.raises(StudyError, match=r'stages must be a list of names or "auto", not \[\]'):
        run_pipeline(AB, objective=noisy, stages=[], budget={"trainings": 20})
    with pytest.raises(StudyError, match=r'\[sampler\] stages must be a list of names or "auto", not \[\]'):
        ZoneSampler(stages=[])


@pytest.mark.parametrize("stages", [["compare"], ["grid", "compare"], "auto"])
@pytest.mark.parametrize("space", [{"a": [1, 2]}, {"a": [1, 2, 3], "b": [1, 2]}])
def test_a_budget_is_refused_with_the_least_that_suffices_and_nothing_above_it_is(
    stages: list[str] | str, space: dict[str, Any]
) -> None:
    def within(n: int) -> int:
        result = run_pipeline(space, objective=noisy, stages=stages, budget={"trainings": n})
        return len(result.trials)

    with pytest.raises(StudyError, match="give at least") as refused:
        within(1)
    least = int(re.findall(r"\d+", str(refused.value))[-1])
    with pytest.raises(StudyError, match=f"give at least {least}"):
        within(least - 1)
    assert all(within(n) <= n for n in range(least, least + 4))


@pytest.mark.parametrize("stages", [["grid"], ["grid", "interval", "polish"], ["coordinate", "polish"], ["surrogate"]])
@pytest.mark.parametrize(
    ("axes", "middle"),
    [
        ({"a": {"low": 0.0, "high": 1.0, "row": 4}, "b": {"low": 1, "high": 64, "scale": "log"}}, (0.5, 8)),
        ({"a": {"low": 0.0, "high": 1.0, "row": 8, "when": {"c": "u"}}, "c": ["u", "v"]}, (0.5, None)),
    ],
)
def test_where_all_is_equal_the_middle_is_recommended_and_said_so_once(
    stages: list[str], axes: dict[str, Any], middle: tuple[float, int | None]
) -> None:
    result = run_pipeline(axes, objective=lambda params, seed, epochs: 0.5, stages=stages)
    peak = result.zones[0].peak
    if stages != ["surrogate"]:  # whose points lie anywhere
        assert peak.get("a", 0.5) == pytest.approx(middle[0])
        assert peak.get("b") == middle[1]
    assert sum("the same value, so nothing tells them apart" in note for note in result.results.notes) == 1
