"""The pictures one by one, as a notebook asks for them, and the note of a dashboard."""

from __future__ import annotations

import numpy as np
import pytest

from tests.report.made import SPACE, diverging, failing, searched
from zonesearch import StudyError
from zonesearch.report.figure_set import FigureSet, dashboard_figures, notebook_html
from zonesearch.report.note import note
from zonesearch.run.result import Result
from zonesearch.statistics.search_results import SearchResults

NAMES = [
    "surface",
    "heatmap",
    "intervals",
    "learning",
    "finalists",
    "optimism",
    "profiles",
    "agreement",
    "importance",
    "pareto",
    "completeness",
]


@pytest.fixture(scope="module")
def finished() -> SearchResults:
    return searched(train=diverging)


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_is_a_figure_of_its_own_that_can_be_restyled(finished: SearchResults, name: str) -> None:
    figures = Result(finished).figures
    figure = getattr(figures, name)()
    assert len(figure.data) >= 1
    figure.update_layout(title="mine")
    assert getattr(figures, name)().layout.title.text != "mine"


def test_surface_shows_the_epoch_and_the_axes_that_are_asked_for(finished: SearchResults) -> None:
    figures = FigureSet(finished)
    last, early = figures.surface(), figures.surface(epoch=1)
    heights = [np.nanmax(np.array(figure.data[0].z, dtype=float)) for figure in (early, last)]
    assert heights[0] < heights[1]
    turned = figures.heatmap("batch", "width")
    assert turned.layout.xaxis.title.text == "batch"
    assert figures.heatmap("batch").layout.yaxis.title.text == "width"


def test_what_a_search_cannot_show_is_said(finished: SearchResults) -> None:
    with pytest.raises(StudyError, match='no axis "widht"; did you mean "width"'):
        FigureSet(finished).surface("widht")
    with pytest.raises(StudyError, match='two different axes, not "width" twice'):
        FigureSet(finished).surface("width", "width")
    with pytest.raises(StudyError, match="three axes"):
        FigureSet(finished).parallel()
    with pytest.raises(StudyError, match='"parameters" or "seconds", not "carbon"'):
        FigureSet(finished).pareto("carbon")
    line = searched({"width": SPACE["width"]})
    with pytest.raises(StudyError, match="one axis"):
        FigureSet(line).surface()
    assert len(FigureSet(line).heatmap().data) >= 1
    with pytest.raises(StudyError, match="no finalists"):
        FigureSet(searched(at_most=5)).finalists()


@pytest.mark.parametrize("at_most", [0, 5, 60])
def test_a_dashboard_shows_the_pictures_that_there_are(at_most: int) -> None:
    begun = searched(at_most=at_most)
    shown = dashboard_figures(begun)
    assert "zonesearch-completeness" in shown
    assert "zonesearch-finalists" not in shown
    assert note(begun).startswith("# ")
    assert notebook_html(begun).startswith("<p")


def test_a_run_of_failures_has_a_note(finished: SearchResults) -> None:
    text = note(searched(train=failing))
    assert "failed" in text


def test_note_and_notebook_say_the_verdict_and_keep_a_name_text(finished: SearchResults) -> None:
    assert finished.verdict is not None
    text = note(finished)
    assert text == note(finished)
    assert "## Finalists" in text
    assert "## To train the recommended setting" in text
    shown = notebook_html(searched(train=diverging, name="<script>alert(1)</script>"))
    assert "<script>" not in shown
    assert finished.verdict.sentence.split(";")[0].split(":")[1].strip() in Result(finished)._repr_html_()
