"""The grid with rungs: which cells go on, what is said about early maps, and that trainings go on where they ended."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zonesearch import ObjectiveError, Study, StudyError, Training, Trial, Trials, run_pipeline
from zonesearch.core.reading import Reading
from zonesearch.core.space import Space
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.summaries.agreement import agreement
from zonesearch.report.summaries.map_tables import cells_table
from zonesearch.search.stages.grid import Grid

SPACE = Space.parse({"x": {"low": 0, "high": 8, "row": 8}, "y": {"low": 0, "high": 8, "row": 8}})
EPOCHS = 16
LAST = Reading("last")


def peak(params, x, y):
    return math.exp(-((params["x"] - x) ** 2 + (params["y"] - y) ** 2) / 4)


def honest(params: Any, epoch: int) -> float:
    """Two peaks that are there from the beginning."""
    return 0.5 + (0.4 * peak(params, 2, 2) + 0.38 * peak(params, 6, 6)) * (1 - 0.5 ** (epoch / 4))


def misleading(params: Any, epoch: int) -> float:
    """The peak wanders from one corner to the middle while training."""
    at = 1 + 4 * min(1.0, (epoch - 1) / 12)
    return 0.5 + 0.4 * peak(params, at, at)


def trained(surface: Any, training: Training) -> Trial:
    rng = np.random.default_rng([training.seed, *(int(v) for v in training.params.values())])
    offset = rng.normal(0, 0.005)
    curve = [surface(training.params, epoch) + offset for epoch in range(1, training.epochs + 1)]
    return Trial(training, accuracy=max(curve), curve={"validation_accuracy": curve})


def grown(grid: Grid, surface: Any) -> tuple[Any, Trials, list[list[Training]]]:
    trials, rounds = Trials(), []
    while missing := trials.missing((plan := grid.plan(None, trials)).trainings):
        rounds.append(missing)
        trials |= Trials(trained(surface, training) for training in missing)
    return plan, trials, rounds


def peaks(zones: Any) -> set[tuple[Any, ...]]:
    return {tuple(zone.peak.values()) for zone in zones}


def grid(**settings: Any) -> Grid:
    return Grid(SPACE, EPOCHS, seeds=2, reading=settings.pop("reading", Grid.reading), **settings)


def test_every_cell_trains_to_the_first_rung_and_only_some_go_on() -> None:
    plan, _, rounds = grown(grid(rungs=(2, 4)), honest)
    assert {t.epochs for t in rounds[0]} == {2}
    assert len(rounds[0]) == 2 * SPACE.n_cells
    assert {t.epochs for t in rounds[1]} == {4}
    assert 0 < len(rounds[-1]) <= len(rounds[1]) <= len(rounds[0]) / 2
    assert len(plan.trainings) == 2 * SPACE.n_cells
    assert peaks(plan.output) == peaks(grown(grid(), honest)[0].output) == {(2, 2), (6, 6)}
    full = sum(t.epochs for t in grown(grid(), honest)[0].trainings)
    assert sum(t.epochs for t in plan.trainings) < 0.5 * full
    saved = 100 * (1 - sum(t.epochs for t in plan.trainings) / full)
    assert f"({saved:.0f} % of the epochs saved)" in plan.notes[0]


def test_a_map_that_was_right_early_is_not_blamed_and_one_that_misleads_is() -> None:
    assert not any("not yet right" in note for note in grown(grid(rungs=(4,)), honest)[0].notes)
    notes = grown(grid(rungs=(2,), reading=LAST), misleading)[0].notes
    assert any("The map after 2 epochs was not yet reliable" in note for note in notes)
    assert "Zones may have been missed" in notes[-1]
    assert grown(grid(), misleading)[0].notes == ()


def test_a_peak_that_wanders_calls_back_the_cells_that_left() -> None:
    plan, trials, _ = grown(grid(rungs=(2,), reading=LAST), misleading)
    assert peaks(plan.output[:1]) == peaks(grown(grid(reading=LAST), misleading)[0].output[:1]) == {(5, 5)}
    lengths = {(t.params["x"], t.params["y"]): t.epochs for t in plan.trainings}
    for zone in plan.output:
        x, y = zone.peak["x"], zone.peak["y"]
        near = [(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (x + i, y + j) in lengths]
        assert {lengths[place] for place in near} == {EPOCHS}
    assert trials.missing(plan.trainings) == []


def test_a_single_number_per_training_works_too() -> None:
    def surface(params: Any, seed: int, epochs: int) -> float:
        return honest(params, epochs) + 0.001 * seed

    result = run_pipeline(SPACE, objective=surface, epochs=EPOCHS, seeds=2, stages=["grid"], grid={"rungs": [4]})
    assert peaks(result.zones) == {(2, 2), (6, 6)}
    assert any("% of the epochs saved" in note for note in result.results.notes)


def test_what_later_stages_train_at_cells_that_left_changes_nothing() -> None:
    mine = grid(rungs=(2, 4))
    plan, trials, _ = grown(mine, honest)
    left = [t for t in plan.trainings if t.epochs < EPOCHS][:20]
    more = Trials(trained(honest, Training(t.params, t.seed, EPOCHS)) for t in left)
    assert mine.plan(None, trials | more) == plan
    assert mine.plan(None, more | trials) == plan


def test_cells_that_left_are_no_holes_and_count_in_no_summary() -> None:
    settings = {"epochs": EPOCHS, "seeds": 2, "stages": ["grid"]}
    cut = run_pipeline(SPACE, objective=curves, **settings, grid={"rungs": [2, 4]})
    summary = MapSummary(cut.results)
    left = sum(t.epochs < EPOCHS for t in cut.results.stages[0].wanted if t.seed == 0)
    assert len(summary.left) == left > 0
    assert summary.n_mapped == SPACE.n_cells - left
    assert np.isfinite(summary.history).all()
    i, (epochs, value) = next(iter(summary.left.items()))
    whole = MapSummary(run_pipeline(SPACE, objective=curves, **settings).results)
    assert summary.history.reshape(EPOCHS, -1)[epochs - 1, i] == pytest.approx(
        whole.history.reshape(EPOCHS, -1)[epochs - 1, i]
    )
    assert summary.history.reshape(EPOCHS, -1)[-1, i] == pytest.approx(value)
    cells = cells_table(summary)
    assert cells["accuracy"].notna().all()
    assert cells["missing"].sum() == 0
    assert cells["left after"].notna().sum() == left
    assert "left after" not in cells_table(whole).columns
    assert agreement(summary)["spearman"].iloc[-1] == pytest.approx(1.0)
    assert f"{left} of 81 cells left after 2 of 16 epochs" in summary.left_sentence


def test_the_report_shows_the_map_of_a_grid_with_rungs(tmp_path: Path) -> None:
    result = run_pipeline(SPACE, objective=curves, epochs=EPOCHS, seeds=2, stages=["grid"], grid={"rungs": [2, 4]})
    page = result.report(tmp_path / "report.html").read_text()
    assert "cells left after 2 of 16 epochs (rungs)" in page
    assert "% of the epochs saved" in page
    assert "of 81 cells have a value" not in page


def curves(params: Any, seed: int, epochs: int) -> Any:
    for epoch in range(1, epochs + 1):
        yield honest(params, epoch) + 0.001 * seed


@pytest.mark.parametrize("rungs", [[4, 2], [0], [2, 2], [40], [2.5], ["2"], [True]])
def test_rungs_that_make_no_sense_are_refused(rungs: Any) -> None:
    with pytest.raises(StudyError, match=r"\[grid\] rungs must be rising whole numbers of epochs from 1 to 16"):
        Study.of(SPACE, curves, epochs=EPOCHS, stages=["grid"], grid={"rungs": rungs})


RECIPE = {
    "space": {"width": [4, 8, 16, 32], "batch": [32, 64, 128]},
    "data": {"name": "digits"},
    "search": {"stages": ["grid"], "seeds": 1},
    "training": {"epochs": 4},
    "grid": {"rungs": [2]},
}


@pytest.mark.parametrize("stack", [True, False])
def test_real_trainings_go_on_instead_of_starting_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: bool
) -> None:
    from zonesearch.training import loop
    from zonesearch.training.stack.stack import Stack

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    n_epochs = 0

    def counted(original: Any, n: Any) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            nonlocal n_epochs
            n_epochs += n(args[0])
            return original(*args, **named)

        return call

    monkeypatch.setattr(Stack, "epoch", counted(Stack.epoch, lambda mine: mine.layout.n_members))
    monkeypatch.setattr(loop, "_descend", counted(loop._descend, lambda run: 1))
    study = Study.from_tables({**RECIPE, "training": {"epochs": 4, "stack": stack}})
    from zonesearch.run.running import run_study

    result = run_study(study)
    wanted = result.results.stages[0].wanted
    assert {t.epochs for t in wanted} == {2, 4}
    assert n_epochs == sum(t.epochs for t in wanted)
    plain = run_study(Study.from_tables({**RECIPE, "grid": {}, "training": {"epochs": 4, "stack": stack}}))
    assert n_epochs < 2 * 4 * study.space.n_cells
    for training in wanted:
        mine, other = result.trials.get(training), plain.trials.get(training)
        assert mine is not None
        assert other is not None
        assert mine.validation_curve == pytest.approx(other.validation_curve, abs=0.02)


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        ({"training": {"epochs": 4, "schedule": "cosine"}}, '"cosine"'),
        ({"averaging": {"kind": "weights"}}, "averaging"),
    ],
)
def test_trainings_that_look_at_their_length_are_refused(tables: Any, named: str) -> None:
    study = Study.from_tables({**RECIPE, **tables})
    with pytest.raises(ObjectiveError, match="rungs need trainings") as refused:
        study.objective()
    assert named in str(refused.value)
    Study.from_tables({**RECIPE, **tables, "grid": {}}).objective()
