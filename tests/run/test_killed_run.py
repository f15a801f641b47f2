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
from tests.cluster.runs import n_recorded, until

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
"""


def start(study: Path, into: Path, workers: int) -> preloaded.Process:
    arguments = ("run", study, "--into", into, "--workers", workers, "--quiet")
    return preloaded.start("zonesearch", *arguments, log=study.parent / "log")


def outcome(folder: Path) -> tuple[list[str], str]:
    """Every column that is no duration, and the verdict."""
    from zonesearch.run.recorded import read_run
    from zonesearch.run.result import Result

    results, _ = read_run(folder)
    frame = Result(results).frame().drop(columns="seconds")
    assert results.verdict is not None
    described = results.verdict.describe()
    return frame.to_csv(index=False).splitlines(), json.dumps(described["finalists"], sort_keys=True)


@pytest.mark.slow
def test_run_that_is_killed_ten_times_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    study = tmp_path / "killed.toml"
    study.write_text(STUDY)
    unbroken = start(study, tmp_path / "whole", workers=1)
    assert unbroken.wait(timeout=300) == 0, unbroken.log.read_text()
    a_tenth = n_recorded(tmp_path / "whole") // 10

    rng = random.Random(20)
    broken = tmp_path / "broken"
    n_killed = 0
    for attempt in range(10):
        early = attempt < 3  # however quick the machine, these come before the end
        enough = n_recorded(broken) + (0 if early else rng.randint(0, a_tenth))
        run = start(study, broken, workers=2 if attempt in (1, 4) else 1)  # two are processes that start anew
        until(lambda: run.poll() is not None or n_recorded(broken) > enough)  # noqa: B023
        time.sleep(0.0 if early else rng.uniform(0.0, 0.2))
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            n_killed += 1
        run.wait()
    assert n_killed >= 2, "some were killed before they could end"  # how many, depends on how quick the machine is
    last = start(study, broken, workers=2)
    assert last.wait(timeout=300) == 0, last.log.read_text()
    assert last.log.read_text().strip()
    assert outcome(broken) == outcome(tmp_path / "whole")

    lines = [json.loads(line) for file in broken.glob("trials/*.jsonl") for line in file.read_bytes().splitlines()]
    keys = Counter(record["key"] for record in lines if "key" in record)
    assert max(keys.values()) == 1, "a training that was recorded was trained again"
