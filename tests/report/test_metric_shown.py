"""A report of a search for the least error: called after it, in its unit, best first and brightest, no percent."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from tests.report.made import searched, trained
from zonesearch import Metric, StudyError, Trial
from zonesearch.report.comparison import render_comparison
from zonesearch.report.figure_set import FigureSet, notebook_html
from zonesearch.report.figures.map import height_range, map_figure, surface_figure, value_range
from zonesearch.report.figures.view import views_of
from zonesearch.report.heading import heading, state_sentence
from zonesearch.report.map_section import map_section, map_views
from zonesearch.report.map_summary import MapSummary, running
from zonesearch.report.note import note
from zonesearch.report.page import render
from zonesearch.report.sections import sections_after_map
from zonesearch.report.summaries.agreement import agreement
from zonesearch.report.summaries.costs import trials_table
from zonesearch.report.summaries.finalists import finalists_table, repeats_table
from zonesearch.report.summaries.lines import interval_lines
from zonesearch.report.summaries.map_tables import cells_table, zones_table
from zonesearch.report.summaries.pareto import pareto_front, settings_table

ERROR = Metric("rmse", unit="m")


def erring(training) -> Trial:
    """What lacks to two metres, of the made surface: the least error where it is highest."""
    trial = trained(training)
    curve = {**trial.curve, "validation_accuracy": [2 - value for value in trial.validation_curve]}
    return replace(
        trial,
        accuracy=2 - trial.accuracy,
        test_accuracy=None if trial.test_accuracy is None else 2 - trial.test_accuracy,
        curve=curve,
        n_validation=None,
        n_test=None,
        metric=ERROR,
        noted={"latency_ms": 7.0},
    )


@pytest.fixture(scope="module")
def results():
    return searched(train=erring, name="errors")


@pytest.fixture(scope="module")
def summary(results) -> MapSummary:
    return MapSummary(results)


def test_tables_are_called_after_the_metric_and_have_the_best_first(results, summary) -> None:
    cells = cells_table(summary)["rmse"].dropna()
    assert cells.is_monotonic_increasing
    assert settings_table(results)["rmse"].is_monotonic_increasing
    assert "rmse" in zones_table(results)
    assert "test rmse" in finalists_table(results)
    assert "test rmse" in repeats_table(results)
    assert "rmse" in interval_lines(summary)[0].table
    columns = list(trials_table(results).columns)
    at = columns.index("rmse")
    assert columns[:2] == ["width", "batch"]
    assert columns[at : at + 4] == ["rmse", "test_rmse", "latency_ms", "seed"]


def test_regret_of_early_maps_is_never_below_zero(summary) -> None:
    table = agreement(summary)
    assert (table["regret"] >= 0).all()
    assert table["regret"].iloc[-1] == 0


def test_history_falls_with_the_epochs(summary) -> None:
    assert (np.diff(summary.history, axis=0) <= 1e-12).all()
    assert running([3.0, 1.0, 2.0], summary.results.reading, ERROR).tolist() == [3.0, 1.0, 1.0]


def test_best_values_are_brightest_and_highest(summary) -> None:
    view = views_of(summary)[0]
    heat, surface = map_figure(view), surface_figure(view)
    assert heat.data[0].reversescale
    assert surface.data[0].reversescale
    low, high = value_range([1.0, 1.1, 1.2, 9.0], ERROR)
    assert (low, high) == (1.0, pytest.approx(1.45)), "a ruined cell leaves the colours to the others"
    above, below = height_range(low, high, ERROR)
    assert above > high > low > below, "the axis points down"
    assert surface.layout.scene.zaxis.title.text == "rmse (m)"
    assert "rmse" in heat.data[0].hovertemplate
    assert heat.data[0].colorbar.tickformat is None
    assert map_views(summary)[0] | {"percent": False, "metric": "rmse", "unit": "m", "up": -1} == map_views(summary)[0]


def test_front_joins_the_least_errors() -> None:
    assert pareto_front([1, 2, 3, 4], [5.0, 6.0, 3.0, 4.0], ERROR) == [0, 2]
    assert pareto_front([1, 2, 3, 4], [5.0, 6.0, 3.0, 4.0]) == [0, 1]


def test_every_figure_is_called_after_the_metric(results) -> None:
    figures = FigureSet(results)
    titles = {
        name: getattr(figures, name)().to_json()
        for name in ("heatmap", "surface", "learning", "finalists", "optimism", "profiles", "pareto")
    }
    for name, text in titles.items():
        assert "rmse" in text, name
        assert "accuracy" not in text, name
        assert "%" not in re.sub(r"%\{[^}]*\}|95 %", "", text), name


def test_words_are_of_the_metric(results, summary) -> None:
    said = [heading(summary), note(results), notebook_html(results)]
    for section in [*map_section(summary), *sections_after_map(summary)]:
        said += [section.title, section.text, section.missing]
        said += [text for picture in section.pictures for text in (picture.label, picture.reading)]
    text = unescape(" ".join(said).replace("trial.test_accuracy", "").replace("trial.accuracy", ""))
    assert "rmse" in text
    assert "accurac" not in text.lower()
    assert re.search(r"\d m\b", text)
    assert "rmse" in render(results)


def test_state_names_the_best_so_far_by_its_direction() -> None:
    half = searched(train=erring, at_most=20)
    best = min(trial.accuracy for trial in half.trials)
    assert f"Best so far: rmse {best:.4g} m" in state_sentence(half)


def test_runs_of_different_metrics_are_not_compared(results) -> None:
    other = searched(name="accuracies")
    with pytest.raises(StudyError, match="errors: rmse \\(m\\), minimize; accuracies: accuracy, maximize"):
        render_comparison({"errors": results, "accuracies": other})
    assert "rmse" in render_comparison({"one": results, "other": searched(train=erring, name="again", seeds=1)})
