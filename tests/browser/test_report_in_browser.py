"""The report as a reader sees it: opened from disk, without a network."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.chromium import chromium, opened
from tests.report.made import SPACE, diverging, searched
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.page import write_report
from zonesearch.report.summaries.map_tables import slice_of

pytestmark = pytest.mark.browser
EVIL = "<script>document.title='owned'</script>"
CUBE = {**SPACE, "rate": {"low": 0.1, "high": 0.2, "scale": "log", "row": "doubling"}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = searched(train=diverging, name=EVIL)
    return write_report(found, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def page(browser: Any, report: Path) -> Iterator[Any]:
    """The report drawn once, for tests that each look at or change something else of it."""
    with opened(browser, report.as_uri()) as page:
        drawn(page)
        yield page
        assert page.errors == []


def drawn(page: Any) -> None:
    page.wait_for_selector("html[data-drawn=yes]", state="attached", timeout=60_000)


def opened_table(page: Any) -> Any:
    details = page.locator("#map details").first
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    return details


def pixels(page: Any, selector: str) -> np.ndarray:
    image = pytest.importorskip("PIL.Image", reason="needs pillow")
    page.locator(selector).scroll_into_view_if_needed()
    page.wait_for_timeout(600)
    return np.asarray(image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB")).astype(int)


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (400, True)])
def test_report_opens_without_an_error_and_fits_the_window(browser: Any, report: Path, width: int, dark: bool) -> None:
    with opened(browser, report.as_uri(), width=width, dark=dark) as page:
        drawn(page)
        assert page.errors == []
        assert page.locator("#trouble").is_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for place in page.locator(".plot").all():
            assert place.locator(".main-svg").count() >= 1, place.get_attribute("id")


def test_surface_has_pixels_that_the_epoch_slider_moves(browser: Any, report: Path) -> None:
    with opened(browser, report.as_uri()) as page:
        drawn(page)
        late = pixels(page, "#plot-surface")
        assert len(np.unique(late.reshape(-1, 3), axis=0)) > 200  # a shaded surface, not an empty box
        late_map = pixels(page, "#plot-map")
        slider = page.locator("#map-epoch")
        slider.focus()
        for _ in range(11):
            page.keyboard.press("ArrowLeft")
        assert slider.get_attribute("aria-valuetext") == "epoch 1"
        assert page.locator("#map-says").text_content() == "1 of 12"
        early = pixels(page, "#plot-surface")
        assert (np.abs(early - late).sum(axis=2) > 30).mean() > 0.02
        assert (np.abs(pixels(page, "#plot-map") - late_map).sum(axis=2) > 30).mean() > 0.02
        page.locator("#map-common").check()
        assert (np.abs(pixels(page, "#plot-surface") - early).sum(axis=2) > 30).mean() > 0.01
        assert page.errors == []


def test_play_runs_to_the_last_epoch_and_stops(page: Any) -> None:
    page.locator("#map-play").click()
    assert "Pause" in page.locator("#map-play").text_content()
    page.wait_for_selector("#map-play:has-text('Play')", timeout=30_000)
    assert page.locator("#map-says").text_content() == "12 of 12"


def test_any_two_axes_can_be_shown_held_or_averaged(browser: Any, tmp_path: Path) -> None:
    found = searched(CUBE, interval={"method": "split(2)"}, epochs=3)
    summary = MapSummary(found)
    with opened(browser, write_report(found, tmp_path / "report.html").as_uri()) as page:
        drawn(page)
        for x, y in (("width", "batch"), ("width", "rate"), ("batch", "rate")):
            page.locator("#map-axes").select_option(f"{x} × {y}")
            for mode in ("best", "average"):
                page.locator("#map-others").select_option(mode)
                shown = json.loads(page.locator("#plot-map").evaluate("e => JSON.stringify(e.data[0].z)"))
                np.testing.assert_allclose(shown, slice_of(summary, summary.means, x, y, mode), atol=1e-6)
        assert page.errors == []


def test_tables_sort_by_click_and_by_key(page: Any) -> None:
    details = opened_table(page)
    table = details.locator("table")
    column = [h.text_content() for h in table.locator("th").all()].index("accuracy")
    head = table.locator("th").nth(column)

    def values() -> list[float]:
        cells = table.locator(f"tbody tr td:nth-child({column + 1})").all()
        return [float(cell.get_attribute("data-value") or "nan") for cell in cells]

    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    rising = values()
    assert len(rising) == 49
    assert rising[:46] == sorted(rising[:46])
    assert np.isnan(rising[46:]).all()  # what is unknown comes last, both ways
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert values()[:46] == rising[:46][::-1]


def test_table_can_be_taken_along_as_a_file(page: Any) -> None:
    details = opened_table(page)
    with page.expect_download() as download:
        details.locator("a.csv").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith("width,batch,accuracy")
    assert len(lines) == 50


def test_script_in_a_name_stays_text(page: Any) -> None:
    assert EVIL in page.locator("h1").text_content()
    assert page.title() == EVIL
    assert page.locator("script").count() == 4  # data, plotly packed, the page's script, plotly


def test_look_can_be_switched_and_survives_drawing(page: Any) -> None:
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = "e => e.layout.template.layout.font.color"
    before = page.locator("#plot-agreement").evaluate(ink)
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    assert page.locator("#plot-agreement").evaluate(ink) != before
    assert page.errors == []


def test_learning_curves_of_other_points_can_be_chosen(page: Any) -> None:
    ys = "e => JSON.stringify(e.data.map(trace => trace.y))"
    before = page.locator("#plot-curves").evaluate(ys)
    page.locator("select[data-chooses=curves]").select_option(index=1)
    assert page.locator("#plot-curves").evaluate(ys) != before


def test_tables_are_there_without_javascript(browser: Any, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(report.as_uri())
    assert "need JavaScript" in page.locator("noscript").text_content()
    assert page.locator("#map table tbody tr").count() > 49
    context.close()


def test_report_prints_with_its_pictures(browser: Any, report: Path) -> None:
    with opened(browser, report.as_uri(), dark=True) as page:
        drawn(page)
        page.emulate_media(media="print")
        assert len(page.pdf()) > 100_000
        assert page.errors == []
