"""Several runs side by side on one page: maps with a common scale, where they differ, and their verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from zonesearch.core.metric import Metric
from zonesearch.errors import StudyError
from zonesearch.report.figures.comparison import (
    difference_figure,
    lines_figure,
    maps_figures,
    recommended_figure,
    surfaces_figures,
)
from zonesearch.report.figures.look import Shown
from zonesearch.report.figures.view import View
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.markup import Picture, Section, Table, named, page
from zonesearch.report.page import write_page
from zonesearch.report.summaries.comparison import (
    Difference,
    differences,
    differences_table,
    rank_agreement,
    runs_table,
    shared_axes,
)
from zonesearch.report.summaries.state import state_sentence
from zonesearch.report.templating import rendered
from zonesearch.statistics.search_results import SearchResults

__all__ = ["render_comparison", "write_comparison"]

_LEVEL = 0.95


def write_comparison(runs: Mapping[str, SearchResults], path: str | Path, pdf: str | Path | None = None) -> Path:
    """Write the page to ``path``; returns the path.

    Args:
        runs: two or more runs by display name; the others are compared with the first.
        path: an HTML file, replaced atomically.
        pdf: also write the page as a PDF.

    Raises:
        StoreError: a file cannot be written, or a PDF is wanted but Chromium is missing.
        StudyError: the runs search different metrics.
    """
    return write_page(lambda: render_comparison(runs), path, pdf)


def render_comparison(runs: Mapping[str, SearchResults]) -> str:
    """The page as HTML, deterministic in the results.

    Raises:
        StudyError: the runs search different metrics.
    """
    _check_metrics(runs)
    summaries = {name: MapSummary(results) for name, results in runs.items()}
    sections = [_verdicts(summaries), *_maps(summaries), *_differences(summaries)]
    head = rendered("comparison_head.html", runs=[(name, _said(results)) for name, results in runs.items()])
    n = sum(len(results.trials) for results in runs.values())
    return page(" and ".join(runs), head, sections, f"Made by zonesearch from {n:,} trainings of {len(runs)} runs.")


def _check_metrics(runs: Mapping[str, SearchResults]) -> None:
    searched = {name: results.metric for name, results in runs.items() if len(results.trials)}
    if len({(metric.name, metric.direction, metric.unit) for metric in searched.values()}) > 1:
        said = "; ".join(f"{name}: {m.name}{m.unit and f' ({m.unit})'}, {m.direction}" for name, m in searched.items())
        raise StudyError(f"the runs search different metrics, which cannot be compared ({said})")


def _said(results: SearchResults) -> str:
    return results.verdict.sentence if results.verdict else state_sentence(results)


def _verdicts(runs: Mapping[str, MapSummary]) -> Section:
    figure = recommended_figure(runs)
    return Section(
        "verdicts",
        "The verdicts",
        "What each run recommends, on seeds that took no part in choosing it. Runs of different studies may have been "
        "judged on different data." if figure else "",
        [Picture("recommended", figure, "Fresh seeds of the setting that each run recommends, mean and interval.")]
        if figure
        else [],
        [Table("Runs", runs_table(runs))],
        missing="" if figure else "No run has a verdict yet.",
    )  # fmt: skip


def _maps(runs: Mapping[str, MapSummary]) -> list[Section]:
    axes = shared_axes(runs)
    if not axes:
        names = "; ".join(f"{name}: {', '.join(summary.space.names)}" for name, summary in runs.items())
        return [Section("maps", "The maps", missing=f"The runs have different axes ({names}), so they share no map.")]
    mapped = {name: summary for name, summary in runs.items() if summary.n_mapped}
    if not mapped:
        return [Section("maps", "The maps", missing="No cell of any run has a value yet.")]
    if len(axes) == 1:
        first = next(iter(mapped.values()))
        label = f"{named(first.metric)} along {axes[0]}, by run."
        picture = Picture("maps", lines_figure(first.space[axes[0]], mapped), label)
        return [Section("maps", "The maps", "Bars are standard errors.", [picture])]
    views = {
        name: View(summary, summary.space[axes[0]], summary.space[axes[1]], "best" if len(axes) == 2 else "average")
        for name, summary in mapped.items()
    }
    others = f" Averaged over {', '.join(axes[2:])}." if len(axes) > 2 else ""
    maps, surfaces = maps_figures(views), surfaces_figures(views)
    pictures = []
    for i, name in enumerate(views):
        pictures += [
            Picture(f"surface-{i}", surfaces[name], f"Surface of {name}.", f"{name}: the surface."),
            Picture(f"map-{i}", maps[name], f"Heat map of {name}.", f"{name}: the same from above."),
        ]
    left_out = [name for name in runs if name not in mapped]
    return [
        Section(
            "maps",
            "The maps",
            f"One scale of colours and heights for all.{others}",
            pictures,
            missing=f"No cell has a value yet: {', '.join(left_out)}." if left_out else "",
            columns=2,
        )
    ]


def _differences(runs: Mapping[str, MapSummary]) -> list[Section]:
    axes = shared_axes(runs)
    if not axes:
        return []
    (here, first), *others = runs.items()
    found = {there: differences(first, summary) for there, summary in others}
    shared = {there: cells for there, cells in found.items() if cells}
    if not shared:
        return [Section("differences", "Where they differ", missing="No cell has a value in two of the runs.")]
    pictures = []
    shown = Shown.of(first.metric, (v for cells in shared.values() for d in cells for v in (d.here, d.there)))
    if len(axes) == 2:
        pictures = [
            Picture(
                f"difference-{i}",
                difference_figure(first.space[axes[0]], first.space[axes[1]], cells, shown, _LEVEL),
                f"{named(first.metric)} of {there} minus that of {here}, by cell.",
                f"{there} less {here}{', in points' if shown.percent else ''}. Outlined: a significant difference.",
            )
            for i, (there, cells) in enumerate(shared.items())
        ]
    return [
        Section(
            "differences",
            "Where they differ",
            " ".join(_sentence(cells, here, there, first.metric) for there, cells in shared.items()),
            pictures,
            [Table(f"{there} less {here}", differences_table(c, here, there, _LEVEL)) for there, c in shared.items()],
            columns=2 if len(pictures) > 1 else 1,
        )
    ]


def _sentence(cells: list[Difference], here: str, there: str, metric: Metric) -> str:
    n = sum(d.p_value <= 1 - _LEVEL for d in cells)
    mean = math.fsum(d.difference for d in cells) / len(cells)
    rank = rank_agreement(cells)
    shown = metric.gap_text(mean, share=metric.shares(v for d in cells for v in (d.here, d.there)))
    order = f"; the order of the cells agrees to {rank:.2f} (Spearman)" if math.isfinite(rank) else ""
    return (
        f"{there} against {here}: {n} of {len(cells)} shared cells differ significantly at the {_LEVEL:.0%} level "
        f"(Holm-corrected); the mean difference is {shown}{order}."
    )
