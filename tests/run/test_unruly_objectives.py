"""What objectives do besides training: change the working directory, and start processes of their own."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

import optuna
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from zonesearch import run_pipeline
from zonesearch.cli.main import main
from zonesearch.optuna.storage import absolute_url, open_storage
from zonesearch.run.recorded import read_run

SPACE = {"x": {"low": 0.0, "high": 1.0, "row": 2}, "y": [1, 2]}
SMALL = {"interval": {"method": "split(2)"}, "polish": {"keep": 2, "repeats": 2}}

WANDERING = """
import os, tempfile

def walk(params, seed):
    os.chdir(tempfile.gettempdir())
    return params["x"] * 0.1 + 0.5
"""
STUDY = """
name = "wanders"
[space]
x = [0.0, 0.5, 1.0]
[objective]
function = "wandering:walk"
[polish]
keep = 2
repeats = 2
"""


def loading(params, seed: int) -> float:
    data = DataLoader(TensorDataset(torch.arange(4.0)), batch_size=2, num_workers=2)
    return sum(float(x.sum()) for (x,) in data) / 6 * float(params["x"])


@pytest.mark.parametrize("workers", [1, 2])
def test_an_objective_may_change_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    def wandering(params, seed: int) -> float:
        os.chdir(tempfile.gettempdir())
        return float(params["x"]) * 0.1 + 0.5

    monkeypatch.chdir(tmp_path)
    found = run_pipeline(SPACE, objective=wandering, workers=workers, into="runs/it", **SMALL)
    assert found.folder == tmp_path / "runs" / "it"
    assert read_run(tmp_path / "runs" / "it")[0].trials == found.trials


@pytest.mark.parametrize("view", ["it.journal", "sqlite:///it.db"])
def test_a_command_leaves_everything_where_it_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], view: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "wandering", raising=False)
    Path("wandering.py").write_text(WANDERING)
    Path("study.toml").write_text(STUDY)
    assert main(["run", "study.toml", "--into", "runs/it", "--view", view, "--quiet"]) == 0
    assert Path.cwd() == Path(tempfile.gettempdir())
    assert (tmp_path / "runs/it/report.html").is_file()
    n_trials = len(read_run(tmp_path / "runs/it")[0].trials)
    os.chdir(tmp_path)
    shown = optuna.load_study(study_name="wanders", storage=open_storage(view, create=False))
    assert len(shown.trials) == n_trials
    capsys.readouterr()
    assert main(["run", "study.toml", "--into", "other", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"]
    os.chdir(tmp_path)
    assert main(["gallery", "study.toml", "--into", "pages", "--runs", "runs", "--quiet"]) == 0
    assert {path.name for path in (tmp_path / "pages").iterdir()} == {"index.html", "wanders.html"}
    compared = ["compare", "study.toml", "--methods", "random", "--budget", "3", "--seeds", "1", "--into", "compared"]
    os.chdir(tmp_path)
    assert main([*compared, "--quiet"]) == 0
    assert (tmp_path / "compared/compare.html").is_file(), "beside the caller, not where the objective went"


def test_addresses_of_storages_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_url("a/it.journal") == str(tmp_path / "a/it.journal")
    assert absolute_url("sqlite:///it.db") == f"sqlite:///{tmp_path}/it.db"
    for url in (f"sqlite:///{tmp_path}/it.db", "postgresql://me@there/db", "sqlite:///:memory:"):
        assert absolute_url(url) == url


@pytest.mark.parametrize("workers", [1, 2])
def test_a_data_loader_with_workers_works_inside_an_objective(workers: int) -> None:
    found = run_pipeline({"x": [0.5]}, objective=loading, workers=workers, stages=["grid"], seeds=1)
    assert [(trial.state, trial.accuracy) for trial in found.trials] == [("complete", 0.5)]


def test_worker_processes_start_others_as_this_one_does() -> None:
    def method(params, seed: int) -> float:
        return float(multiprocessing.get_all_start_methods().index(multiprocessing.get_start_method()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing, "get_start_method", lambda allow_none=False: "spawn")
        found = run_pipeline({"x": [0.5]}, objective=method, workers=2, stages=["grid"], seeds=1)
    assert [trial.accuracy for trial in found.trials] == [multiprocessing.get_all_start_methods().index("spawn")]
