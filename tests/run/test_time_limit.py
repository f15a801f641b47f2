"""A training that hangs, or takes its process with it, costs itself and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests import preloaded
from tests.run.objectives import Hanging, Sleeper, loaded_slowly, slow_at_three
from tests.run.test_engines import TRAININGS, run, states
from zonesearch import StudyError, run_pipeline
from zonesearch.cli.main import main
from zonesearch.core.trials import Training, Trial
from zonesearch.run.engines.in_process import InProcess
from zonesearch.run.engines.runner import open_engine
from zonesearch.run.engines.worker import shortened
from zonesearch.run.recorded import read_run
from zonesearch.study.files import parse_study


def came(objective: Sleeper, workers: int, timeout: float | None = 1.0, where: str = "local") -> list[Trial]:
    found: list[Trial] = []
    with open_engine(where, workers=workers, timeout=timeout) as engine:
        engine.run(objective, objective.jobs(TRAININGS), found.extend)
    return found


@pytest.mark.parametrize(("workers", "trouble"), [(1, "hang"), (2, "hang_in_a_library")])
def test_training_that_hangs_is_ended_and_recorded_and_is_not_tried_again(
    tmp_path: Path, workers: int, trouble: str
) -> None:
    found = came(Hanging(trouble=trouble, log=str(tmp_path / "log")), workers)
    assert states(found) == {x: "failed" if x == 3 else "complete" for x in range(6)}
    (lost,) = (trial for trial in found if trial.state == "failed")
    assert lost.reason == "timed out after 1 s: its process was ended ([run] timeout, --timeout)"
    assert lost.seconds == 1.0
    assert Counter((tmp_path / "log").read_text().split()) == {str(x): 1 for x in range(6)}


def test_more_hanging_trainings_than_workers_do_not_stop_a_run() -> None:
    began = time.monotonic()
    found = came(Hanging(where=(0, 1, 2, 3)), 2, timeout=0.5)
    assert states(found) == {x: "failed" if x < 4 else "complete" for x in range(6)}
    assert time.monotonic() - began < 60


def test_a_job_has_as_many_limits_as_trainings_and_is_then_taken_apart(tmp_path: Path) -> None:
    """Six trainings of 0.3 s are slower than the limit together, and none of them alone."""
    slow = Hanging(seconds=0.3, per_job=6, where=())
    assert set(states(came(slow, 1)).values()) == {"complete"}
    found = came(Hanging(per_job=3, log=str(tmp_path / "log")), 2, timeout=0.5)
    assert states(found) == {x: "failed" if x == 3 else "complete" for x in range(6)}
    assert Counter((tmp_path / "log").read_text().split())["3"] == 2, "in its job, and alone"


@pytest.mark.parametrize(
    ("workers", "trouble", "how"),
    [
        (3, "leave", r"\(it exited with status 7\), 2 times"),
        (2, "crash", r"\(killed by SIGSEGV\), 2 times"),
        (2, "be_killed", r"\(killed by SIGKILL\), 2 times"),
    ],
)
def test_training_that_ends_its_worker_costs_itself_alone(
    capfd: pytest.CaptureFixture[str], workers: int, trouble: str, how: str
) -> None:
    found = came(Hanging(seconds=0.05, trouble=trouble), workers, timeout=None)
    assert states(found) == {x: "failed" if x == 3 else "complete" for x in range(6)}
    (lost,) = (trial for trial in found if trial.state == "failed")
    assert lost.reason.startswith("the process that trained this ended without a result")
    assert re.search(how, lost.error)
    assert ("Segmentation fault" in lost.error) == (trouble == "crash")
    assert ("in crash" in lost.error) == (trouble == "crash"), "where it was"
    assert "Segmentation" not in capfd.readouterr().err


def test_a_time_limit_guards_a_single_worker_too() -> None:
    assert states(came(Hanging(trouble="leave"), 1, timeout=60)) == {
        x: "failed" if x == 3 else "complete" for x in range(6)
    }
    assert isinstance(open_engine(), InProcess)


def test_an_allocation_that_is_refused_is_a_failed_training() -> None:
    found = came(Hanging(trouble="run_out_of_an_allowance"), 2, timeout=None)
    assert states(found) == {x: "failed" if x == 3 else "complete" for x in range(6)}
    assert next(t for t in found if t.state == "failed").reason.startswith("MemoryError")


def test_what_a_worker_needs_to_start_is_no_trainings_time() -> None:
    class SlowToLoad(Sleeper):
        def __reduce__(self) -> tuple[object, ...]:
            return loaded_slowly, ()

    assert set(states(came(SlowToLoad(), 2, timeout=0.5)).values()) == {"complete"}


def test_progress_is_told_with_a_limit_too() -> None:
    shares: list[float] = []
    slow = Sleeper(0.3, per_job=6)
    with open_engine(timeout=5) as engine:
        engine.run(slow, slow.jobs(TRAININGS), lambda trials: None, lambda key, share: shares.append(share))
    assert shares == sorted(shares)
    assert max(shares) > 0.3


@pytest.mark.parametrize("limit", [0, -1, True, "soon", float("inf"), float("nan")])
def test_limit_that_is_none_is_refused(limit: Any) -> None:
    text = '[space]\nx = [1, 2]\n[objective]\nfunction = "os:getpid"\n[run]\ntimeout = '
    wanted = "is the longest a training may take, in seconds above 0, not"
    said = "must be a number, not" if isinstance(limit, bool | str) else wanted
    with pytest.raises(StudyError, match=rf"timeout {said}"):
        parse_study(text + json.dumps(limit).replace("Infinity", "inf").replace("NaN", "nan"), name="x", where="x.toml")
    with pytest.raises(StudyError, match="timeout is the longest a training may take"):
        run_pipeline({"x": [1, 2]}, objective=lambda params: 0.5, timeout=limit)


def test_run_pipeline_takes_a_timeout_and_retry_failed_trains_again(tmp_path: Path) -> None:
    space, grid = {"x": [1, 2, 3, 4]}, {"stages": ("grid",), "seeds": 1}
    found = run_pipeline(space, objective=slow_at_three, into=tmp_path / "run", timeout=1, **grid)
    assert [t.state for t in found.trials].count("failed") == 1
    again = run_pipeline(space, objective=slow_at_three, into=tmp_path / "run", **grid)
    assert len(list(again.trials.records())) == 4, "a training that timed out is known to have failed"
    retried = run_pipeline(
        space, objective=slow_at_three, into=tmp_path / "run", timeout=0.5, retry_failed=True, **grid
    )
    assert sorted(t.seconds for t in retried.trials.records() if t.state == "failed") == [0.5, 1.0]


STUDY = """
[space]
x = [1, 2, 3, 4]
[objective]
function = "hanging_surface:accuracy"
[search]
stages = ["grid"]
seeds = 1
[run]
timeout = {timeout}
"""

SURFACE = """
import time

