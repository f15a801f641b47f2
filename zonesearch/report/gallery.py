"""The front page of a gallery of reports, and the small page of a map that is photographed for it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from zonesearch.report.figure_set import FigureSet
from zonesearch.report.heading import state_sentence
from zonesearch.report.markup import Picture, Section, Table, page
from zonesearch.report.summaries.claims import claim_outcomes
from zonesearch.report.summaries.comparison import runs_table
from zonesearch.report.survey import Survey
from zonesearch.statistics.findings import Findings

__all__ = ["front_page", "map_page"]

_BARE = """
header, nav, footer, h2, figcaption, .reading, .skip, #theme { display: none !important; }
main, section, #body { margin: 0 !important; padding: 0 !important; border: 0 !important; max-width: none !important; }
body { margin: 1rem 1.5rem; }
"""


def front_page(
    reports: Mapping[str, Findings], pictures: Mapping[str, str] | None = None, failed: Mapping[str, str] | None = None
) -> str:
    """The page as HTML; the same findings give the same bytes.

    Args:
        reports: by the file of the report, as the links shall name it.
        pictures: the picture of a report as a data URI, by its file, where there is one: the page loads no files.
        failed: why a study has no report, by its name.
    """
    items = "".join(_item(file, findings, (pictures or {}).get(file, "")) for file, findings in reports.items())
    for name, reason in (failed or {}).items():
        items += f"<li><p>{escape(name)}</p><p>It failed: {escape(reason)}</p></li>"
    head = f"<h1>{len(reports) + len(failed or {})} studies</h1>"
    surveys = {findings.name: Survey(findings) for findings in reports.values()}
    sections = [
        Section("studies", "Studies", after=f"<ul class=gallery>{items}</ul>"),
        Section("runs", "What they found and cost", tables=[Table("Runs", runs_table(surveys))]),
    ]
    return page("zonesearch: studies", head, sections)


def map_page(findings: Findings) -> str:
    """Surface and map and nothing else.

    Raises:
        StudyError: this search has no surface.
    """
    figures = FigureSet(findings)
    pictures = [
        Picture("surface", figures.surface(), "The surface."),
        Picture("map", figures.heatmap(), "The same from above."),
    ]
    whole = page(findings.name, "", [Section("maps", findings.name, pictures=pictures, columns=2)])
    return whole.replace("</head>", f"<style>{_BARE}</style></head>", 1)


def _item(file: str, findings: Findings, picture: str) -> str:
    said = findings.verdict.sentence if findings.verdict else state_sentence(findings)
    outcomes = claim_outcomes(findings)
    if outcomes:
        held = sum(outcome.verdict == "held" for outcome in outcomes)
        said = f"{held} of {len(outcomes)} claims held. {said}"
    link = f'href="{escape(file)}"'
    shown = f'<a {link}><img src="{escape(picture)}" alt="Surface and map" loading=lazy></a>' if picture else ""
    return f"<li>{shown}<p><a {link}>{escape(findings.name)}</a></p><p>{escape(said)}</p></li>"
