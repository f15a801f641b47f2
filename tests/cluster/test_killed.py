"""A coordinator that is killed at any moment loses nothing but what was under way."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.conftest import Start
from tests.cluster.runs import N_ALL, n_recorded, recorded_once, results, trials_in, unbroken, until
from tests.preloaded import Process

pytestmark = pytest.mark.cluster


def ended(process: Process) -> None:
    assert process.wait(timeout=120) == 0, process.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_run_that_is_killed_at_ten_moments_equals_an_unbroken_one(start: Start, tmp_path: Path, workers: int) -> None:
    folder, log = tmp_path / "run", tmp_path / "begun"
    call = ("tests.cluster.coordinator", folder, "--workers", workers, "--seconds", 0.15, "--log", log)
    rng = random.Random(workers)
    kills = 0
    while kills < 10:
        before = n_recorded(folder)
        process = start(*call)
        # Any moment: while starting, between two records, in the middle of one.
        time.sleep(rng.uniform(0.0, 1.0))
        if rng.random() < 0.7:
            until(lambda: process.poll() is not None or n_recorded(folder) > before)  # noqa: B023
            time.sleep(rng.uniform(0.0, 0.2))
        assert process.poll() is None, "the run ended before it could be killed ten times"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    ended(start(*call))
    assert results(trials_in(folder)) == unbroken()
    assert recorded_once(folder)
    begun = Counter(log.read_text().split())
    under_way = workers * 2  # a job has two trainings
    assert sum(begun.values()) <= N_ALL + (kills + 1) * under_way
    again = sum(begun.values())
    ended(start(*call))
    assert len(log.read_text().split()) == again  # it trains nothing when all is there


def test_shards_in_processes_of_their_own_equal_a_single_run(start: Start, tmp_path: Path) -> None:
    from zonesearch.run.storage.merge import merge

    rng = random.Random(7)
    for n in (1, 2, 4):
        into = tmp_path / f"of-{n}"
        for round_ in (1, 2):
            parts = [tmp_path / f"{n}-{i}-{round_}" for i in range(1, n + 1)]
            for part in parts:
                if into.exists():
                    merge([into], part)
            processes = [
                start("tests.cluster.coordinator", part, "--workers", 1, "--seconds", 0, "--shard", f"{i}/{n}")
                for i, part in enumerate(parts, start=1)
            ]
            for process in processes:
                ended(process)
            for _ in range(2):
                rng.shuffle(parts)
                merge(parts, into)
        assert results(trials_in(into)) == unbroken()
        assert recorded_once(into)
        assert {t.provenance["shard"] for t in trials_in(into)} == {f"{i}/{n}" for i in range(1, n + 1)}


def test_shards_in_one_shared_folder_equal_a_single_run(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for _ in range(2):
        processes = [start("tests.cluster.coordinator", folder, "--workers", 1, "--shard", f"{i}/3") for i in (1, 2, 3)]
        for process in processes:
            ended(process)
    assert results(trials_in(folder)) == unbroken()
    assert recorded_once(folder)


def test_second_coordinator_is_refused(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = start("tests.cluster.coordinator", folder, "--seconds", 0.1)
    until(lambda: n_recorded(folder) > 0)
    second = start("tests.cluster.coordinator", folder)
    assert second.wait(timeout=60) == 1
    said = second.log.read_text()
    assert said.startswith(f"zonesearch: run folder {folder} is in use by process {first.pid} on ")
    assert said.count("\n") == 1
    ended(first)
    assert recorded_once(folder)
