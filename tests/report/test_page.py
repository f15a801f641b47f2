"""The report as a file: what it says, that it is whole, and that odd runs have one too."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.report.made import SPACE, diverging, failing, searched
from zonesearch import StoreError
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.page import render, write_report
from zonesearch.statistics.search_results import SearchResults

EVIL = "<script>alert(1)</script>"
SHORT = {"method": "split(2)"}


@pytest.fixture(scope="module")
def finished() -> SearchResults:
    return searched(train=diverging)


@pytest.fixture(scope="module")
def page(finished: SearchResults) -> str:
    return render(finished)


def inflated(page: str, name: str) -> str:
    found = re.search(f'id="{name}">([^<]*)</script>', page)
    assert found
    return gzip.decompress(base64.b64decode(found[1])).decode()


def data(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(inflated(page, "data"))
    return found


def visible(page: str) -> str:
    """The text of the page without its scripts and styles."""
    body = page[page.index("<main>") : page.index("</main>")]
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))


def test_report_says_the_verdict_before_anything_else(finished: SearchResults, page: str) -> None:
    assert finished.verdict
    assert visible(page).strip().startswith(f"Report of the study made {finished.verdict.sentence}")


def test_report_holds_every_picture_and_every_table_as_a_file(page: str) -> None:
    found = data(page)
    assert {"agreement", "profiles", "importance", "curves", "finalists", "optimism", "completeness"} <= set(
        found["figures"]
    )
    assert {"worth-parameters", "worth-seconds"} <= set(found["figures"])
    assert found["views"][0]["map"]["data"]
    assert found["views"][0]["surface"]["data"]
    links = re.findall(r'class=csv href="#" download="([^"]+)"', page)
    assert len(links) == len(set(links))
    assert set(links) <= set(found["files"])
    assert all(len(found["files"][link].splitlines()) > 1 for link in links)


def test_every_picture_has_a_place_and_a_label(page: str) -> None:
    places = dict(re.findall(r'id="plot-([^"]+)" role=img aria-label="([^"]+)"', page))
    assert set(places) == {*data(page)["figures"], "map", "surface"}
    assert all(len(label) > 10 for label in places.values())


def test_report_loads_nothing_and_lets_only_its_own_scripts_run(page: str) -> None:
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]+)"', page)[0])
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    scripts = [*re.findall(r"<script>(.*?)</script>", page, re.DOTALL), inflated(page, "plotly")]
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    assert {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts} == allowed


def test_report_is_small_enough_for_a_letter(page: str) -> None:
    assert len(page.encode()) < 3e6


def test_report_is_the_same_bytes_twice(page: str) -> None:
    assert render(searched(train=diverging)) == page


def test_map_is_drawn_at_every_epoch_from_the_cells_means(finished: SearchResults, page: str) -> None:
    view = data(page)["views"][0]
    summary = MapSummary(finished)
    assert [frame["epoch"] for frame in view["frames"]] == list(range(1, 13))
    for step, frame in enumerate(view["frames"]):
        for i in range(7):
            for j in range(7):
                shown, mean = frame["z"][j][i], summary.history[step, i, j]
                assert (shown is None and mean != mean) or shown == pytest.approx(mean, abs=1e-6)
    assert view["frames"][-1]["z"] == view["map"]["data"][0]["z"]


def test_lost_trainings_are_marked_on_the_map_and_listed(page: str) -> None:
    traces = {trace.get("name"): trace for trace in data(page)["views"][0]["map"]["data"]}
    assert len(traces["diverged or failed"]["x"]) == 3
    assert "ValueError: no <memory> left" in visible(page)
    assert "4 of" in visible(page)


@pytest.mark.parametrize("space", [{EVIL: [1, 2, 4], "</script><b>": ["<img src=x onerror=alert(1)>", "b"]}])
def test_names_from_a_study_stay_text(space: dict[str, Any]) -> None:
    page = render(searched(space, name=EVIL, interval=SHORT))
    assert EVIL not in page
    assert "<img src=x" not in page
    assert "</script><b>" not in page
    assert f"Report of the study {EVIL}" in visible(page)
    drawn = json.dumps({key: value for key, value in data(page).items() if key == "figures"})
    assert "<img" not in drawn.replace("&lt;img", "")


@pytest.mark.parametrize("n", [0, 1, 30])
def test_half_finished_run_has_a_report_that_says_what_is_missing(n: int) -> None:
    text = visible(render(searched(at_most=n)))
    assert ("Nothing has been trained yet" if n == 0 else f"No verdict yet: {n} training") in text
    assert f"{98 - n} planned trainings have not finished. Not begun: interval, polish." in text
    assert "There is no verdict yet." in text


def test_run_of_failures_only_has_a_report_that_says_so() -> None:
    text = visible(render(searched(train=failing)))
    assert "No cell has a value yet" in text
    assert "98 of 98 trainings failed" in text
    assert "RuntimeError: boom" in text


@pytest.mark.parametrize(
    ("space", "n_views", "says"),
    [
        ({"width": SPACE["width"]}, 0, "One axis, so the map is a line"),
        ({"kind": ["relu", "tanh", "gelu"]}, 0, "One axis, so the map is a line"),
        ({"kind": ["relu", "tanh"], "x": [1, 2, 4]}, 1, "The same from above"),
        ({**SPACE, "rate": {"low": 1e-4, "high": 1e-1, "scale": "log", "row": 1}}, 6, "averaged over"),
        ({name: {"low": 1.0, "high": 2.0, "row": 1} for name in "abcdef"}, 30, "Parallel coordinates"),
    ],
    ids=["one axis", "one choice", "a choice and a number", "three axes", "six axes"],
)
def test_report_of_other_spaces(space: dict[str, Any], n_views: int, says: str) -> None:
    page = render(searched(space, interval=SHORT, epochs=4))
    assert len(data(page)["views"]) == n_views
    assert says in page


def test_one_seed_and_one_epoch_are_said_to_be_so() -> None:
    text = visible(render(searched(seeds=1, epochs=1)))
    assert "every cell has one seed" in text
    assert "No learning curve was recorded" in text


def test_report_that_cannot_be_written_is_one_sentence(tmp_path: Path, finished: SearchResults) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(finished, tmp_path / "taken" / "report.html")


def test_report_replaces_an_old_one_and_leaves_nothing_beside(
    tmp_path: Path, finished: SearchResults, page: str
) -> None:
    (tmp_path / "report.html").write_text("old")
    assert write_report(finished, tmp_path / "report.html").read_text(encoding="utf-8") == page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
