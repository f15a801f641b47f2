"""The page of a contest as a reader sees it: opened from disk, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chromium import chromium, opened
from zonesearch.benchmark.contest import Contest, Search
from zonesearch.benchmark.page import write_contest

pytestmark = pytest.mark.browser
EVIL = "<img src=x onerror=\"document.title='owned'\">"


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (400, True)])
def test_contest_page_opens_without_an_error_and_downloads_its_tables(tmp_path: Path, width: int, dark: bool) -> None:
    searches = [
        Search(method, repeat, (5.0, 10.0), (0.02, 0.01 * i * (repeat + 1)), {"x": EVIL}, n_trainings=10, seconds=0.1)
        for repeat in range(3)
        for i, method in enumerate(("grid", EVIL, "a method with a rather long name+and stages"))
    ]
    contest = Contest(EVIL, 10, 0.01, 0.1, "posterior", tuple(searches))
    path = write_contest(contest, tmp_path / "contest.html")
    with chromium() as browser, opened(browser, path.as_uri(), width=width, dark=dark) as page:
        page.wait_for_selector("html[data-drawn=yes]", state="attached", timeout=60_000)
        page.locator("select[data-chooses=regret]").select_option("1")
        for place in page.locator(".plot").all():
            place.scroll_into_view_if_needed()
            place.locator(".main-svg").first.wait_for(timeout=30_000)
        assert page.errors == []
        assert page.title() == f"Search methods on {EVIL}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator("summary", has_text="Standings").click()
        with page.expect_download() as download:
            page.locator("a[download='standings.csv']").click()
        assert Path(download.value.path()).read_text().startswith("method,regret,standard error")
