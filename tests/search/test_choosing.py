"""From a map to finalists: which points go on, and what a run keeps of the rule."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tests.search.asking import asked
from zonesearch import run_pipeline
from zonesearch.core.seeding import FRESH
from zonesearch.core.space import Space
from zonesearch.core.trials import Trials
from zonesearch.errors import StudyError
from zonesearch.run.recorded import read_run
from zonesearch.search.stages.grid import Grid
from zonesearch.search.stages.interval import Interval
from zonesearch.search.stages.polish import Polish
from zonesearch.statistics.candidates import AS_THEY_ARE, RIVAL, Candidate
from zonesearch.study.study import Study

AXIS = {"low": 1, "high": 64, "scale": "log", "integer": True, "row": "doubling"}
SPACE = Space.parse({"a": AXIS, "b": AXIS})
SCHEDULES = ("constant", "step(every=7)", "plateau(patience=3)")


def hill(params, seed) -> float:
    """Flat at the top: several cells cannot be told apart."""
    where = [math.log2(params[name]) - 3 for name in "ab"]
    key = [seed, int(params["a"]), int(params["b"]), len(params.get("schedule", "")) if "step" in str(params) else 0]
    return 0.9 - 0.003 * sum(x * x for x in where) + float(np.random.default_rng(key).normal(0, 0.004))


def searched(*stages, surface=hill, trials=None):
    """The outputs of stages one after the other, and all trials."""
    given, trials, outputs = None, trials or Trials(), []
    for stage in stages:
        given, trials, _ = asked(stage, surface, given, trials)
        outputs.append(given)
    return outputs, trials


GRID, INTERVAL = Grid(SPACE, 1, {"first": 1, "zone": 3}), Interval(SPACE, 1, {"first": 1, "zone": 3})
POLISH = Polish(SPACE, 1, {"first": 1, "zone": 3}, schedules=SCHEDULES)


def points(verdict):
    return [(s.finalist.params["a"], s.finalist.params["b"]) for s in verdict.standings]


def test_finalists_are_different_points_before_one_point_under_several_schedules() -> None:
    (mapped, candidates, verdict), _ = searched(GRID, INTERVAL, POLISH)
    assert all(math.isfinite(candidate.expected) for candidate in candidates)
    rivals = [candidate for candidate in candidates if candidate.origin == RIVAL]
    assert len(rivals) == 4
    assert all(rival.params in [dict(cell) for cell in mapped.zones[0].cells] for rival in rivals)
    assert len(set(points(verdict))) == 5
    by_mean = replace(POLISH, choose="mean")
    (*_, before), _ = searched(GRID, INTERVAL, by_mean)
    assert len(set(points(before))) < 5


def test_a_map_alone_names_rivals_too_and_they_are_trained_only_as_finalists() -> None:
    (_, verdict), trials = searched(GRID, replace(POLISH, keep=3))
    assert len(set(points(verdict))) == 3
    chosen = {trial.params["schedule"] for trial in trials if "schedule" in trial.params and trial.seed < FRESH}
    assert chosen == set(SCHEDULES[1:])
    under = {(t.params["a"], t.params["b"]) for t in trials if "schedule" in t.params and t.seed < FRESH}
    assert len(under) == 1, "no training selects among rivals"


def test_copies_come_last() -> None:
    candidates = [Candidate({"a": 8, "b": 8}, 0.9, 0.01, 1), Candidate({"a": 16, "b": 8}, 0.9, 0.01, 1)]

    def finalists(keep):
        stage = Polish(SPACE, 1, 3, schedules=SCHEDULES, keep=keep)
        verdict, _, _ = asked(stage, hill, candidates)
        return [(s.finalist.params["a"], s.finalist.schedule.split("(")[0]) for s in verdict.standings]

    assert sorted(finalists(4)) == [
        (8, "constant"),
        (8, "step"),
        (16, "constant"),
        (16, "step"),
    ]  # plateau changes nothing
    assert len(finalists(6)) == 6


def test_a_budget_leaves_rivals_out_first_and_they_can_be_limited() -> None:
    (_, candidates), _ = searched(GRID, INTERVAL)
    enough = POLISH.within(1000, candidates, ())
    assert enough == POLISH
    assert POLISH.within(30, candidates, ()).rivals == 0
    (*_, verdict), _ = searched(GRID, INTERVAL, replace(POLISH, rivals=1))
    n_others = len({(c.params["a"], c.params["b"]) for c in candidates if c.origin not in AS_THEY_ARE})
    assert len(set(points(verdict))) <= n_others + 2


@pytest.mark.parametrize(
    "more",
    [
        {"metric": {"name": "cost", "direction": "minimize"}},
        {"constraints": ("a * b <= 64",)},
        {"axes": {"kind": ["x", "y"], "b": {**AXIS, "when": {"kind": "x"}}, "a": AXIS}},
        {"axes": {"a": AXIS, "b": AXIS, "kind": ["x", "y", "z"]}},
        {"budget": {"trainings": 90}},
        {"diverges": True},
    ],
    ids=["minimized", "constraints", "branches", "choices", "budget", "diverging"],
)
def test_the_rule_goes_with_every_kind_of_space(more) -> None:
    sign = -1 if "metric" in more else 1

    def surface(params, seed):
        if more.get("diverges") and params["a"] * params["b"] > 200 and seed % 2:
            return math.nan
        return sign * hill({"a": params["a"], "b": params.get("b", 8)}, seed)

    settings = {k: v for k, v in more.items() if k not in ("axes", "diverges")}
    axes = more.get("axes", {"a": AXIS, "b": AXIS})
    found = [run_pipeline(axes, objective=surface, stages=["grid", "interval", "polish"], **settings) for _ in range(2)]
    verdicts = [result.verdict for result in found]
    best = verdicts[0].best.finalist.params
    assert abs(math.log2(best["a"]) - 3) <= 1
    first, second = ([(s.finalist, s.accuracies) for s in verdict.standings] for verdict in verdicts)
    assert first == second


def test_the_order_of_trials_does_not_matter() -> None:
    (*_, verdict), trials = searched(GRID, INTERVAL, POLISH)
    turned = Trials(reversed(list(trials)))
    (*_, again), _ = searched(GRID, INTERVAL, POLISH, trials=turned)
    assert again == verdict
    assert len(trials) == len(turned)


def test_a_run_goes_on_by_the_rule_that_it_was_started_with(tmp_path) -> None:
    axes, stages = {"a": AXIS, "b": AXIS}, ["grid", "interval", "polish"]
    mean = {"grid": {"peaks": "mean"}, "interval": {"choose": "mean"}, "polish": {"choose": "mean"}}
    first = run_pipeline(axes, objective=hill, stages=stages, into=tmp_path / "run", **mean)
    again = run_pipeline(axes, objective=hill, stages=stages, into=tmp_path / "run")
    assert len(again.trials) == len(first.trials)
    stored = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["stages"]
    assert [stored[0]["peaks"], stored[1]["choose"], stored[2]["choose"]] == ["mean"] * 3
    # a run of a version that had no such settings
    meta = json.loads((tmp_path / "run" / "run.json").read_text())
    for table in meta["settings"]["stages"]:
        table.pop("peaks", None), table.pop("choose", None), table.pop("rivals", None)
    meta.pop("checksum")
    (tmp_path / "run" / "run.json").write_text(json.dumps(meta))
    results, _ = read_run(tmp_path / "run")
    assert repr(results.verdict.standings) == repr(first.verdict.standings)
    posterior = {"grid": {"peaks": "posterior"}, "interval": {"choose": "posterior"}, "polish": {"choose": "posterior"}}
    other = run_pipeline(axes, objective=hill, stages=stages, into=tmp_path / "run", **posterior)
    assert repr(other.verdict.standings) != repr(first.verdict.standings)


def test_rivals_without_effect_are_refused() -> None:
    for stages, more in (
        (["surrogate", "polish"], {}),
        (["grid", "interval", "polish"], {"interval": {"choose": "mean"}}),
        (["grid", "polish"], {"polish": {"choose": "mean"}}),
    ):
        tables = {**more, "polish": {**more.get("polish", {}), "rivals": 2}}
        with pytest.raises(StudyError, match="rivals has no effect"):
            Study.of({"a": AXIS}, lambda params: 0.0, stages=stages, **tables)
    with pytest.raises(StudyError, match="peaks"):
        Study.of({"a": AXIS}, lambda params: 0.0, stages=["grid"], grid={"peaks": "best"})
    kept = Study.of({"a": AXIS}, lambda params: 0.0, stages=["grid", "interval", "polish"], polish={"rivals": 2})
    assert kept.stages[-1].rivals == 2
