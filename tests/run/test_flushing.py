"""When what was appended goes to the disk, and what that costs a quick training."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.run.made import folder, trial
from zonesearch import Study, Trial
from zonesearch.errors import StoreError
from zonesearch.run.running import run_study
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A record of every flush, and a clock that stands still unless it is moved: ``flushes[0]`` is the time."""
    found = [0.0]
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        found.append(found[0])

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(time, "monotonic", lambda: found[0])
    return found


def took(seconds: float, width: int = 16) -> Trial:
    return replace(trial(width), seconds=seconds)


def test_quick_trainings_share_a_flush_and_a_second_of_work_is_never_unflushed(
    tmp_path: Path, flushes: list[float]
) -> None:
    store = Store(folder(tmp_path))
    store.append([took(0.01)])
    n = len(flushes)
    for width in range(90):
        store.append([took(0.01, width)])
    assert len(flushes) == n
    store.append([took(0.2)])  # together more than a second
    assert len(flushes) == n + 1
    store.append([took(0.01, 100)])
    flushes[0] += 1.5  # a second later
    store.append([took(0.01, 101)])
    assert len(flushes) == n + 2
    store.append([took(3600.0, 102)])
    store.append([Trial(trial(103).training, "failed", error="who knows how long it took")])
    store.append([trial(104)])  # does not say how long it took
    assert len(flushes) == n + 5
    store.append([took(0.01, 105)])
    store.close()
    assert len(flushes) == n + 6
    store.close()
    assert len(flushes) == n + 6


def test_shard_flushes_before_it_waits(tmp_path: Path, flushes: list[float]) -> None:
    with Store(folder(tmp_path), "shard-1-of-2") as store:
        store.append([took(0.01)])
        store.append([took(0.01, 32)])
        n = len(flushes)
        store.wait_for([trial(16).training], look_s=0.0)
        assert len(flushes) == n + 1


def test_flush_that_fails_at_the_end_is_an_error_and_lets_others_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(folder(tmp_path))
    store.append([took(0.01)])
    store.append([took(0.01, 32)])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        store.close()
    monkeypatch.undo()
    with Store(RunFolder.open(tmp_path)) as again:
        assert len(again.load().trials) == 2


def test_closed_descriptor_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    store = Store(folder(tmp_path))
    store.append([took(0.01)])
    number = store._descriptor
    os.close(number)
    with pytest.raises(StoreError, match="Bad file descriptor"):
        store.append([took(0.01, 32)])
    letter = os.open(tmp_path / "letter.txt", os.O_RDWR | os.O_CREAT)
    assert letter == number  # other code opens a file and gets the number
    with pytest.raises(StoreError, match="Bad file descriptor"):
        store.append([took(0.01, 32)])
    assert (tmp_path / "letter.txt").read_bytes() == b""
    store.close()
    with Store(RunFolder.open(tmp_path)) as again:
        assert len(again.load().trials) == 1


def test_kill_9_loses_nothing_that_was_handed_over(tmp_path: Path) -> None:
    code = (
        "import sys; from dataclasses import replace; from tests.run.made import folder, trial;"
        "from zonesearch.run.storage.store import Store; store = Store(folder(sys.argv[1]));\n"
        "for width in range(100000):\n"
        "    store.append([replace(trial(width), seconds=1e-4)]); sys.stdout.write(f'{width}\\n'); sys.stdout.flush()"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(300)]
    process.kill()
    said += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    last = max(int(line) for line in said if line.endswith(b"\n"))
    widths = {t.params["width"] for t in Store(RunFolder.open(tmp_path), writer=None).load().trials}
    assert widths >= set(range(last + 1))
    assert last >= 299


def quick(params: dict[str, Any], seed: int, epochs: int) -> float:
    return 1 - 1e-3 * params["x"] - 1e-3 * params["y"]


def test_quick_trainings_cost_little_more_in_a_folder_however_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_flushes = 0
    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal n_flushes
        n_flushes += 1
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)

    def seconds_each(side: int) -> float:
        axis = [float(value) for value in range(side)]
        study = Study.of({"x": axis, "y": axis}, quick, stages=("grid",), seeds=1)
        began = time.process_time()
        result = run_study(study, into=tmp_path / f"run-{side}")
        assert len(result.trials) == side * side
        return (time.process_time() - began) / side**2

    seconds_each(3)
    began = time.monotonic()
    few, many = seconds_each(10), seconds_each(40)
    assert n_flushes < 20 + 3 * (time.monotonic() - began)  # one a second, and those of the folder itself
    assert many < 0.002
    assert many < 4 * few  # 16 times as many
