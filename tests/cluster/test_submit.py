"""Shards as jobs: submitit's local executor stands in for Slurm."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from zonesearch import load_run, run_pipeline
from zonesearch.cli.main import main
from zonesearch.study.files import read_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore"),
]

OWN = """
import os
from pathlib import Path

def train(params, seed, epochs):
    if os.environ.get("DIE_ONCE") and params["x"] == 3:
        mark = Path(os.environ["DIE_ONCE"])
        if not mark.exists():
            mark.touch()
            os._exit(1)
    return 0.9 - 0.01 * (params["x"] - 3) ** 2 + 0.001 * (seed % 7)
"""
STUDY = """
[space]
x = [1, 2, 3, 4]
[objective]
function = "submitted_objective:train"
[search]
stages = ["grid", "polish"]
seeds = 2
[polish]
keep = 2
repeats = 2
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("submitit", reason="submitit is not installed")
    monkeypatch.chdir(tmp_path)
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "submitted_objective", raising=False)
    (tmp_path / "submitted_objective.py").write_text(OWN)
    (tmp_path / "own.toml").write_text(STUDY)
    return tmp_path


def test_jobs_train_what_one_machine_would_and_a_lost_job_is_made_up_for(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DIE_ONCE", str(here / "died"))
    assert main(["submit", "own.toml", "--n", "2", "--executor", "local", "--into", "run"]) == 0
    said = capsys.readouterr().out
    assert "Stage grid: 8 trainings in 2 jobs" in said
    assert "1 of 2 jobs did not end properly" in said
    assert (here / "died").exists()
    monkeypatch.delenv("DIE_ONCE")
    alone = run_pipeline(read_study(here / "own.toml"))
    together = load_run(here / "run")
    assert together.verdict is not None
    assert alone.verdict is not None
    assert together.verdict.best.finalist.params == alone.verdict.best.finalist.params  # type: ignore[union-attr]
    assert {t.training.key: t.accuracy for t in together.trials} == {t.training.key: t.accuracy for t in alone.trials}
    assert {str(t.provenance["shard"]) for t in together.trials} == {"1/2", "2/2"}
    assert (here / "run" / "report.html").exists()

    assert main(["submit", "own.toml", "--n", "2", "--executor", "local", "--into", "run"]) == 0
    assert "jobs" not in capsys.readouterr().out.splitlines()[0]


def test_what_is_wrong_with_the_objective_comes_back_as_a_sentence(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "submitted_objective.py").write_text("def train(params):\n    return 'good'\n")
    assert main(["submit", "own.toml", "--n", "2", "--executor", "local", "--into", "run"]) == 2
    assert "must give a number, but gave str" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--n", "0"], "--n must be at least 1"),
        (["--n", "2", "--gpus", "0"], "--gpus must be at least 1"),
        (["--n", "2", "--slurm", "account"], "KEY=VALUE"),
        (["--n", "2", "--partition", "gpu", "--slurm", "account=physics"], "there is no Slurm here"),
    ],
)
def test_submit_refuses_in_a_sentence(
    here: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(here))
    assert main(["submit", "own.toml", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_job_array_asks_slurm_for_what_was_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zonesearch.run.submitting import Queue

    (here / "srun").write_text("#!/bin/sh\n")
    (here / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(here), prepend=os.pathsep)
    executor = Queue("slurm", "gpu", 30, 4, 1, {"account": "physics"}).open(here / "jobs", "mine")
    script = executor._executor._make_submission_file_text("run it", "id")
    for line in ("--partition=gpu", "--time=30", "--cpus-per-task=4", "--gpus-per-node=1", "--account=physics"):
        assert f"#SBATCH {line}" in script
