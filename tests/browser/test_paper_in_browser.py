"""The report on paper and its figures as files, looked at: printed, rendered to pixels, downloaded."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.browser.chromium import chromium, opened
from tests.report.made import diverging, searched
from zonesearch import run_pipeline
from zonesearch.cli.main import main
from zonesearch.report.page import write_report

pytestmark = pytest.mark.browser
Pdf = Any
EVIL = "<script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = searched(train=diverging, name=EVIL)
    return write_report(found, tmp_path_factory.mktemp("report") / "report.html")


def printable(page: Any) -> None:
    page.wait_for_selector("html[data-printable=yes]", state="attached", timeout=120_000)


def read(pdf: bytes | Path) -> Pdf:
    return pytest.importorskip("pypdfium2", reason="needs pypdfium2").PdfDocument(pdf)


def texts(pdf: Pdf) -> list[str]:
    found = [page.get_textpage().get_text_bounded() for page in pdf]
    return [re.sub(r"\s+", " ", text.replace("\ufffe", "-")) for text in found]


def squeezed(text: str) -> str:
    """Without blanks: a printed line may break, and a PDF may not say where a word ends."""
    return re.sub(r"\s+", "", text)


def pixels(pdf: Pdf, number: int) -> np.ndarray:
    return np.asarray(pdf[number].render(scale=1.0).to_pil().convert("RGB")).astype(int)


def captions(page: Any) -> list[str]:
    """What stands under each figure on paper."""
    script = """() => [...document.querySelectorAll("figure figcaption")].map((caption) => {
        const copy = caption.cloneNode(true);
        for (const left of copy.querySelectorAll(".onscreen")) left.remove();
        return copy.textContent.trim();
    })"""
    found: list[str] = page.evaluate(script)
    return found


def above(pdf: Pdf, caption: str) -> np.ndarray:
    """The pixels over a caption, in the width that every figure has at least."""
    for number, page in enumerate(pdf):
        text = page.get_textpage()
        if (match := text.search(caption[:24]).get_next()) is not None:
            text.count_rects(*match)
            left, _, _, top = text.get_rect(0)
            under = round(page.get_height() - top)
            return pixels(pdf, number)[max(0, under - 110) : under - 4, round(left) : round(left) + 240]
    raise AssertionError(f"not on paper: {caption}")


def ink(shown: np.ndarray, darker_than: int = 200) -> float:
    """The share of the pixels that something is drawn on."""
    return float((shown.sum(axis=2) < 3 * darker_than).mean())


class Printed(NamedTuple):
    """A report printed from a dark screen: the paper, and what the page says of itself."""

    pdf: Pdf
    captions: list[str]
    n_figures: int
    n_images: int
    n_choices: int
    n_unfolded: int
    errors: list[str]


@pytest.fixture(scope="module")
def printed(browser: Any, report: Path) -> Printed:
    count = "[...document.querySelectorAll('.paper img')].filter((image) => image.naturalWidth > 400).length"
    choices = "[...document.querySelectorAll('.choose select')].reduce((n, select) => n + select.length - 1, 0)"
    with opened(browser, report.as_uri(), dark=True) as page:
        page.wait_for_selector("figure:has(#plot-map) .paper img", state="attached", timeout=120_000)
        page.locator("#map-epoch").focus()
        page.keyboard.press("Home")  # what is shown changes after it was made ready for paper
        printable(page)
        return Printed(
            read(page.pdf()),
            captions(page),
            page.locator("figure").count(),
            page.evaluate(count),
            page.evaluate(choices),
            page.locator("details[open]").count(),
            list(page.errors),
        )


def test_every_figure_is_on_paper_in_the_light_look(printed: Printed) -> None:
    assert printed.errors == []
    assert printed.n_images == printed.n_figures + printed.n_choices  # paper has no chooser: all of them
    assert len(printed.captions) > 10
    for caption in printed.captions:
        assert ink(above(printed.pdf, caption)) > 0.005, caption
    for number in range(len(printed.pdf)):
        shown = pixels(printed.pdf, number)
        assert (shown[:8] == 255).all(), "the paper is white though the screen is dark"
        assert ink(shown, 250) > 0.01, f"page {number + 1} is empty"


def test_paper_has_the_tables_and_nothing_that_only_a_screen_can_do(printed: Printed) -> None:
    pages = texts(printed.pdf)
    text = " ".join(pages)
    for title in ("The map", "Which axis matters?", "Learning curves and schedules", "The finalists"):
        assert squeezed(title) in squeezed(text)
    cut = "Cells of the map. Best first, on the validation split. The first 30 of 49 rows."
    assert squeezed(cut) in squeezed(text)
    assert EVIL in text
    for hidden in ("Download", "Play", "one scale for all epochs", "Drag to turn it", "CSV", "Skip to"):
        assert squeezed(hidden) not in squeezed(text)
    assert squeezed(pages[0]).startswith(f"1/{len(pages)}")
    assert printed.n_unfolded == 0, "tables are folded again after printing"


def test_paper_shows_what_the_reader_had_chosen(printed: Printed) -> None:
    text = squeezed(" ".join(texts(printed.pdf)))
    assert squeezed("After epoch 1.") in text
    values = {int(value) for value in re.findall(r"(\d\d)\.\d%", text.split("Thesamefromabove")[0])}
    assert values
    assert max(values) < 70, "the cells have the values of the first epoch"


def test_every_figure_downloads_as_png_and_svg(browser: Any, report: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs pillow")
    with opened(browser, report.as_uri(), dark=True, width=500) as page:
        page.wait_for_selector("html[data-drawn=yes]", state="attached", timeout=60_000)
        for file_format in ("png", "svg"):
            assert page.locator(f"figure button[data-format={file_format}]").count() == page.locator("figure").count()
        for name in ("map", "curves", "finalists"):
            with page.expect_download() as download:
                page.locator(f"figure:has(#plot-{name}) button[data-format=svg]").click()
            assert download.value.suggested_filename.endswith(f"-{name}.svg")
            root = ElementTree.fromstring(Path(download.value.path()).read_text())
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert int(root.attrib["width"]) >= 700
            assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
        for name in ("surface", "worth-parameters"):
            with page.expect_download(timeout=120_000) as download:
                page.locator(f"figure:has(#plot-{name}) button[data-format=png]").click()
            assert download.value.suggested_filename.endswith(f"-{name}.png")
            with image.open(download.value.path()) as picture:
                assert picture.size[0] == 1400
                shown = np.asarray(picture.convert("RGB"))
            assert (shown[0] == 255).all()
            assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 40
        assert page.errors == []


def test_runs_are_printed_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("needs a Chromium: apt-get install chromium")
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        run_pipeline(
            {"x": [1, 2, 4]}, objective=lambda params, seed: params["x"] / 8 + seed / 100, name=name, into=name
        )
    capsys.readouterr()
    for arguments, made in ((["a"], "a/report.html"), (["a", "b"], "comparison.html")):
        assert main(["report", *arguments, "--pdf", "new/made.pdf"]) == 0
        assert capsys.readouterr().out == f"{made}\nnew/made.pdf\n"
        page = Path(made).read_text()
        pdf = read(Path("new/made.pdf"))
        text = squeezed(" ".join(texts(pdf)))
        for title in re.findall(r"<h2 [^>]*>([^<]+)</h2>", page):
            assert squeezed(unescape(title)) in text
        for caption in re.findall(r"<figcaption>(?:<span.*?</span>)?([^<]+)</figcaption>", page):
            assert ink(above(pdf, unescape(caption).strip())) > 0.005, caption
    assert [path.name for path in Path("new").iterdir()] == ["made.pdf"]
