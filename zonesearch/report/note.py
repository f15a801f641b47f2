"""The verdict as a Markdown note, for dashboards with notes."""

from __future__ import annotations

import pandas as pd

from zonesearch.report.heading import training_lines
from zonesearch.report.markup import cell_text
from zonesearch.report.summaries.costs import stages_table
from zonesearch.report.summaries.finalists import finalists_table
from zonesearch.report.summaries.map_tables import zones_table
from zonesearch.report.summaries.state import state_sentence
from zonesearch.statistics.search_results import SearchResults

__all__ = ["note"]

_DETAILS = ["zone", "sd of seeds", "lost seeds", "test set from", "test set to", "p", "optimism", "seconds"]
"""Columns of the finalists' table that the narrow note leaves out."""


def note(results: SearchResults) -> str:
    """Verdict, notes, finalists, zones and stages, deterministic in the results."""
    verdict = results.verdict
    parts = [f"# {_plain(verdict.sentence if verdict else state_sentence(results))}"]
    if results.notes:
        parts.append("\n".join(f"- {_plain(text)}" for text in results.notes))
    for title, table in (
        ("Finalists", finalists_table(results).drop(columns=_DETAILS, errors="ignore")),
        ("Zones", zones_table(results)),
        ("Stages", stages_table(results)),
    ):
        if len(table):
            parts.append(f"## {title}\n\n{_table(table)}")
    if verdict and verdict.recommended:
        parts.append(
            f"## To train the recommended setting\n\n```python\n{training_lines(results, verdict.recommended)}\n```"
        )
    return "\n\n".join(parts) + "\n"


def _table(table: pd.DataFrame) -> str:
    lines = [
        "| " + " | ".join(_plain(str(column)) for column in table.columns) + " |",
        "|" + " --- |" * len(table.columns),
    ]
    lines += ["| " + " | ".join(_plain(cell_text(v)) for v in row) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text with Markdown's special characters escaped."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")
