"""The report: one self-contained HTML file, the verdict first.

The same results give the same bytes. A report can be made of a search in any state; missing parts are named where they
would appear.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from zonesearch.core.outputs import check_place
from zonesearch.core.wording import counted
from zonesearch.errors import StoreError
from zonesearch.report.browser import find_browser, write_pdf
from zonesearch.report.heading import heading
from zonesearch.report.map_section import map_section, map_views
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.markup import page
from zonesearch.report.plugged import plugged_section
from zonesearch.report.sections import sections_after_map
from zonesearch.statistics.search_results import SearchResults

__all__ = ["render", "replace_file", "write_page", "write_report"]


def write_report(results: SearchResults, path: str | Path, pdf: str | Path | None = None) -> Path:
    """Write the report to ``path``, and as a PDF to ``pdf``, atomically replacing existing files; returns ``path``.

    Raises:
        StoreError: a file cannot be written, or a PDF is wanted but Chromium is missing.
    """
    return write_page(lambda: render(results), path, pdf)


def write_page(make: Callable[[], str], path: str | Path, pdf: str | Path | None = None) -> Path:
    """Write the page returned by ``make`` to ``path``, and as a PDF to ``pdf``; returns ``path``.

    Raises:
        StoreError: a file cannot be written, or a PDF is wanted but Chromium is missing; then nothing is written.
    """
    if pdf is None:
        return replace_file(make(), path)
    if Path(pdf).resolve() == Path(path).resolve():
        raise StoreError(f"the page and its PDF cannot both be {pdf}: name two files")
    find_browser("a PDF")
    page = make()
    made = replace_file(page, path)
    write_pdf(page, pdf)
    return made


def render(results: SearchResults) -> str:
    """The report as HTML."""
    summary = MapSummary(results)
    sections = [*map_section(summary), *sections_after_map(summary), *plugged_section(results)]
    foot = f"Made by zonesearch from the {counted(len(results.trials), 'training')} of study {results.name}"
    foot += f", fingerprint {results.fingerprint}." if results.fingerprint else "."
    return page(results.name, heading(summary), sections, foot, {"views": map_views(summary)})


def replace_file(text: str, path: str | Path) -> Path:
    """Write ``text`` to ``path`` atomically: a reader sees the old file or the new one, never a partial one.

    Raises:
        StoreError: the file cannot be written.
    """
    path = Path(path)
    check_place(path, "the report ")
    new = path.with_name(f".{path.name}.{uuid4().hex}.new")  # a random name, so nobody can place a link there first
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise StoreError(f"the report {path} cannot be written: {error.strerror}; name another file") from error
    return path
