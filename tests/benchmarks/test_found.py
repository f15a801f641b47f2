"""The numbers of the page "What we found" are those that the files give."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

pytest.importorskip("zonesearch.benchmark.recorded")

from benchmarks import found
from benchmarks.gains import Choice, read_choices
from benchmarks.reach import Replayed, reach_table, reached, read_contest, replay, write_contest
from tests.benchmarks.test_statements import hill, made


@pytest.fixture(scope="module")
def tables() -> dict[str, str]:
    return found.tables()


@pytest.mark.parametrize("path", found.DOCUMENTS, ids=lambda path: path.stem)
def test_tables_of_the_documents_are_made_from_the_files_that_ship(path, tables) -> None:
    text = path.read_text(encoding="utf-8")
    names = re.findall(r"^<!-- found: (\w+) -->$", text, flags=re.MULTILINE)
    assert names
    assert set(names) <= set(tables)
    assert found.filled(text, tables) == text, "python -m benchmarks.found --write"


def test_a_table_takes_the_place_of_the_old_one() -> None:
    text = "before\n<!-- found: map -->\nold\n<!-- end -->\nafter <!-- end -->\n"
    filled = found.filled(text, {"map": "new", "other": "x"})
    assert filled == "before\n<!-- found: map -->\n\nnew\n\n<!-- end -->\nafter <!-- end -->\n"
    assert found.filled(filled, {"map": "new"}) == filled


def test_a_search_reaches_the_plain_grid_when_it_stays_as_good() -> None:
    at = (2, 4, 6, 8)
    regrets = np.array([[0.5, 0.1, 0.4, 0.0], [0.5, 0.1, 0.4, 0.2]])
    assert reached(regrets, at, 0.2) == 8
    assert reached(regrets, at, 0.45) == 4
    assert reached(regrets, at, 0.05) == math.inf
    assert reached(regrets, at, 1.0) == 2
    table = reach_table(Replayed(20, 3, (0.2, 0.2, 0.2), at, {"slow": regrets + 1, "quick": regrets}))
    assert "| slow | more than 8 (more than 8 to more than 8) |" in table
    assert "| quick | 8 (" in table


def test_replays_are_kept_as_they_are(tmp_path) -> None:
    replayed = replay(made(hill, noise=0.001), "random", n_searches=2)
    assert replayed.at[-1] == replayed.n_cells == 20
    assert replayed.plain == (0.0, 0.0, 0.0), "the peak of this map stands above its noise"
    assert replayed.regrets["random"].shape == (2, 10)
    write_contest(replayed, tmp_path / "contest.json")
    again = read_contest(tmp_path / "contest.json")
    assert (again.at, again.plain) == (replayed.at, replayed.plain)
    assert again.regrets["random"] == pytest.approx(replayed.regrets["random"], abs=1e-4)


def test_choices_are_read_as_they_were_written(tmp_path) -> None:
    import json
    from dataclasses import asdict

    choice = Choice("zones", {"width": 8}, 98.0, 0.1, 0.0, -0.1, 0.1, 49, (97.9, 98.1))
    (tmp_path / "choices.json").write_text(json.dumps([asdict(choice)]))
    assert read_choices(tmp_path / "choices.json") == [choice]
