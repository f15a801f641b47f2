"""The front page of a gallery of reports, and the small page of a map whose screenshot it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from markupsafe import Markup

from zonesearch.report.figure_set import FigureSet
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.markup import Picture, Section, Table, page
from zonesearch.report.summaries.claims import claim_outcomes
from zonesearch.report.summaries.comparison import runs_table
from zonesearch.report.summaries.state import state_sentence
from zonesearch.report.templating import rendered
from zonesearch.statistics.search_results import SearchResults

__all__ = ["front_page", "map_page"]

_BARE = """
header, nav, footer, h2, figcaption, .reading, .skip, .take, #theme { display: none !important; }
main, section, #body { margin: 0 !important; padding: 0 !important; border: 0 !important; max-width: none !important; }
body { margin: 1rem 1.5rem; }
"""


class _Study(NamedTuple):
    """A study with a report: its file, name, sentence, and picture as a data URI."""

    file: str
    name: str
    said: str
    picture: str


def front_page(
    reports: Mapping[str, SearchResults],
    pictures: Mapping[str, str] | None = None,
    failed: Mapping[str, str] | None = None,
) -> str:
    """The page as HTML, deterministic in the results.

    Args:
        reports: results by report file, as used in the links.
        pictures: image of a report as a data URI (the page loads no files) by report file, if there is one.
        failed: reason why a study has no report, by name.
    """
    failed = failed or {}
    studies = [_Study(file, f.name, _said(f), (pictures or {}).get(file, "")) for file, f in reports.items()]
    head = rendered("gallery_head.html", n=len(studies) + len(failed))
    summaries = {results.name: MapSummary(results) for results in reports.values()}
    sections = [
        Section("studies", "Studies", after=rendered("gallery_list.html", studies=studies, failed=failed)),
        Section("runs", "What they found and cost", tables=[Table("Runs", runs_table(summaries))]),
    ]
    return page("zonesearch: studies", head, sections)


def map_page(results: SearchResults) -> str:
    """A page with only the surface and the map.

    Raises:
        StudyError: this search has no surface.
    """
    figures = FigureSet(results)
    pictures = [
        Picture("surface", figures.surface(), "The surface."),
        Picture("map", figures.heatmap(), "The same from above."),
    ]
    return page(results.name, Markup(), [Section("maps", results.name, pictures=pictures, columns=2)], style=_BARE)


def _said(results: SearchResults) -> str:
    said = results.verdict.sentence if results.verdict else state_sentence(results)
    outcomes = claim_outcomes(results)
    if not outcomes:
        return said
    held = sum(outcome.verdict == "held" for outcome in outcomes)
    return f"{held} of {len(outcomes)} claims held. {said}"
