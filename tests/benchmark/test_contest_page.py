"""The page of a contest: self-contained, safe with any label, and true to the numbers."""

from __future__ import annotations

import re

import pytest

from zonesearch.benchmark.contest import Contest, Search
from zonesearch.benchmark.figures import ends_figure, ranks_figure, regret_figure, within_figure
from zonesearch.benchmark.page import render_contest
from zonesearch.benchmark.summary import curves_table, searches_table, standing_texts, standings_table

EVIL = "<script>alert(1)</script>"


def made(noise: float = 0.01, repeats: int = 3) -> Contest:
    """The grid always ends at the best point, the other a little below it."""
    searches = [
        Search(method, repeat, (5.0, 10.0), (0.02, 0.01 * i * (repeat + 1)), {"x": EVIL}, n_trainings=10, seconds=0.1)
        for repeat in range(repeats)
        for i, method in enumerate(("grid", "<b>tpe</b>"))
    ]
    return Contest(EVIL, 10, noise, 0.1, "posterior", tuple(searches), source=EVIL)


def test_the_page_is_one_file_with_every_label_escaped() -> None:
    page = render_contest(made())
    assert page == render_contest(made())
    assert EVIL not in page
    assert "<b>tpe</b>" not in page
    assert "&lt;b&gt;tpe&lt;/b&gt;" in page
    assert "default-src &#x27;none&#x27;" in page
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]+"', page)
    assert 'download="standings.csv"' in page
    for figure in (regret_figure(made()), ends_figure(made()), ranks_figure(made()), within_figure(made())):
        assert "<b>" not in figure.to_json().replace("\\u003c", "<")


def test_figures_and_tables_show_the_numbers_of_the_contest() -> None:
    contest = made()
    line = next(trace for trace in regret_figure(contest).data if trace.name == "grid")
    assert list(line.y) == [0.02, 0.0]
    logarithmic = next(trace for trace in regret_figure(contest, log=True).data if trace.name == "grid")
    assert list(logarithmic.y) == [0.02, None]
    assert list(within_figure(contest).data[0].x) == [1.0, pytest.approx(1 / 3, abs=1e-6)]
    table = standings_table(contest)
    assert list(table["method"]) == ["grid", "<b>tpe</b>"]
    assert table["regret"].tolist() == pytest.approx([0.0, 0.02])
    assert table["regret / (best - median)"].tolist() == pytest.approx([0.0, 0.2])
    assert len(curves_table(contest)) == 4
    assert list(searches_table(contest)["x"]) == [EVIL] * 6
    assert standing_texts(contest)[2][1] == "0.0200 ± 0.0058"


def test_one_search_without_known_noise_has_a_page_too() -> None:
    page = render_contest(made(noise=float("nan"), repeats=1))
    assert 'id="plot-ranks"' in page
    assert 'id="plot-within"' not in page
    assert standing_texts(made(noise=float("nan"), repeats=1))[1][3] == "unknown"


def test_the_sentence_tells_apart_what_differs_for_sure() -> None:
    searches = [
        Search(method, repeat, (10.0,), (regret + repeat / 1000,), {"x": 1}, n_trainings=10)
        for repeat in range(8)
        for method, regret in (("a", 0.0), ("b", 0.0005 * (-1) ** repeat), ("c", 0.2 + repeat % 3 / 100))
    ]
    contest = Contest("made", 10, 0.01, 0.1, "observed", tuple(searches))
    assert set(contest.tied()) == {"a", "b"}
    assert contest.sentence.endswith("c is significantly worse (95 %).")


def test_nothing_is_significant_without_a_spread_of_its_own() -> None:
    def played(n: int, regrets: object) -> Contest:
        searches = [
            Search(method, repeat, (10.0,), (regrets(method, repeat),), {"x": 1}, n_trainings=10)  # type: ignore[operator]
            for repeat in range(n)
            for method in ("a", "b")
        ]
        return Contest("made", 10, 0.01, 0.1, "observed", tuple(searches))

    few = played(3, lambda method, repeat: 0.0 if method == "a" else 0.2 + repeat / 1000)
    assert few.sentence.endswith(
        "(mean of 3 searches); too few searches to say how certain that is: it takes at least 5."
    )
    same = played(10, lambda method, repeat: 0.0 if method == "a" else 0.2)
    assert "significantly" not in same.sentence
    assert "against b every search gives the same" in same.sentence
    assert standing_texts(same)[2][4] == "unknown"
    real = played(10, lambda method, repeat: 0.0 if method == "a" else 0.2 + repeat / 1000)
    assert real.sentence.endswith("b is significantly worse (95 %).")
