"""The report as a file: what it says, that it is whole, and that odd runs have one too."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import surfaces

from zonesearch import StoreError, Training, Trial, Trials, run_pipeline
from zonesearch.domain.findings import Findings
from zonesearch.pipeline import find
from zonesearch.report.page import render, write_report
from zonesearch.study.study import Study


@pytest.fixture(scope="module")
def finished() -> Findings:
    objective = surfaces.noisy(surfaces.two_peaks, 0.003)
    return run_pipeline(surfaces.SPACE, objective=objective, seeds=2, name="two peaks").findings


def test_report_says_the_verdict_first_and_loads_nothing(finished: Findings) -> None:
    page = render(finished)
    assert finished.verdict is not None
    body = page[page.index("<main") :]
    assert body.index(html.escape(finished.verdict.sentence)) < body.index("<section")
    assert len(page.encode()) < 6e6
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="http', page)


def test_report_is_the_same_bytes_twice(finished: Findings) -> None:
    assert render(finished) == render(finished)


def test_names_from_a_study_stay_text() -> None:
    evil = "<script>alert(1)</script>"
    space = {evil: ["</script><b>", "b"], "y": [1, 2, 4]}
    result = run_pipeline(space, objective=lambda params: params["y"] / 8, name="x" + evil.replace("/", "_"))
    page = render(result.findings)
    assert evil not in page
    assert "<script>alert(1)<_script>" not in page
    assert "</script><b>" not in page
    assert "&lt;script&gt;alert(1)" in page


def parts(n: int) -> Findings:
    """A run of which ``n`` trainings came back."""
    study = Study.of(surfaces.SPACE, surfaces.two_peaks)
    points = list(study.space.grid())[:n]
    return find(study, Trials(Trial(Training(p), accuracy=surfaces.two_peaks(p)) for p in points))


@pytest.mark.parametrize("n", [0, 1, 20])
def test_half_finished_run_has_a_report_that_says_so(n: int) -> None:
    page = render(parts(n))
    assert ("No verdict yet" if n else "Nothing has been trained yet") in page
    assert "grid" in page


def test_run_of_failures_only_has_a_report() -> None:
    study = Study.of(surfaces.SPACE, surfaces.two_peaks)
    failed = Trials(Trial(Training(p), "failed", error="boom") for p in study.space.grid())
    page = render(find(study, failed))
    assert "49 of 49 trainings failed" in page


@pytest.mark.parametrize(
    "space",
    [
        {"x": {"low": 0.0, "high": 1.0, "row": 4}},
        {"kind": ["a", "b"], "x": [1, 2, 4]},
        {"kind": ["a", "b"]},
        {name: {"low": 0.0, "high": 1.0, "row": 1} for name in "abcdef"},
    ],
    ids=["one axis", "a choice and a number", "one choice", "six axes"],
)
def test_report_of_other_spaces(space: dict[str, Any]) -> None:
    def surface(params: dict[str, Any]) -> float:
        return 0.5 + 0.1 * np.tanh(sum(v for v in params.values() if not isinstance(v, str)))

    findings = run_pipeline(space, objective=surface, interval={"method": "split(2)"}).findings
    assert findings.verdict is not None
    assert html.escape(findings.verdict.sentence) in render(findings)


def test_report_that_cannot_be_written_is_one_sentence(tmp_path: Path, finished: Findings) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(finished, tmp_path / "taken" / "report.html")
