"""A gallery: reports with a front page that loads nothing, and pictures where there is a browser."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from zonesearch import ObjectiveError, StoreError, Study
from zonesearch.benchmark.gallery import make_gallery

SPACE = {"width": [8, 16, 32], "batch": [4, 8, 16]}
EVIL = "<b>line"


def accuracy(params: dict[str, Any], seed: int, epochs: int) -> float:
    return 0.9 - 0.001 * abs(params["width"] - 16) - 0.0001 * seed


def studies() -> list[Study]:
    return [Study.of(SPACE, accuracy, name="plane"), Study.of({"width": [8, 16, 32]}, accuracy, name=EVIL)]


def test_every_study_has_a_report_and_a_place_on_the_front_page(tmp_path: Path) -> None:
    front = make_gallery(studies(), tmp_path / "reports", runs=tmp_path / "runs")
    text = front.read_text()
    for name in ("plane", EVIL):
        assert (tmp_path / "reports" / f"{name}.html").stat().st_size > 100_000
    assert re.findall(r'href="([^"#]+)"', text) == ["plane.html", "&lt;b&gt;line.html"]
    assert EVIL not in text
    assert "finalists cannot be told apart" in text or "differs" in text or "finalist" in text
    again = make_gallery(studies(), tmp_path / "reports", runs=tmp_path / "runs")
    assert again.read_text() == text


def failing(params: dict[str, Any], seed: int, epochs: int) -> float:
    raise RuntimeError("no <such> network")


def test_study_that_fails_does_not_take_the_front_page_away(tmp_path: Path) -> None:
    bad = Study.of(SPACE, failing, name="bad")
    with pytest.raises(ObjectiveError, match=r"1 of 3 studies failed.*index.html. bad: .*no <such>"):
        make_gallery([bad, *studies()], tmp_path / "reports", runs=tmp_path / "runs")
    text = (tmp_path / "reports" / "index.html").read_text()
    assert re.findall(r'href="([^"#]+)"', text) == ["plane.html", "&lt;b&gt;line.html"]
    assert "no &lt;such&gt; network" in text
    assert "<h1>3 studies</h1>" in text
    with pytest.raises(ObjectiveError, match="1 of 1 studies failed"):
        make_gallery([bad], tmp_path / "alone", runs=tmp_path / "runs")
    assert "no &lt;such&gt; network" in (tmp_path / "alone" / "index.html").read_text()


def test_pictures_without_a_browser_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(StoreError, match="a picture needs Chromium"):
        make_gallery(studies(), tmp_path / "reports", runs=tmp_path / "runs", pictures=True)


@pytest.mark.browser
def test_pictures_are_in_the_page(tmp_path: Path) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    front = make_gallery(studies(), tmp_path / "reports", runs=tmp_path / "runs", pictures=True)
    image = pytest.importorskip("PIL.Image", reason="needs pillow")
    with image.open(tmp_path / "reports" / "plane.png") as picture:
        assert picture.size == (1200, 500)
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 500  # drawn, not blank
    assert front.read_text().count('src="data:image/png') == 1  # a line has no surface