def accuracy(params):
    if params["x"] == 3:
        time.sleep(1000)
    return 1 - abs(params["x"] - 2) / 10
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("hanging_surface.py").write_text(SURFACE)
    Path("study.toml").write_text(STUDY.format(timeout=1))
    return tmp_path


def zonesearch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return preloaded.run("zonesearch", *arguments)


def test_command_ends_with_what_came_and_says_what_timed_out(here: Path) -> None:
    done = zonesearch("run", "study.toml", "--into", "run", "--shard", "1/1")
    assert done.returncode == 0, done.stderr
    assert sorted(t.state for t in read_run("run")[0].trials) == ["complete"] * 3 + ["failed"]
    done = zonesearch("run", "study.toml", "--into", "other", "--timeout", "1.5")
    assert "1 of 4 trainings failed, the first with: timed out after 1.5 s" in done.stdout
    assert zonesearch("run", "study.toml", "--into", "run", "--timeout", "0").returncode == 2


def test_plan_does_not_wait_for_a_probe_that_hangs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("hanging_surface.py").write_text(SURFACE.replace("== 3", "== 4"))
    assert main(["plan", "study.toml"]) == 0
    assert "4 trainings" in capsys.readouterr().out


def test_errors_that_nobody_reads_to_the_end_are_shortened() -> None:
    def fails(params: dict[str, Any]) -> float:
        raise ValueError("x" * 3_000_000)

    found = run_pipeline({"x": [1, 2]}, objective=lambda p: fails(p) if p["x"] == 1 else 0.5, stages=("grid",))
    (lost,) = (trial for trial in found.trials if trial.state == "failed")
    assert lost.reason.startswith("ValueError: xxx")
    assert len(lost.error) < 20_000
    assert shortened("short\nerror\n") == "short\nerror\n"
    many = "".join(f"  line {i}\n" for i in range(10_000)) + "RuntimeError: no\n"
    assert shortened(many).startswith("  line 0\n")
    assert shortened(many).endswith("RuntimeError: no\n")
    assert "lines left out" in shortened(many)
    assert run(Sleeper())[0].error == ""
    assert Training({"x": 1}) in {t.training for t in run(Sleeper())}
