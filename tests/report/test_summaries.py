"""The numbers behind the pictures."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.made import SPACE, diverging, height, searched
from zonesearch import Space, Training, Trial
from zonesearch.core.reading import Reading
from zonesearch.report.map_summary import MapSummary, running
from zonesearch.report.summaries.agreement import agreement, agreement_sentence, between_seeds
from zonesearch.report.summaries.costs import failures_table, provenance_table, stages_table
from zonesearch.report.summaries.finalists import finalists_table, repeats_table
from zonesearch.report.summaries.importance import importance
from zonesearch.report.summaries.learning import curves_of, schedules_at, shown_points
from zonesearch.report.summaries.lines import interval_lines
from zonesearch.report.summaries.map_tables import cells_table, slice_of
from zonesearch.report.summaries.pareto import pareto_front, settings_table
from zonesearch.statistics.search_results import SearchResults, StageRecord

CUBE = {**SPACE, "rate": {"low": 0.1, "high": 0.4, "scale": "log", "row": "doubling"}}
SHORT = {"method": "split(2)"}


@pytest.fixture(scope="module")
def results() -> SearchResults:
    return searched(train=diverging)


@pytest.fixture(scope="module")
def summary(results: SearchResults) -> MapSummary:
    return MapSummary(results)


@pytest.fixture(scope="module")
def cube() -> MapSummary:
    return MapSummary(searched(CUBE, interval=SHORT, epochs=3))


def test_cell_is_the_mean_over_the_seeds_of_the_map(results: SearchResults, summary: MapSummary) -> None:
    table = cells_table(summary).set_index(["width", "batch"])
    seen = [t.accuracy for t in results.trials.of({"width": 128, "batch": 16}) if t.seed < 2]
    assert table.loc[(128, 16), "accuracy"] == pytest.approx(np.mean(seen))
    assert table.loc[(128, 16), "zone"] == 1
    assert table.loc[(1024, 8), "diverged or failed"] == 2
    assert math.isnan(table.loc[(1024, 8), "accuracy"])
    assert len(table) == 49


def test_history_ends_with_the_map(summary: MapSummary) -> None:
    assert summary.epochs == tuple(range(1, 13))
    np.testing.assert_allclose(summary.history[-1], summary.means)
    assert (np.diff(summary.history, axis=0)[~np.isnan(np.diff(summary.history, axis=0))] >= 0).all()  # best so far


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.sampled_from(["best", "last", "median(3)"]))
def test_running_value_is_the_reading_of_each_beginning(curve: list[float], text: str) -> None:
    reading = Reading.parse(text)
    assert running(curve, reading).tolist() == [reading(curve[: i + 1]) for i in range(len(curve))]


def test_zones_of_the_last_epoch_are_those_that_were_found(results: SearchResults, summary: MapSummary) -> None:
    assert summary.zones_by_epoch[-1] == results.zones
    assert len(summary.zones_by_epoch) == 12


def test_long_history_is_thinned_and_keeps_its_end() -> None:
    space = {"x": {"low": 1, "high": 50, "row": 49}, "y": {"low": 1, "high": 50, "row": 49}}
    summary = MapSummary(searched(space, seeds=1, epochs=40, at_most=2500))
    assert summary.epochs[-1] == 40
    assert len(summary.epochs) * 2500 <= 40_000


def test_slice_holds_the_other_axes_at_the_first_peak(cube: MapSummary) -> None:
    plane = slice_of(cube, cube.means, "batch", "width")
    at = cube.space["rate"].row().index(cube.results.zones[0].peak["rate"])
    np.testing.assert_array_equal(plane, cube.means[:, :, at])
    np.testing.assert_array_equal(slice_of(cube, cube.means, "width", "batch"), plane.T)


def test_slice_averages_over_what_is_known(cube: MapSummary) -> None:
    values = cube.means.copy()
    values[0, 0, 0] = math.nan
    plane = slice_of(cube, values, "width", "batch", "average")
    np.testing.assert_allclose(plane, np.nanmean(values, axis=2).T)
    values[0, 0] = math.nan
    assert math.isnan(slice_of(cube, values, "width", "batch", "average")[0, 0])


def test_agreement_is_perfect_at_the_last_epoch(summary: MapSummary) -> None:
    table = agreement(summary)
    last = table.iloc[-1]
    assert (last["spearman"], last["kendall"], last["regret"]) == (pytest.approx(1), pytest.approx(1), 0)
    assert last["in a final zone"]
    assert (table["regret"] >= 0).all()
    assert 0.9 < between_seeds(summary) < 1
    assert "From epoch" in agreement_sentence(table)


def test_agreement_names_the_epoch_from_which_the_order_stays() -> None:
    def late(training: Training) -> Trial:
        """Upside down until epoch 4."""
        final = height(training.params)
        return Trial(training, accuracy=final, curve={"validation_accuracy": [1 - final] * 3 + [final] * 3})

    found = searched(train=late, epochs=6, reading="last", seeds=1)
    table = agreement(MapSummary(found))
    assert table["spearman"].tolist() == pytest.approx([-1, -1, -1, 1, 1, 1])
    assert "From epoch 4 of 6 on" in agreement_sentence(table)


def test_importance_shares_add_up_and_find_the_axis_that_matters() -> None:
    shares = importance(MapSummary(searched(CUBE, lambda t: Trial(t, accuracy=math.log2(t.params["width"])), epochs=1)))
    assert shares
    assert shares.axes == pytest.approx({"width": 1, "batch": 0, "rate": 0}, abs=1e-9)
    assert all(abs(share) < 1e-9 for share in shares.pairs.values())


def test_importance_gives_a_product_to_the_pair() -> None:
    space = {"x": [-1.0, 0.0, 1.0], "y": [-1.0, 0.0, 1.0]}
    shares = importance(
        MapSummary(searched(space, lambda t: Trial(t, accuracy=t.params["x"] * t.params["y"]), epochs=1))
    )
    assert shares
    assert shares.pairs == pytest.approx({("x", "y"): 1})


def test_importance_fills_missing_cells_by_the_sum_of_the_axes(summary: MapSummary) -> None:
    shares = importance(summary)
    assert shares
    assert shares.n_filled == 3
    assert sum(shares.axes.values()) + sum(shares.pairs.values()) + shares.rest == pytest.approx(1)
    assert 0 < shares.noise < 1


def test_importance_of_a_flat_or_unknown_map_is_none() -> None:
    assert importance(MapSummary(searched(train=lambda t: Trial(t, accuracy=0.5), epochs=1))) is None
    assert importance(MapSummary(searched(at_most=3))) is None


def test_interval_lines_hold_the_peak_and_both_ends(summary: MapSummary) -> None:
    lines = interval_lines(summary)
    assert {(line.zone.number, line.axis.name) for line in lines} >= {(1, "width"), (1, "batch")}
    for line in lines:
        values = line.table["value"].tolist()
        assert values == sorted(values)
        assert (values[0], values[-1]) == line.zone.intervals[line.axis.name]
        assert line.zone.peak[line.axis.name] in values
        assert (line.table["low"] < line.table["accuracy"]).all()


def test_curves_are_means_over_the_seeds_with_their_range(results: SearchResults) -> None:
    point = shown_points(results)[0]
    schedules = schedules_at(results, point)
    assert set(schedules) == {"constant", "step(every=7, factor=0.5)"}
    for params in schedules.values():
        table = curves_of(results, params)
        assert len(table) == 12
        assert (table["lowest"] <= table["accuracy"]).all()
        assert (table["accuracy"] <= table["highest"]).all()
        assert "learning rate" in table


def test_front_holds_what_nothing_cheaper_beats() -> None:
    assert pareto_front([1, 2, 2, 3, math.nan], [0.5, 0.7, 0.9, 0.8, 1.0]) == [0, 2]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_front_dominates_everything_else(points: list[tuple[int, int]]) -> None:
    front = pareto_front([c for c, _ in points], [a for _, a in points])
    for cost, accuracy in points:
        assert any(points[i][0] <= cost and points[i][1] >= accuracy for i in front)
    for i in front:
        assert not any(c <= points[i][0] and a > points[i][1] for c, a in points)


def test_settings_are_best_first_and_count_only_choosing_seeds(results: SearchResults) -> None:
    table = settings_table(results)
    assert table["accuracy"].is_monotonic_decreasing
    assert table["seeds"].max() == 2
    assert set(table["stage"]) == {"grid", "interval", "polish"}


def test_stages_add_up_to_all_trainings(results: SearchResults) -> None:
    table = stages_table(results)
    assert table["planned"].sum() == len(results.trials)
    assert table["missing"].sum() == 0
    assert (table["diverged"].sum(), table["failed"].sum()) == (4, 2)
    assert len(failures_table(results)) == 6
    assert provenance_table(results)["trainings"].sum() == len(results.trials)


def test_finalists_stand_in_the_order_of_the_verdict(results: SearchResults) -> None:
    table = finalists_table(results)
    assert results.verdict
    assert table["test accuracy"].tolist() == [s.mean for s in results.verdict.standings]
    assert (table["recommended"] == "yes").sum() == 1
    assert len(repeats_table(results)) == 12


def test_points_between_the_cells_are_those_of_the_intervals(results: SearchResults, summary: MapSummary) -> None:
    shown = {(point["width"], point["batch"]) for point, _ in summary.off_grid}
    grid = {(point["width"], point["batch"]) for point in summary.points}
    trained = {(t.params["width"], t.params["batch"]) for t in results.trials if "schedule" not in t.params}
    assert shown == {
        point
        for point in trained
        if point not in grid and results.trials.of({"width": point[0], "batch": point[1]})[0].seed < 1000
    }
    values = [value for _, value in summary.off_grid]
    assert values == sorted(values, reverse=True)


def test_map_is_where_the_grid_looked_when_a_stage_narrowed_the_space(results: SearchResults) -> None:
    narrow = Space.parse({"width": [64, 128], "batch": SPACE["batch"]})
    first = StageRecord("narrowing", finished=True, output=narrow)
    summary = MapSummary(replace(results, map=None, stages=(first, *results.stages)))
    assert summary.shape == (2, 7)
    assert summary.n_mapped == 14


def test_empty_run_holds_axes_at_the_start_of_their_rows() -> None:
    summary = MapSummary(searched(at_most=0))
    assert summary.held == {"width": 32, "batch": 8}
    assert summary.n_mapped == 0
