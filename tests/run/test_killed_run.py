"""A real run killed with -9 at random moments: after the rerun everything is as in an unbroken run."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests import preloaded

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


def start(study: Path, into: Path) -> preloaded.Process:
    return preloaded.start("zonesearch", "run", study, "--into", into, "--quiet", log=study.parent / "log")


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
    assert unbroken.wait(timeout=300) == 0, unbroken.log.read_text()
    length = time.monotonic() - began

    rng = random.Random(20)
    broken = tmp_path / "broken"
    n_killed = 0
    while n_killed < 10:
        run = start(study, broken)
        time.sleep(rng.uniform(0.3, 1.0) * length)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        n_killed += 1
    last = start(study, broken)
    assert last.wait(timeout=300) == 0, last.log.read_text()
    assert last.log.read_text().strip()
    assert outcome(broken) == outcome(tmp_path / "whole")

    lines = [json.loads(line) for file in broken.glob("trials/*.jsonl") for line in file.read_bytes().splitlines()]
    keys = Counter(record["key"] for record in lines if "key" in record)
    assert max(keys.values()) == 1, "a training that was recorded was trained again"
