"""What the tests of whole runs ask of a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.coordinator import N_FIRST, N_SECOND, wanted
from tests.run.objectives import answer
from zonesearch.core.trials import Trials
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store

N_ALL = N_FIRST + N_SECOND


def trials_in(folder: Path) -> Trials:
    return Store(RunFolder.open(folder), writer=None).load().trials


def results(trials: Trials) -> dict[str, tuple[object, ...]]:
    """All that a training gave, but for where it was computed and how long that took."""
    return {t.training.key: (t.state, t.accuracy, t.epochs, t.curve) for t in trials}


def unbroken() -> dict[str, tuple[object, ...]]:
    """What an unbroken run gives: the answers are known."""
    first = Trials(answer(t) for t in wanted(Trials()))
    return results(first | Trials(answer(t) for t in wanted(first)))


def recorded_once(folder: Path) -> bool:
    return len(list(trials_in(folder).records())) == N_ALL


def until(condition: Callable[[], bool], within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def n_recorded(folder: Path) -> int:
    return sum(file.read_bytes().count(b'"key": "') for file in folder.glob("trials/*.jsonl"))
