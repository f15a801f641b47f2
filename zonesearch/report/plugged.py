"""Figures of plug-ins: the group ``zonesearch.figures``, drawn at the end of a report and in notebooks.

A figure is a function that takes the results and returns a plotly figure, or None if it does not apply to this search.
All installed figures are drawn; a run never names one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zonesearch.core.plugins import load, registered
from zonesearch.errors import StudyError, ZoneSearchError
from zonesearch.report.markup import Picture, Section
from zonesearch.statistics.search_results import SearchResults

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["figure_names", "plugged_figure", "plugged_section"]


def figure_names() -> list[str]:
    """The names of the plug-ins' figures, sorted."""
    return list(registered("figures"))


def plugged_figure(name: str, results: SearchResults) -> go.Figure | None:
    """The figure that a plug-in draws from ``results``; None if it does not apply to this search.

    Raises:
        StudyError: there is no figure of that name, or it cannot be drawn.
    """
    import plotly.graph_objects as go

    draw = load("figures", name, "figures")
    try:
        figure: Any = draw(results)
    except ZoneSearchError:
        raise
    except Exception as error:  # a plug-in may raise anything
        raise StudyError(f'the figure "{name}" cannot be drawn ({type(error).__name__}: {error})') from error
    if figure is not None and not isinstance(figure, go.Figure):
        raise StudyError(f'the figure "{name}" must be a plotly figure or None, not {type(figure).__name__}')
    return figure


def plugged_section(results: SearchResults) -> list[Section]:
    """The section with all plug-in figures, including any errors; empty if no plug-in has a figure for this search."""
    pictures: list[Picture] = []
    failed: list[str] = []
    for name in figure_names():
        try:
            figure = plugged_figure(name, results)
        except StudyError as error:
            failed.append(f"{error}.")
            continue
        if figure is not None:
            title = figure.layout.title.text or f"{name}."
            pictures.append(Picture(f"plug-in-{name}", figure, title, f"Drawn by the plug-in {name}."))
    if not pictures and not failed:
        return []
    said = " ".join(sentence[0].upper() + sentence[1:] for sentence in failed)
    return [Section("plug-ins", "Figures of plug-ins", "", pictures, missing=said)]
