"""Runs side by side: which cells differ, what is said of runs that share little, and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import zonesearch
from tests import preloaded
from tests.report.made import SPACE, failing, searched, trained
from zonesearch import Training, Trial
from zonesearch.report.comparison import render_comparison
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.summaries.comparison import differences, differences_table, rank_agreement, runs_table
from zonesearch.statistics.search_results import SearchResults

ONE = {"width": SPACE["width"]}


def lifted(training: Training) -> Trial:
    """Better by five points at the smallest batch, else as before."""
    trial = trained(training)
    if training.params["batch"] > 8:
        return trial
    return replace(trial, accuracy=trial.accuracy + 0.05, curve={})


@pytest.fixture(scope="module")
def first() -> SearchResults:
    return searched(name="first")


@pytest.fixture(scope="module")
def second() -> SearchResults:
    return searched(train=lifted, name="second <b>")


def test_a_run_does_not_differ_from_itself(first: SearchResults) -> None:
    found = differences(MapSummary(first), MapSummary(first))
    assert len(found) == 49
    assert all(d.difference == 0 and d.p_value == 1 for d in found)
    assert rank_agreement(found) == pytest.approx(1)


def test_cells_that_differ_for_sure_are_found(first: SearchResults, second: SearchResults) -> None:
    found = differences(MapSummary(first), MapSummary(second))
    assert {d.params["batch"] for d in found if d.p_value < 0.05} == {8}
    assert sum(d.p_value < 0.05 for d in found) == 7
    back = differences(MapSummary(second), MapSummary(first))
    assert [d.difference for d in back] == [-d.difference for d in found]
    assert [d.p_value for d in back] == [d.p_value for d in found]
    table = differences_table(found, "first", "second")
    assert list(table["differs"][:7]) == ["yes"] * 7
    assert table["difference"].abs().is_monotonic_decreasing


def test_a_page_shows_maps_differences_and_verdicts(first: SearchResults, second: SearchResults) -> None:
    page = render_comparison({"first": first, "second <b>": second})
    assert page == render_comparison({"first": first, "second <b>": second})
    assert "7 of 49 shared cells differ significantly" in page
    assert "second <b>" not in page
    assert first.verdict is not None
    assert first.verdict.sentence.split(";")[0] in page
    assert list(runs_table({"a": MapSummary(first), "b": MapSummary(second)})["run"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ({"a": {}, "b": {"space": ONE}}, "The runs have different axes (a: width, batch; b: width)"),
        ({"a": {"space": ONE}, "b": {"space": ONE}}, "Bars are standard errors"),
        ({"a": {"train": failing}, "b": {"train": failing}}, "No cell of any run has a value yet"),
        ({"a": {}, "b": {"at_most": 0}}, "No cell has a value yet: b."),
        ({"a": {"at_most": 30}, "b": {}, "c": {"at_most": 40}}, "The verdicts"),
        ({name: {"space": {**SPACE, "rate": [0.1, 0.2]}} for name in "ab"}, "Averaged over rate."),
    ],
)
def test_runs_that_share_little_have_a_page_that_says_so(runs: Mapping[str, Mapping[str, Any]], said: str) -> None:
    assert said in render_comparison({name: searched(**settings) for name, settings in runs.items()})


def test_the_command_compares_run_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        zonesearch.run_pipeline(
            {"x": [1, 2, 4], "y": [1, 2, 4]},
            objective=lambda params, seed, epochs: params["x"] / 8,
            name=name,
            into=tmp_path / name,
        )
    done = preloaded.run("zonesearch", "report", "a", "b", "--out", "ab.html", cwd=tmp_path)
    assert done.stdout == "ab.html\n", done.stderr
    assert "a and b" in (tmp_path / "ab.html").read_text()
    twice = preloaded.run("zonesearch", "report", "a", "a", cwd=tmp_path)
    assert (twice.returncode, twice.stderr) == (
        2,
        "zonesearch: a is given twice: a run is compared with other runs\n",
    )
