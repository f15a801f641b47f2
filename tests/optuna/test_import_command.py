"""`zonesearch import`, and what the other commands make of such a run: whole as it is, no grid where there is none."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from zonesearch import StudyError, ZoneSampler, run_pipeline
from zonesearch.cli.main import main
from zonesearch.core import plugins
from zonesearch.optuna.storage import open_storage
from zonesearch.report.figure_set import FigureSet, dashboard_figures
from zonesearch.report.note import note
from zonesearch.run.recorded import read_run
from zonesearch.run.result import Result

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def _quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    assert "imported" in plugins.registered("stages"), "install the package anew: it has a new entry point"
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        status = main(list(words))
        out, err = capsys.readouterr()
        return status, out, err

    return call


def study(name: str, objective: Callable[[optuna.Trial], Any], n: int = 40, **settings: Any) -> None:
    settings = {"direction": "maximize", "sampler": optuna.samplers.RandomSampler(seed=0)} | settings
    made = optuna.create_study(storage=open_storage("s.journal", create=True), study_name=name, **settings)
    made.optimize(objective, n_trials=n, catch=(Exception,))


def scattered(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("lr", 1e-4, 1e-1, log=True), trial.suggest_float("drop", 0, 0.5)
    n = trial.suggest_int("width", 16, 512, log=True)
    return 0.9 - 0.02 * abs(math.log10(x) + 2.5) - 0.1 * abs(y - 0.2) - 0.01 * abs(math.log2(n) - 7)


def branching(trial: optuna.Trial) -> float:
    trial.report(0.1, 1)
    if trial.number == 3:
        raise RuntimeError("out of memory")
    kind, rate = trial.suggest_categorical("opt", ["adam", "sgd"]), trial.suggest_float("lr", 1e-3, 1e-1, log=True)
    extra = 0.1 * trial.suggest_float("momentum", 0.0, 0.99) if kind == "sgd" else 0.05
    if trial.number % 7 == 1:
        raise optuna.TrialPruned
    return math.nan if trial.number == 5 else 0.8 + rate + extra


def test_scattered_points_are_whole_and_have_zones_or_a_reason(command) -> None:
    study("scattered", scattered)
    status, out, err = command("import", "--storage", "s.journal", "--study", "scattered")
    assert (status, err) == (0, "")
    assert "40 trials of study scattered are in " in out
    assert "runs/scattered (40 complete)" in out
    assert "nothing was repeated to judge it, so there is no verdict." in out
    assert "zones are read off a Gaussian process" in out
    shown = command("status", "runs/scattered")[1]
    assert "scattered (runs/scattered): finished" in shown
    assert "zones are read off a Gaussian process" in shown
    found = json.loads(command("status", "runs/scattered", "--json")[1])
    assert (found["finished"], found["missing"], found["done"]) == (True, 0, 40)
    assert found["zones"] or any("more trials" in note for note in found["notes"])
    page = Path("runs/scattered/report.html").read_text()
    assert ("No zone shows yet" in page) == (not found["zones"])
    assert "The best of 40 points" in page
    assert "still wants" not in page


def test_an_imported_run_is_not_trained_but_its_study_goes_on(command) -> None:
    def on(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 1) - float(trial.number % 2) / 50

    study("going", on)
    assert command("import", "--storage", "s.journal", "--study", "going", "--into", "runs/going")[0] == 0
    said = (
        "was imported from the Optuna study 'going', and nothing is trained there: continue that study with the sampler"
    )
    with pytest.raises(StudyError, match=said):
        run_pipeline({"x": {"low": 0.0, "high": 1.0}}, objective=lambda params: 0.5, into="runs/going", stages=["grid"])
    kept = optuna.load_study(
        study_name="going", storage=open_storage("s.journal", create=False), sampler=ZoneSampler(seed=0)
    )
    n = len(kept.trials)
    kept.optimize(on, n_trials=6)
    assert len({trial.params["x"] for trial in kept.trials}) == n + 6
    assert command("import", "--storage", "s.journal", "--study", "going", "--into", "runs/going")[0] == 0
    assert json.loads(command("status", "runs/going", "--json")[1])["done"] == n + 6


def test_branches_failures_and_pruned_trials_keep_what_they_are(command) -> None:
    study("branching", branching)
    assert command("import", "--storage", "s.journal")[0] == 0
    rows = list(csv.DictReader(io.StringIO(command("trials", "runs/imported", "--csv")[1])))
    assert len(rows) == 40
    assert {row["momentum"] == "" for row in rows if row["opt"] == "adam"} == {True}
    assert {row["momentum"] == "" for row in rows if row["opt"] == "sgd"} == {False}
    states = [row["state"] for row in rows]
    assert (states.count("pruned"), states.count("failed"), states.count("complete")) == (6, 2, 32)
    assert next(row for row in rows if row["lr"] == "")["state"] == "failed"
    shown = command("status", "runs/imported")[1]
    assert "pruned" in shown
    assert "momentum applies where opt is sgd" in shown.replace("'", "").replace('"', "")


def test_everything_that_looks_at_a_run_looks_at_points_on_no_grid(command) -> None:
    study("branching", branching)
    study("scattered", scattered)
    for name in ("branching", "scattered"):
        assert command("import", "--storage", "s.journal", "--study", name)[0] == 0
        run = f"runs/{name}"
        assert command("view", run)[1].startswith("40 trials added")
        assert command("report", run)[0] == 0
        results, _ = read_run(run)
        result = Result(results)
        said = "in it" if results.zones else "No zone shows yet"
        assert said in str(result)
        assert said in note(results)
        assert said in result._repr_html_()
        assert "zonesearch-points" in dashboard_figures(results)
        figures = FigureSet(results)
        assert figures.points(results.space.names[-1]).data
        for make in (figures.heatmap, figures.surface, figures.profiles, figures.importance, figures.agreement):
            with pytest.raises(StudyError):
                make()
    assert command("report", "runs/branching", "runs/scattered", "--out", "both.html")[0] == 0


def test_imports_merge_and_import_again_add_nothing_twice(command) -> None:
    study("scattered", scattered)
    for _ in range(2):
        assert command("import", "--storage", "s.journal", "--into", "one")[0] == 0
    assert command("import", "--storage", "s.journal", "--into", "two")[0] == 0
    assert command("merge", "one", "two", "--into", "both")[0] == 0
    assert json.loads(command("status", "both", "--json")[1])["done"] == 40
    records = [line for file in Path("one/trials").glob("*.jsonl") for line in file.read_text().splitlines()]
    assert sum("heading" not in json.loads(line) for line in records) == 40


def test_a_grid_has_zones_and_a_map(command) -> None:
    values = {"a": [0.1, 0.2, 0.3], "c": [1, 2, 4]}

    def objective(trial: optuna.Trial) -> float:
        return 0.5 + trial.suggest_float("a", 0, 1) / 2 - 0.1 * abs(trial.suggest_int("c", 1, 8) - 2)

    study("grid", objective, 9, sampler=optuna.samplers.GridSampler(values, seed=0))
    out = command("import", "--storage", "s.journal")[1]
    assert "zone 1: a 0.3, c 2 with 0.65" in out
    assert "scattered" not in out
    assert FigureSet(read_run("runs/imported")[0]).heatmap().data


def test_names_from_strangers_stay_names(command) -> None:
    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_float(HOSTILE, 0, 1) + len(trial.suggest_categorical("k", [HOSTILE, "../../x", "a,b\n"]))

    study(f"../../etc/{HOSTILE}", objective, 20)
    status, out, _ = command("import", "--storage", "s.journal", "--study", f"../../etc/{HOSTILE}")
    assert status == 0
    [run] = Path("runs").iterdir()
    assert str(run) in out
    assert HOSTILE not in (run / "report.html").read_text()
    assert not Path("../etc").exists()
    assert command("status", str(run))[0] == 0


def test_what_is_meant_has_to_be_said(command) -> None:
    study("fold1", scattered, 3)
    study("fold2", scattered, 3)
    study("two", lambda trial: (trial.suggest_float("x", 0, 1), 1.0), 3, direction=None, directions=["maximize"] * 2)
    study("lost", lambda trial: 1 / 0, 3)
    for words, said in (
        (("--study", "fold*"), "--as-seeds"),
        (("--study", "two"), "--objective N or NAME"),
        (("--study", "two", "--objective", "2"), 'no objective "2"'),
        (("--study", "lost"), "has no evaluation with a value yet; it holds: 3 failed"),
        (("--study", "none"), 'there is no study "none"'),
    ):
        status, out, err = command("import", "--storage", "s.journal", *words)
        assert (status, out) == (2, "")
        assert said in err
        assert err.count("\n") == 1
    assert command("import", "--storage", "s.journal", "--study", "two", "--objective", "1")[0] == 0
    out = command("import", "--storage", "s.journal", "--study", "fold*", "--as-seeds")[1]
    assert "6 trials of 2 studies" in out
    assert ", the mean of 2 seeds, at " in out
    assert "no fresh seeds judge what was picked by these, so there is no verdict." in out
