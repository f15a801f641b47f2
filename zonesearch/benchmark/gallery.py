"""A gallery: studies with a report each, a front page, and images of the maps."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from zonesearch.errors import StudyError, ZoneSearchError
from zonesearch.report.browser import find_browser, photograph
from zonesearch.report.gallery import front_page, map_page
from zonesearch.report.page import replace_file, write_report
from zonesearch.run.running import Observer, Silent, run_study
from zonesearch.statistics.search_results import SearchResults
from zonesearch.study.study import Study

__all__ = ["make_gallery"]


def make_gallery(
    studies: Sequence[Study],
    into: str | Path,
    *,
    runs: str | Path = "runs",
    pictures: bool = False,
    observe: Callable[[Study, Path], Observer] = lambda study, folder: Silent(),
) -> Path:
    """Run ``studies`` (without repeating existing trainings) and write their reports; returns the path of the front
    page.

    Args:
        studies: in the order of the page; their names become the file names.
        into: the folder of the gallery.
        runs: the folder that contains the run folders.
        pictures: take a screenshot of each map, with Chromium.
        observe: creates the observer of each run.

    Raises:
        StoreError: a file cannot be written, or pictures are wanted but Chromium is missing; then nothing is run.
        ZoneSearchError: any other error of a run, raised after all other reports are written; the front page then shows
            why the failed studies have none.
    """
    into, runs = Path(into).absolute(), Path(runs).absolute()  # an objective may change the working directory
    if pictures:
        find_browser("a picture")  # fail before hours of training, not after
    reports: dict[str, SearchResults] = {}
    shown: dict[str, str] = {}
    failed: dict[str, Exception] = {}
    for study in studies:
        try:
            result = run_study(study, into=runs / study.name, observer=observe(study, runs / study.name))
            made = write_report(result.results, into / f"{study.name}.html")
            reports[made.name] = result.results
            if pictures:
                with suppress(StudyError):  # no surface, no picture
                    picture = photograph(map_page(result.results), into / f"{study.name}.png")
                    shown[made.name] = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
        except Exception as error:  # raised again below
            failed[study.name] = error
    reasons = {name: str(error) or type(error).__name__ for name, error in failed.items()}
    front = replace_file(front_page(reports, shown, reasons), into / "index.html")
    if not failed:
        return front
    for problem in failed.values():
        if not isinstance(problem, ZoneSearchError):
            raise problem
    said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    first = next(iter(failed.values()))
    raise type(first)(f"{len(failed)} of {len(studies)} studies failed; the others are in {front}. {said}")
