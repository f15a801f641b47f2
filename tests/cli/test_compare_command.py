"""``zonesearch compare``: on recorded maps and on studies that train, its table, its page, and how it refuses."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import preloaded
from zonesearch import Study, StudyError, compare_methods
from zonesearch.cli.main import main

DIGITS = str(Path(__file__).parents[2] / "benchmarks" / "recorded" / "digits.json")
HILL = """
import pathlib, time

def hill(params, seed, epochs):
    time.sleep(0.02)
    with open(pathlib.Path(__file__).with_name("trained.txt"), "a") as file:
        file.write(f"{params['x']} {seed}\\n")
    return 0.9 - (params["x"] - 0.3) ** 2 + (seed * 7919 % 13 - 6) / 1000
"""
STUDY = """
name = "hill"
[space]
x = { low = 0.0, high = 1.0 }
[objective]
function = "hill_of_this_test:hill"
[search]
stages = ["grid"]
"""
LIVE = ("compare", "hill.toml", "--methods", "grid+interval,random", "--budget", "8", "--seeds", "2", "--json")

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hill_of_this_test", raising=False)
    (tmp_path / "hill.toml").write_text(STUDY)
    (tmp_path / "hill_of_this_test.py").write_text(HILL)
    return tmp_path


@pytest.fixture
def command(here: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(arguments)
        out, err = capsys.readouterr()
        return status, out, err

    return call


def without_times(described: dict) -> dict:
    """What does not depend on how fast this machine is."""
    for row in (*described["standings"], *described["searches"]):
        row.pop("ms", None)
        row.pop("seconds", None)
    return described


def test_compare_on_a_recorded_map_prints_a_table_and_writes_a_page(command: Command, here: Path) -> None:
    call = (
        "compare",
        DIGITS,
        "--methods",
        "grid+interval,random",
        "--budget",
        "20",
        "--seeds",
        "2",
        "--page",
        "c.html",
    )
    status, out, _ = command(*call, "--quiet")
    assert status == 0
    head, *rows = out.splitlines()
    assert re.split(r"\s{2,}", head) == [
        *("method", "regret", "rank", "within noise", "p against best", "trainings", "ms/suggestion")
    ]
    assert {row.split()[0] for row in rows} == {"grid+interval", "random"}
    described = json.loads(command(*call, "--json")[1])
    assert [row["method"] for row in described["standings"]] == [row.split()[0] for row in rows]
    assert described["problem"] == "digits"
    assert len(described["searches"]) == 4
    assert without_times(json.loads(command(*call, "--json")[1])) == without_times(described)
    assert "Search methods on <b>digits</b>" in (here / "c.html").read_text()


def test_compare_on_a_run_folder_needs_no_training(command: Command, here: Path) -> None:
    command("run", "hill.toml", "--set", "search.seeds=2", "--quiet")
    n = len((here / "trained.txt").read_text().splitlines())
    assert command("compare", "runs/hill", "--methods", "grid,random", "--budget", "5", "--seeds", "2")[0] == 0
    assert not [*here.glob("*.html"), *(here / "runs/hill").glob("*compare*")], (
        "a page is written where it is asked for"
    )
    told = command("compare", "hill.toml", "--recorded", "runs/hill", "--methods", "grid", "--budget", "5", "--json")
    assert json.loads(told[1])["problem"] == "hill"
    assert len((here / "trained.txt").read_text().splitlines()) == n


def test_a_live_comparison_trains_each_training_once_and_scores_on_fresh_seeds(command: Command, here: Path) -> None:
    status, out, _ = command(*LIVE, "--truth-seeds", "4")
    assert status == 0
    described = json.loads(out)
    trained = (here / "trained.txt").read_text().splitlines()
    assert len(trained) == len(set(trained))
    truth: dict[float, list[int]] = {}
    for line in trained:
        x, seed = line.split()
        if int(seed) < 1000:
            truth.setdefault(float(x), []).append(int(seed))
    assert set(map(tuple, map(sorted, truth.values()))) == {(0, 1, 2, 3)}  # what was recommended, four fresh seeds each
    noise = sum((seed * 7919 % 13 - 6) / 1000 for seed in range(4)) / 4
    means = {x: 0.9 - (x - 0.3) ** 2 + noise for x in truth}
    for one in described["searches"]:
        assert one["regret"][-1] == pytest.approx(max(means.values()) - means[one["recommended"]["x"]])
    assert (here / "runs/hill-compare/compare.html").exists()
    assert not list(here.glob("*.html"))

    again = command(*LIVE, "--truth-seeds", "4")
    assert without_times(json.loads(again[1])) == without_times(described)
    assert (here / "trained.txt").read_text().splitlines() == trained
    assert json.loads(command("status", "runs/hill-compare", "--json")[1])["done"] == len(trained)
    assert len(command("trials", "runs/hill-compare", "--csv")[1].splitlines()) == len(trained) + 1
    assert command("report", "runs/hill-compare")[0] == 0
    assert command("compare", "runs/hill-compare", "--methods", "random", "--budget", "4", "--seeds", "1")[0] == 0


def test_a_killed_live_comparison_goes_on_and_trains_nothing_twice(command: Command, here: Path) -> None:
    process = preloaded.start("zonesearch", *LIVE, log=here / "log")
    log = here / "trained.txt"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not log.exists() or len(log.read_text().splitlines()) < 10):
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = sum(
        '"accuracy"' in line
        for file in (here / "runs/hill-compare/trials").glob("*.jsonl")
        for line in file.read_text().splitlines()
    )
    assert kept >= 9
    status, out, _ = command(*LIVE)
    assert status == 0
    trained = log.read_text().splitlines()
    assert len(trained) <= len(set(trained)) + 1  # the one under way when it was killed, if any
    unbroken = compare_methods("hill.toml", "grid+interval,random", budget=8, seeds=2)
    assert without_times(json.loads(json.dumps(unbroken.describe()))) == without_times(json.loads(out))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hill.toml", "--methods", "gird+interval"), 'unknown search method "gird"; did you mean "grid"?'),
        (("hill.toml", "--methods", "grid,grid"), "a comparison needs one or more distinct methods, not grid, grid"),
        (("hill.toml", "--budget", "0"), "a comparison needs a budget of at least 1 training, not 0"),
        (("hill.toml", "--seeds", "0"), "a comparison needs at least 1 search per method (--seeds)"),
        (("hill.toml", "--rule", "postrior"), 'unknown rule "postrior" to recommend by; did you mean "posterior"?'),
        (("hill.toml", "--truth-seeds", "1"), "the truth of a point needs 2 to 1000 fresh seeds, not 1"),
        ((DIGITS, "--workers", "0"), "the comparison needs at least 1 worker, not 0"),
        (("none.toml",), "study file none.toml cannot be read"),
        (("none.json",), "recorded map none.json cannot be read"),
        (("hill.toml", "--recorded", "none"), "recorded map none cannot be read"),
        (("hill.toml", "--recorded", DIGITS), "is a map of width, batch, but the study searches x"),
        ((), "compare takes a study file, a run folder or a recorded map"),
    ],
)
def test_compare_refuses_in_one_sentence(command: Command, here: Path, arguments: tuple[str, ...], said: str) -> None:
    status, out, err = command("compare", *arguments)
    assert status == 2
    assert err.startswith("zonesearch: ")
    assert said in err
    assert err.strip().count("\n") == 0, err
    assert not out
    assert not (here / "trained.txt").exists()


def test_a_contest_in_which_nothing_was_complete_says_so() -> None:
    study = Study.of({"x": {"low": 0.0, "high": 1.0}}, lambda params, seed, epochs: float("nan"), name="nans")
    with pytest.raises(ValueError, match="nans: no training of any search was complete"):
        compare_methods(study, "grid", budget=3, seeds=1)
    with pytest.raises(StudyError, match="budget of at least 1"):
        compare_methods(study, "grid", budget=0)


def test_compare_on_a_run_of_three_trainings_asks_each_search_for_no_more_than_these(
    command: Command, here: Path
) -> None:
    (here / "three.toml").write_text(
        STUDY.replace("high = 1.0", "high = 1.0, row = 2").replace('["grid"]', '["grid"]\nseeds = 1')
    )
    assert command("run", "three.toml", "--quiet")[0] == 0
    status, out, err = command("compare", "runs/hill", "--methods", "random,surrogate,grid+interval", "--json")
    assert status == 0, err
    contest = json.loads(out)
    assert contest["budget"] == 3
    assert "after 3 trainings" in contest["sentence"]
    assert max(search["n_trainings"] for search in contest["searches"]) <= 3
    status, out, err = command("compare", "runs/hill", "--methods", "random", "--budget", "7", "--seeds", "1", "--json")
    assert json.loads(out)["budget"] == 7
