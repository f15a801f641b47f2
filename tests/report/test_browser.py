"""Pages through a browser that is missing, fails or answers: one sentence, and no file that is half made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.report.made import SPACE, searched
from zonesearch import StoreError
from zonesearch.cli.main import main
from zonesearch.report.browser import photograph, write_pdf
from zonesearch.report.comparison import write_comparison
from zonesearch.report.page import write_report
from zonesearch.run.result import Result
from zonesearch.statistics.search_results import SearchResults

MADE = """for argument; do case "$argument" in --print-to-pdf=*) printf made > "${argument#*=}";; esac; done"""


@pytest.fixture(scope="module")
def results() -> SearchResults:
    return searched({"width": SPACE["width"]}, epochs=2)


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A chromium that does what ``script`` says."""
    (folder / "bin").mkdir()
    browser = folder / "bin" / "chromium"
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{browser.parent}:/usr/bin:/bin")


def test_no_browser_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: SearchResults
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    said = "^a PDF needs Chromium, and none is on the PATH: install chromium or Google Chrome$"
    with pytest.raises(StoreError, match=said):
        Result(results).report(tmp_path / "a.html", pdf=tmp_path / "a.pdf")
    with pytest.raises(StoreError, match=said):
        write_comparison({"a": results, "b": results}, tmp_path / "a.html", tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []


def test_command_says_it_and_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(Path(__file__).parents[1] / "old_runs" / "digits-part", tmp_path / "part")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["report", str(tmp_path / "part"), "--pdf", str(tmp_path / "a.pdf")]) == 2
    assert capsys.readouterr().err.startswith("zonesearch: a PDF needs a Chromium")
    assert not (tmp_path / "part" / "report.html").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo first >&2; echo no display >&2; exit 3", r"chromium made no PDF \(exit status 3\): no display"),
        ("exit 0", r"chromium made no PDF \(exit status 0\): it gave no message"),
        ("printf '\\377' >&2; exit 1", "chromium made no PDF"),
    ],
)
def test_browser_that_makes_nothing_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    pretend(tmp_path, monkeypatch, script)
    (tmp_path / "a.pdf").write_text("old")
    with pytest.raises(StoreError, match=said):
        write_pdf("<p>page", tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_text() == "old"
    if "PDF" in said:
        with pytest.raises(StoreError, match="made no PNG"):
            photograph("<p>page", tmp_path / "a.png")


def test_pdf_replaces_an_old_one_in_a_folder_that_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: SearchResults
) -> None:
    pretend(tmp_path, monkeypatch, MADE)
    for _ in range(2):
        made = write_report(results, tmp_path / "new" / "a.html", tmp_path / "new" / "a.pdf")
        assert made == tmp_path / "new" / "a.html"
        assert sorted(path.name for path in made.parent.iterdir()) == ["a.html", "a.pdf"]
    assert (tmp_path / "new" / "a.pdf").read_text() == "made"


def test_pdf_that_cannot_be_put_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: SearchResults
) -> None:
    pretend(tmp_path, monkeypatch, MADE)
    (tmp_path / "taken").write_text("")
    for path in (tmp_path / "taken" / "a.pdf", tmp_path / "bin"):
        with pytest.raises(StoreError, match="cannot be written"):
            write_pdf("<p>page", path)
    with pytest.raises(StoreError, match="cannot both be"):
        write_report(results, tmp_path / "a.html", tmp_path / "bin" / ".." / "a.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "taken"]
