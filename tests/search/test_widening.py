"""A grid goes on beyond the rims on which peaks lie, as far as the limits let it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zonesearch import Axis, SpaceError, Study, StudyError, run_pipeline
from zonesearch.core.space import Space
from zonesearch.core.trials import Trial, Trials
from zonesearch.core.widening import beyond, widened
from zonesearch.optuna.sampler import ZoneSampler
from zonesearch.optuna.space import distribution_of
from zonesearch.optuna.view import OptunaView
from zonesearch.report.map_summary import MapSummary
from zonesearch.run.running import run_study
from zonesearch.run.shards import Shard
from zonesearch.search.stages.grid import Grid

WIDE = {
    "width": {"low": 16, "high": 64, "scale": "log", "limit_high": 1024},
    "batch": {"low": 4, "high": 16, "scale": "log", "limit_low": 1, "limit_high": 16},
}


def hill(params: dict[str, Any], seed: int = 0) -> float:
    """A peak outside of the first grid."""
    return 1 - abs(params["width"] - 256) / 2000 - abs(params["batch"] - 1) / 100 + 0.0001 * (seed % 7)


@pytest.mark.parametrize(
    ("table", "down", "up"),
    [
        ({"low": 16, "high": 64, "scale": "log", "limit_low": 3, "limit_high": 1000}, (8, 4, 3), (128, 256, 512)),
        ({"low": 16, "high": 64, "scale": "log", "row": "midpoints", "limit_high": 200}, (), (96, 128, 192)),
        ({"low": 0.0, "high": 1.0, "limit_high": 1.6}, (), (1.25, 1.5, 1.6)),
        ({"low": 0.0, "high": 1.0, "limit_high": 1.4}, (), (1.25, 1.4)),
        ({"low": 3, "high": 7, "row": 2, "step": 2, "limit_low": 0, "limit_high": 20}, (1,), (9, 11, 13)),
        ({"row": [1, 2, 4], "limit_low": 0, "limit_high": 7}, (0,), (6, 7)),
        ({"low": 1e-3, "high": 1e-1, "scale": "log", "row": 2, "limit_high": 5}, (), (1.0, 5.0)),
    ],
)
def test_row_goes_on_by_its_own_rule(table: dict[str, Any], down: tuple[Any, ...], up: tuple[Any, ...]) -> None:
    axis = Space.parse({"x": table})["x"]
    assert isinstance(axis, Axis)
    assert beyond(axis, "low", 3) == down
    assert beyond(axis, "high", 3) == up


@given(
    low=st.integers(1, 40),
    more=st.integers(1, 60),
    rule=st.sampled_from(["doubling", "midpoints", 1, 2, 3]),
    log=st.booleans(),
    down=st.integers(0, 4),
    up=st.integers(0, 4),
    limit=st.integers(0, 400),
)
def test_wider_axis_keeps_its_row_and_its_limits(
    low: int, more: int, rule: Any, log: bool, down: int, up: int, limit: int
) -> None:
    axis = Axis(
        "x", low, low + more, "log" if log else "linear", row_rule=rule, limit_low=1, limit_high=low + more + limit
    )
    wide = widened(Space((axis,)), {("x", "low"): down, ("x", "high"): up})["x"]
    assert isinstance(wide, Axis)
    assert set(axis.row()) <= set(wide.row())
    assert 1 <= wide.low <= axis.low
    assert axis.high <= wide.high <= low + more + limit
    n = 2 if rule == "midpoints" else 1
    assert len(wide.row()) <= len(axis.row()) + n * (down + up)
    assert Space.parse(Space((wide,)).describe())["x"] == wide
    assert distribution_of(wide) == distribution_of(axis)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"low": 4, "high": 8, "limit_low": 5}, "inside the axis"),
        ({"low": 4, "high": 8, "limit_high": "far"}, "finite number"),
        ({"low": 4, "high": 8, "limit_high": 9.5}, "whole number"),
        ({"low": 0.1, "high": 8, "scale": "log", "limit_low": 0.0}, "above 0"),
    ],
)
def test_limit_that_does_not_fit_is_refused(table: dict[str, Any], said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        Space.parse({"x": table})


def test_limits_without_a_grid_are_refused() -> None:
    with pytest.raises(StudyError, match="stage grid"):
        Study.of(WIDE, hill, stages=["surrogate"])
    with pytest.raises(StudyError, match=r"\[sampler\].*stage grid"):
        ZoneSampler(WIDE, stages=["coordinate"])


def test_grid_follows_the_peak_and_says_where_it_went() -> None:
    result = run_pipeline(WIDE, objective=hill, metric="score")
    best = result.zones[0]
    assert (best.peak, best.rim) == ({"width": 256, "batch": 1}, ())
    assert best.intervals["width"] == (128, 512)
    notes = " ".join(result.results.notes)
    assert (
        "peaks on the edge of width extended the grid 3 times, from 64 to 512; it stopped because no zone has its peak"
        in notes
    )
    assert (
        "peaks on the edge of batch extended the grid 2 times, from 4 to 1; it stopped because 1 is as far as its limit"
        in notes
    )
    assert result.results.space["width"].row()[-1] == 512
    assert MapSummary(result.results).shape == (6, 5)
    assert all(4 <= t.params["width"] <= 1024 for t in result.trials)


def test_rounds_are_counted() -> None:
    result = run_pipeline(WIDE, objective=hill, metric="score", grid={"widen": 1}, stages=["grid"])
    assert result.results.space["width"].row() == (16, 32, 64, 128)
    assert "widen = 1 allows no more rounds" in " ".join(result.results.notes)
    assert "lies on the edge" in " ".join(result.results.notes)
    still = run_pipeline(WIDE, objective=hill, metric="score", grid={"widen": 0}, stages=["grid"])
    assert still.results.space == Space.parse(WIDE)


def test_nothing_widens_without_limits() -> None:
    space = {name: {k: v for k, v in table.items() if "limit" not in k} for name, table in WIDE.items()}
    found = run_pipeline(space, objective=hill, metric="score", stages=["grid"])
    assert len({tuple(t.params.items()) for t in found.trials}) == 9


def played(grid: Grid, rng: random.Random) -> tuple[Any, Trials]:
    """Trials come a few at a time, in any order."""
    trials = Trials()
    while missing := trials.missing((plan := grid.plan(None, trials)).trainings):
        for training in rng.sample(missing, min(len(missing), rng.randint(1, 7))):
            values = [hill(dict(training.params), training.seed) - 0.1 * 0.5**n for n in range(training.epochs)]
            trials |= Trials([Trial(training, accuracy=max(values), curve={"validation_accuracy": values})])
    return plan, trials


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 99), st.sampled_from([(), (1, 2)]), st.sampled_from([1, {"first": 1, "zone": 3}]))
def test_order_of_trials_changes_no_widening(seed: int, rungs: tuple[int, ...], seeds: Any) -> None:
    grid = Grid(Space.parse(WIDE), 3, seeds=seeds, rungs=rungs)
    plan, trials = played(grid, random.Random(seed))
    other, same = played(grid, random.Random(seed + 1))
    assert plan.trainings == other.trainings
    assert {t.key for t in trials} == {t.key for t in same}
    assert plan.output.zones == other.output.zones
    assert {training.key for training in plan.trainings} == {t.key for t in trials}  # nothing is asked for in vain


def test_budget_allows_the_rounds_that_it_pays_for() -> None:
    study = Study.of(WIDE, hill, metric="score", stages=["grid"], seeds=1, budget={"trainings": 16})
    result = run_pipeline(study)
    assert len(result.trials) <= 16
    assert not any(t.state == "failed" for t in result.trials)


def test_shards_and_a_run_that_goes_on_come_to_the_same(tmp_path: Path) -> None:
    def study() -> Study:
        return Study.of(WIDE, hill, metric="score", seeds=1)

    whole = run_pipeline(study(), into=tmp_path / "whole")
    for _ in range(60):
        for i in (1, 2):
            last = run_study(study(), into=tmp_path / "shards", shard=Shard(i, 2))
        if last.results.finished:
            break
    assert last.results.finished
    assert {t.key for t in last.trials} == {t.key for t in whole.trials}
    assert last.zones == whole.zones


def test_view_has_one_distribution_from_the_first_trial_on(tmp_path: Path) -> None:
    result = run_pipeline(WIDE, objective=hill, metric="score", stages=["grid"])
    view = OptunaView(str(tmp_path / "view.journal"), "run", "print", Space.parse(WIDE), metric=result.results.metric)
    view.top_up(result.trials)
    seen = {str(trial.distributions["width"]) for trial in view.study.trials}
    assert len(seen) == 1


def test_sampler_goes_on_beyond_the_rim() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=ZoneSampler(WIDE, stages=["grid"], seed=1))
    study.optimize(
        lambda t: hill(
            {"width": t.suggest_int("width", 16, 1024, log=True), "batch": t.suggest_int("batch", 1, 16, log=True)}
        ),
        n_trials=40,
    )
    assert study.best_params == {"width": 256, "batch": 1}


@pytest.mark.parametrize("stages", ["auto", ["coordinate", "polish"], ["surrogate", "polish"]], ids=str)
@pytest.mark.parametrize("budget", [{"trainings": 40}, {"trainings": 120}], ids=str)
def test_where_all_is_the_same_nothing_is_to_be_widened(stages: Any, budget: Any) -> None:
    space = {name: {"low": 0.0, "high": 1.0, "row": [0.0, 0.25, 0.5, 0.75, 1.0]} for name in ("x", "y")}
    found = run_pipeline(space, objective=lambda params, seed=0, epochs=1: 0.5, stages=stages, budget=budget)
    assert found.zones
    assert not any(zone.advice for zone in found.zones)
