"""A real run killed with -9 at random moments: after the rerun everything is as in an unbroken run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

STUDY = """
name = "killed"
[space]
width = [8, 16, 32]
batch = [16, 64]
[training]
epochs = 3
[search]
seeds = 2
[interval]
method = "split(2)"
[polish]
keep = 3
repeats = 3
[run]
workers = 2
"""


def start(study: Path, into: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "zonesearch", "run", str(study), "--into", str(into), "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def outcome(folder: Path) -> tuple[list[str], str]:
    """Every column that is no duration, and the verdict."""
    from zonesearch.run.recorded import read_run
    from zonesearch.run.result import Result

    findings, _ = read_run(folder)
    frame = Result(findings).frame().drop(columns="seconds")
    assert findings.verdict is not None
    described = findings.verdict.describe()
    return frame.to_csv(index=False).splitlines(), json.dumps(described["finalists"], sort_keys=True)


@pytest.mark.slow
def test_run_that_is_killed_ten_times_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    study = tmp_path / "killed.toml"
    study.write_text(STUDY)
    unbroken = start(study, tmp_path / "whole")
    began = time.monotonic()
    _, errors = unbroken.communicate(timeout=300)
    assert unbroken.returncode == 0, errors
    length = time.monotonic() - began

    rng = random.Random(20)
    broken = tmp_path / "broken"
    n_killed = 0
    while n_killed < 10:
        run = start(study, broken)
        time.sleep(rng.uniform(0.3, 1.0) * length)
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        n_killed += 1
    last = start(study, broken)
    sentence, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors
    assert sentence.strip()
    assert outcome(broken) == outcome(tmp_path / "whole")

    lines = [json.loads(line) for file in broken.glob("trials/*.jsonl") for line in file.read_bytes().splitlines()]
    keys = Counter(record["key"] for record in lines if "key" in record)
    assert max(keys.values()) == 1, "a training that was recorded was trained again"
